/** Small multiples: the same chart several times on one grid. Scales are shared by giving every panel the same domain. */
import { frame, SIZE, type Chart, type ChartOptions } from './chart';
import { h, num } from './svg';
import { fit } from './text';
import { cssTheme } from './theme';

export interface Panel {
  title: string;
  /** Makes the panel's chart at the size the grid has for it. */
  build: (size: { width: number; height: number }) => Chart;
}

export function smallMultiples(panels: Panel[], options: ChartOptions & { columns?: number; ratio?: number }): Chart {
  const theme = options.theme ?? cssTheme;
  const { width } = options;
  const gap = 20;
  const columns = Math.max(1, Math.min(panels.length, options.columns ?? Math.floor((width + gap) / 300)));
  const w = Math.floor((width - gap * (columns - 1)) / columns);
  const ph = Math.round(w * (options.ratio ?? 0.8));
  const rows = Math.ceil(panels.length / columns);
  const head = 20;
  const height = rows * (ph + head) + Math.max(0, rows - 1) * gap;
  const placed = panels.map((p, i) => ({ panel: p, chart: p.build({ width: w, height: ph }), x: (i % columns) * (w + gap), y: Math.floor(i / columns) * (ph + head + gap) }));
  const corner = (p: { x: number; y: number }): [number, number] => [p.x, p.y + head];
  const under = (x: number, y: number): (typeof placed)[number] | undefined => placed.find((p) => x >= p.x && x <= p.x + w && y >= p.y + head && y <= p.y + head + p.chart.height);
  // panels are alike: what one is zoomed by, all are
  const first = placed[0]?.chart;
  const finding = options.label ?? together(placed.map((p) => [p.panel.title, p.chart.finding]));
  return {
    svg: frame(
      'multiples',
      options,
      Math.max(1, height),
      finding || 'No panels.',
      placed.map((p) =>
        h(
          'g',
          { class: 'panel', transform: `translate(${num(p.x)},${num(p.y)})`, role: 'img', 'aria-label': `${p.panel.title}: ${p.chart.finding}` },
          h('text', { x: 0, y: 13, 'font-weight': 600, 'font-size': SIZE.strong, fill: theme.ink }, fit(p.panel.title, w, SIZE.strong)),
          h('g', { class: p.chart.svg.attrs.class, transform: `translate(0,${head})` }, p.chart.svg.children),
        ),
      ),
    ),
    width,
    height: Math.max(1, height),
    title: options.title ?? (placed.map((p) => p.panel.title).join(' · ') || 'Small multiples'),
    finding: finding || 'No panels.',
    get table() {
      return { columns: ['panel', ...(first?.table.columns ?? [])], rows: placed.flatMap((p) => p.chart.table.rows.map((r) => [p.panel.title, ...r])) };
    },
    ...(first?.rings ? { rings: (layer) => placed.flatMap((p) => p.chart.rings?.(layer) ?? []) } : {}),
    ...(first?.zoom ? { zoom: { ...first.zoom, corner: (x, y) => corner(under(x, y) ?? placed[0]) } } : {}),
    locate(x, y) {
      const p = under(x, y);
      const hit = p?.chart.locate(x - p.x, y - p.y - head);
      return p && hit ? { ...hit, x: hit.x + p.x, y: hit.y + p.y + head } : null;
    },
    at: (layer) => placed.flatMap((p) => (p.chart.at?.(layer) ?? []).map((hit) => ({ ...hit, x: hit.x + p.x, y: hit.y + p.y + head, text: `${p.panel.title}: ${hit.text}` }))),
    // a lasso catches in the panel it was begun in
    lasso(x0, y0, x1, y1) {
      const p = under(x0, y0);
      return p?.chart.lasso?.(x0 - p.x, y0 - p.y - head, x1 - p.x, y1 - p.y - head) ?? null;
    },
  };
}

/** Each panel's finding by its title; the sentences that all of them end with are said once. */
function together(panels: [title: string, finding: string][]): string {
  const said = panels.map(([, finding]) => finding.split(/(?<=\.) (?=\p{Lu})/u));
  let same = 0;
  while (said.length > 1 && said.every((s) => s.length > same + 1 && s[s.length - 1 - same] === said[0][said[0].length - 1 - same])) same++;
  const own = panels.map(([title], i) => `${title}: ${said[i].slice(0, said[i].length - same).join(' ')}`);
  return [...own, ...(same > 0 ? said[0].slice(-same) : [])].join(' ');
}
