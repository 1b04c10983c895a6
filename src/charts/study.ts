/** Charts over many items: `matrix` (model × language), `errorStack`, `scatterFit`. */
import { group } from 'd3-array';
import { scaleLinear } from 'd3-scale';
import { yAxis } from './axes';
import { frame, lit, nearest, SIZE, type Cell, type Chart, type ChartOptions } from './chart';
import { placeLabels, type Box } from './labels';
import { markerPath } from './markers';
import { h, num, type SvgNode } from './svg';
import { fit, many, percent, short, textWidth, wrap } from './text';
import { cssTheme, languageColour, languageStyle, type Theme } from './theme';

export interface MatrixData {
  rows: string[];
  /** Languages (shown by name) or any other words. */
  columns: string[];
  /** cells[row][column]; null = not measured, shown as such. */
  cells: ({ value: number; low?: number; high?: number; n?: number } | null)[][];
  /** What is measured. */
  measure: string;
  domain?: [number, number];
  format?: (v: number) => string;
}

/** Model × language: the number, its shade, and its interval as a whisker on the measure's own scale. Narrow screens get it turned. */
export function matrix(data: MatrixData, options: ChartOptions): Chart {
  const theme = options.theme ?? cssTheme;
  const { width } = options;
  const format = data.format ?? ((v: number) => short(v));
  const values = data.cells.flat().flatMap((c) => (c ? [c.value, c.low ?? c.value, c.high ?? c.value] : [])).filter(Number.isFinite);
  const [lo, hi] = data.domain ?? [Math.min(0, ...values), Math.max(values.length > 0 ? -Infinity : 1, ...values)];
  const nameOf = (w: string): string => languageStyle(w).name || w;
  const rowRoom = Math.min(width * 0.34, Math.max(60, ...data.rows.map((r) => textWidth(r, SIZE.text) + 14)));
  const turned = (width - rowRoom) / Math.max(1, data.columns.length) < 52;
  const rowNames = turned ? data.columns.map(nameOf) : data.rows;
  const colNames = turned ? data.rows : data.columns.map(nameOf);
  const at = (i: number, j: number): MatrixData['cells'][number][number] => (turned ? data.cells[j]?.[i] : data.cells[i]?.[j]) ?? null;
  const left = turned ? Math.min(width * 0.34, Math.max(50, ...rowNames.map((r) => textWidth(r, SIZE.text) + 12))) : rowRoom;
  const rowH = 38;
  const col = Math.min(150, (width - left) / Math.max(1, colNames.length));
  const heads = colNames.map((name) => wrap(name, col - 4, SIZE.small));
  const headLines = Math.max(1, ...heads.map((l) => l.length));
  const top = 30 + headLines * 14;
  const height = options.height ?? top + rowNames.length * rowH + 6;
  const whisker = scaleLinear([lo, hi > lo ? hi : lo + 1], [6, col - 8]);
  const shade = scaleLinear([lo, hi > lo ? hi : lo + 1], [0.04, 0.42]).clamp(true);
  const dataRow = (i: number, j: number): string => data.rows[turned ? j : i];
  const dataCol = (i: number, j: number): string => data.columns[turned ? i : j];

  const body = rowNames.map((name, i) =>
    h(
      'g',
      { class: 'row' },
      h('text', { x: left - 10, y: top + i * rowH + rowH / 2 + 4, 'text-anchor': 'end', fill: theme.ink }, fit(name, left - 12, SIZE.text)),
      colNames.map((_, j): SvgNode => {
        const c = at(i, j);
        const x = left + j * col;
        const y = top + i * rowH;
        const lang = dataCol(i, j);
        const label = `${dataRow(i, j)}, ${nameOf(lang)}: ${c ? format(c.value) + (c.low !== undefined && c.high !== undefined ? ` (${format(c.low)} to ${format(c.high)})` : '') : 'not measured'}`;
        if (!c || !Number.isFinite(c.value)) return h('g', { class: 'cell is-missing', 'data-language': lang, role: 'img', 'aria-label': label }, h('rect', { x: x + 1, y: y + 1, width: col - 2, height: rowH - 2, fill: 'none', stroke: theme.line, 'stroke-dasharray': '2 3' }), h('text', { x: x + col / 2, y: y + rowH / 2 + 4, 'text-anchor': 'middle', fill: theme.muted, 'font-size': SIZE.small }, '–'));
        const mid = y + rowH - 9;
        return h(
          'g',
          { class: 'cell', 'data-language': lang, role: 'img', 'aria-label': label },
          h('rect', { x: x + 1, y: y + 1, width: col - 2, height: rowH - 2, fill: theme.positive, 'fill-opacity': shade(c.value) }),
          h('text', { x: x + col / 2, y: y + 19, 'text-anchor': 'middle', fill: theme.ink, 'font-size': SIZE.strong }, format(c.value)),
          c.low !== undefined && c.high !== undefined ? h('path', { class: 'whisker', d: `M${num(x + whisker(c.low))},${num(mid)}H${num(x + whisker(c.high))}`, stroke: theme.ink, 'stroke-width': 1.2, opacity: 0.6 }) : null,
          h('circle', { class: 'dot', cx: x + whisker(c.value), cy: mid, r: 2, fill: theme.ink }),
        );
      }),
    ),
  );
  const flat = data.cells.flatMap((r, i) => r.map((c, j) => ({ c, i, j }))).filter((e): e is { c: NonNullable<typeof e.c>; i: number; j: number } => e.c !== null && Number.isFinite(e.c.value));
  const best = flat.reduce<(typeof flat)[number] | null>((a, b) => (a === null || b.c.value > a.c.value ? b : a), null);
  const worst = flat.reduce<(typeof flat)[number] | null>((a, b) => (a === null || b.c.value < a.c.value ? b : a), null);
  const finding = options.label ?? (best && worst ? `${data.measure}: highest ${format(best.c.value)} (${data.rows[best.i]}, ${nameOf(data.columns[best.j])}), lowest ${format(worst.c.value)} (${data.rows[worst.i]}, ${nameOf(data.columns[worst.j])}); ${flat.length} of ${data.rows.length * data.columns.length} cells measured.` : `${data.measure}: nothing measured yet.`);
  const selected = options.selection?.language;
  return {
    svg: frame(
      'matrix',
      options,
      height,
      finding,
      h('text', { x: 0, y: 14, 'font-weight': 600 }, fit(`${data.measure} · whisker from ${format(lo)} to ${format(hi)}`, width, SIZE.text * 1.05)),
      heads.map((lines, j) =>
        lines.map((line, k) => h('text', { class: lit('tick', !turned && data.columns[j] === selected), x: left + j * col + col / 2, y: top - 9 - (lines.length - 1 - k) * 14, 'text-anchor': 'middle', 'font-size': SIZE.small, fill: theme.muted, 'data-language': turned ? null : data.columns[j] }, line)),
      ),
      body,
    ),
    width,
    height,
    title: options.title ?? `${data.measure} by model and language`,
    finding,
    table: { columns: ['row', 'column', data.measure, 'low', 'high', 'n'], rows: data.rows.flatMap((r, i) => data.columns.map((c, j): Cell[] => [r, c, data.cells[i]?.[j]?.value ?? null, data.cells[i]?.[j]?.low ?? null, data.cells[i]?.[j]?.high ?? null, data.cells[i]?.[j]?.n ?? null])) },
    locate(px, py) {
      const i = Math.floor((py - top) / rowH);
      const j = Math.floor((px - left) / col);
      if (i < 0 || j < 0 || i >= rowNames.length || j >= colNames.length) return null;
      const c = at(i, j);
      return { language: dataCol(i, j), x: left + (j + 0.5) * col, y: top + (i + 0.5) * rowH, text: `${dataRow(i, j)}, ${nameOf(dataCol(i, j))}: ${c ? `${format(c.value)}${c.low !== undefined && c.high !== undefined ? ` (${format(c.low)} to ${format(c.high)})` : ''}${c.n === undefined ? '' : `, n = ${c.n}`}` : 'not measured'}` };
    },
  };
}

/** Kinds of outcome in the order they are stacked: right first, then the error types [R]. */
export const OUTCOMES = ['correct', 'content', 'language', 'gibberish', 'refusal', 'blank'] as const;
export type Outcome = (typeof OUTCOMES)[number];
export interface ErrorStackData {
  rows: { name: string; language?: string; counts: Partial<Record<Outcome, number>> }[];
}

const outcomeColour = (theme: Theme, o: Outcome): { fill: string; opacity: number } =>
  ({
    correct: { fill: theme.muted, opacity: 0.22 },
    content: { fill: theme.groups.question, opacity: 0.95 },
    language: { fill: theme.groups.answerSpan, opacity: 0.95 },
    gibberish: { fill: theme.groups.readout, opacity: 0.95 },
    refusal: { fill: theme.groups.context, opacity: 0.95 },
    blank: { fill: theme.ink, opacity: 0.85 },
  })[o];

/** Shares of outcomes per row (usually a language), stacked to 100 %. Sums to each row's own count, which stands at its right end. */
export function errorStack(data: ErrorStackData, options: ChartOptions): Chart {
  const theme = options.theme ?? cssTheme;
  const { width } = options;
  const left = Math.min(width * 0.3, Math.max(40, ...data.rows.map((r) => textWidth(r.name, SIZE.text) + 12)));
  const right = 44;
  const w = width - left - right;
  const used = OUTCOMES.filter((o) => data.rows.some((r) => (r.counts[o] ?? 0) > 0));
  // a legend in reading order that breaks into lines: segments are often too thin to hold words
  const keys: SvgNode[] = [];
  let kx = 0;
  let ky = 12;
  for (const o of used) {
    const kw = textWidth(o, SIZE.text) + 26;
    if (kx + kw > width) {
      kx = 0;
      ky += 18;
    }
    const c = outcomeColour(theme, o);
    keys.push(h('rect', { x: kx, y: ky - 9, width: 10, height: 10, fill: c.fill, 'fill-opacity': c.opacity }), h('text', { x: kx + 14, y: ky, fill: theme.muted }, o));
    kx += kw;
  }
  const top = ky + 16;
  const rowH = 26;
  const height = options.height ?? top + data.rows.length * rowH + 8;
  const total = (r: ErrorStackData['rows'][number]): number => OUTCOMES.reduce((s, o) => s + (r.counts[o] ?? 0), 0);
  const rows = data.rows.map((r, i) => {
    const n = total(r);
    let at = left;
    return h(
      'g',
      { class: 'row', 'data-language': r.language, role: 'img', 'aria-label': `${r.name}, ${many(n, 'answer')}: ${OUTCOMES.flatMap((o) => (r.counts[o] ? [`${o} ${percent((r.counts[o] ?? 0) / n)}`] : [])).join(', ') || 'none'}` },
      h('text', { x: left - 8, y: top + i * rowH + rowH / 2 + 4, 'text-anchor': 'end' }, fit(r.name, left - 10, SIZE.text)),
      used.map((o) => {
        const share = n > 0 ? (r.counts[o] ?? 0) / n : 0;
        if (share === 0) return null;
        const c = outcomeColour(theme, o);
        const x = at;
        at += share * w;
        const label = percent(share);
        return [
          h('rect', { class: 'mark segment', 'data-outcome': o, x, y: top + i * rowH + 4, width: Math.max(0.5, share * w - 1), height: rowH - 8, fill: c.fill, 'fill-opacity': c.opacity }),
          share * w > textWidth(label, SIZE.small) + 10 ? h('text', { x: x + share * w / 2, y: top + i * rowH + rowH / 2 + 4, 'text-anchor': 'middle', 'font-size': SIZE.small, fill: o === 'correct' ? theme.ink : theme.background }, label) : null,
        ];
      }),
      h('text', { x: width, y: top + i * rowH + rowH / 2 + 4, 'text-anchor': 'end', 'font-size': SIZE.small, fill: theme.muted }, `n ${n}`),
    );
  });
  const sums = OUTCOMES.map((o) => [o, data.rows.reduce((s, r) => s + (r.counts[o] ?? 0), 0)] as const);
  const n = sums.reduce((s, [, v]) => s + v, 0);
  const worst = sums.filter(([o]) => o !== 'correct').reduce((a, b) => (b[1] > a[1] ? b : a));
  return {
    svg: frame('error-stack', options, height, options.label ?? finding(), h('g', { class: 'legend', 'aria-hidden': 'true' }, keys), rows),
    width,
    height,
    title: options.title ?? 'What went wrong, by language',
    finding: options.label ?? finding(),
    table: { columns: ['row', ...OUTCOMES, 'n'], rows: data.rows.map((r): Cell[] => [r.name, ...OUTCOMES.map((o) => r.counts[o] ?? 0), total(r)]) },
    locate(px, py) {
      const i = Math.floor((py - top) / rowH);
      const r = data.rows[i];
      if (!r || px < left || px > left + w) return null;
      const m = total(r);
      let at = left;
      for (const o of used) {
        at += (w * (r.counts[o] ?? 0)) / (m || 1);
        if (px <= at) return { language: r.language, x: px, y: top + (i + 0.5) * rowH, text: `${r.name}: ${o} ${r.counts[o] ?? 0} of ${m} (${percent((r.counts[o] ?? 0) / m)})` };
      }
      return null;
    },
  };
  function finding(): string {
    return n === 0 ? 'No answers yet.' : `${many(n, 'answer')} in ${many(data.rows.length, 'row')}: ${percent((sums[0][1] ?? 0) / n)} correct${worst[1] > 0 ? `; the most frequent error is ${worst[0]} (${percent(worst[1] / n)})` : ''}.`;
  }
}

export interface ScatterPoint {
  x: number;
  y: number;
  label: string;
  language?: string;
  /** Same series, same fill: the second is drawn hollow, any further one pale. Named above the plot where there are several. */
  series?: string;
  xInterval?: [number, number];
  yInterval?: [number, number];
}
export interface ScatterData {
  points: ScatterPoint[];
  x: string;
  y: string;
  /** Statistics computed elsewhere (Spearman, bootstrap interval), in words. */
  note?: string;
  /** false: whoever computed them says that a line would mean nothing. Default: drawn where one can be fitted. */
  line?: boolean;
  /** Values there can be at all: a share has no axis below 0. */
  limits?: { x?: [number, number]; y?: [number, number] };
}

/** Fewest points a line is fitted to. */
export const FIT_MINIMUM = 5;

/** Least squares of y on x and Pearson's r; null under five finite points or without spread: a line would be decoration. */
export function leastSquares(points: { x: number; y: number }[]): { slope: number; intercept: number; r: number; n: number } | null {
  const p = points.filter((q) => Number.isFinite(q.x) && Number.isFinite(q.y));
  if (p.length < FIT_MINIMUM) return null;
  const mx = p.reduce((s, q) => s + q.x, 0) / p.length;
  const my = p.reduce((s, q) => s + q.y, 0) / p.length;
  let xx = 0;
  let yy = 0;
  let xy = 0;
  for (const q of p) {
    xx += (q.x - mx) ** 2;
    yy += (q.y - my) ** 2;
    xy += (q.x - mx) * (q.y - my);
  }
  if (xx < 1e-18 || yy < 1e-18) return null;
  return { slope: xy / xx, intercept: my - (xy / xx) * mx, r: xy / Math.sqrt(xx * yy), n: p.length };
}

export function scatterFit(data: ScatterData, options: ChartOptions): Chart {
  const theme = options.theme ?? cssTheme;
  const { width } = options;
  const points = data.points.filter((p) => Number.isFinite(p.x) && Number.isFinite(p.y));
  const span = (pick: (p: ScatterPoint) => number[], [least, most]: [number, number] = [-Infinity, Infinity]): [number, number] => {
    const v = points.flatMap(pick).filter(Number.isFinite);
    if (v.length === 0) return [0, 1];
    const lo = Math.min(...v);
    const hi = Math.max(...v);
    // All alike: shown where they lie in what can be, else in a span of one.
    if (hi === lo && Number.isFinite(most - least)) return [least, most];
    const pad = hi > lo ? (hi - lo) * 0.06 : 0.5;
    return [Math.max(least, lo - pad), Math.min(most, hi + pad)];
  };
  const { limits } = data;
  const line = data.line === false ? null : leastSquares(points);
  const statement = data.note ?? (line ? `r = ${line.r.toFixed(2).replace('-', '−')} over ${line.n} points` : `${many(points.length, 'point')}: ${points.length < FIT_MINIMUM ? 'fewer than five, so no line is fitted' : 'no spread, so no line is fitted'}`);
  const said = wrap(statement, width, SIZE.text * 1.06);
  const below = 16 * (said.length - 1);
  const height = options.height ?? Math.round(Math.max(280, Math.min(440, width * 0.6))) + below;
  const plot: Box = { x: 44, y: 30, w: width - 44 - 16, h: height - 30 - 62 - below };
  const x = scaleLinear(span((p) => [p.x, ...(p.xInterval ?? [])], limits?.x), [plot.x, plot.x + plot.w]).nice(5);
  const y = scaleLinear(span((p) => [p.y, ...(p.yInterval ?? [])], limits?.y), [plot.y + plot.h, plot.y]).nice(5);
  const series = [...new Set(points.map((p) => p.series ?? ''))];
  const taken: Box[] = points.map((p) => ({ x: x(p.x) - 5, y: y(p.y) - 5, w: 10, h: 10 }));
  // what lies on one spot has one label: a few names, or how many they are
  const spots = [...group(points, (p) => `${Math.round(x(p.x))} ${Math.round(y(p.y))}`).values()];
  const labels = spots.map((at) => ({ at: at[0], language: at.length > 1 ? undefined : at[0].language, text: at.length < 4 ? at.map((p) => p.label).join(', ') : `${at.length === points.length ? 'all ' : ''}${at.length} at (${short(at[0].x)}, ${short(at[0].y)})` }));
  // those that stand for many first: they find a place before the others
  const order = labels.map((_, k) => k).sort((a, b) => spots[b].length - spots[a].length);
  const placed = placeLabels(order.map((k) => ({ x: x(labels[k].at.x), y: y(labels[k].at.y), gap: 8, text: labels[k].text, size: SIZE.small })), { x: 2, y: plot.y, w: width - 4, h: plot.h }, taken);
  const finding = options.label ?? `${data.y} against ${data.x}: ${statement}.`;
  const looks = (k: number, colour: string) => ({ fill: k === 1 ? theme.background : colour, 'fill-opacity': k > 1 ? 0.35 : null, stroke: colour, 'stroke-width': 1.3 });
  // right to left above the plot, as far as the axis' name
  const least = textWidth(`↑ ${data.y}`, SIZE.text) + 24;
  let right = width;
  const legend = (series.length < 2 ? [] : [...series].reverse()).flatMap((name): SvgNode[] => {
    const wide = textWidth(name, SIZE.small) * 1.04 + 22;
    if (right - wide < least) return [];
    right -= wide;
    return [h('path', { d: markerPath(languageStyle('en').marker, right + 8, 16, 4), ...looks(series.indexOf(name), theme.ink) }), h('text', { x: right + 16, y: 20, 'font-size': SIZE.small, fill: theme.muted }, name)];
  });
  const clipY = (xx: number): number => (line ? line.intercept + line.slope * xx : NaN);
  const [x0, x1] = span((p) => [p.x]);
  const clip = `scatter-${Math.round(width)}x${height}`;
  const xs = points.map((p) => x(p.x));
  const ys = points.map((p) => y(p.y));
  return {
    svg: frame(
      'scatter',
      options,
      height,
      finding,
      h('defs', {}, h('clipPath', { id: clip }, h('rect', { x: plot.x, y: plot.y, width: plot.w, height: plot.h }))),
      yAxis(plot, y, theme, { name: `↑ ${data.y}` }),
      legend.length > 0 ? h('g', { class: 'legend', 'aria-hidden': 'true' }, legend) : null,
      h(
        'g',
        { class: 'axis', 'aria-hidden': 'true', 'font-size': SIZE.small, fill: theme.muted },
        x.ticks(Math.max(3, Math.round(plot.w / 110))).map((t) => h('text', { x: x(t), y: plot.y + plot.h + 17, 'text-anchor': 'middle' }, short(t))),
        h('text', { class: 'axis-name', x: plot.x + plot.w, y: plot.y + plot.h + 35, 'text-anchor': 'end', fill: theme.ink }, `${data.x} →`),
      ),
      said.map((text, k) => h('text', { class: 'statement', x: 0, y: height - 8 - 16 * (said.length - 1 - k), 'font-size': SIZE.text, fill: theme.ink, 'font-weight': 600 }, text)),
      line ? h('path', { class: 'fit', 'clip-path': `url(#${clip})`, d: `M${num(x(x0))},${num(y(clipY(x0)))}L${num(x(x1))},${num(y(clipY(x1)))}`, stroke: theme.accent, 'stroke-width': 1.5, 'stroke-dasharray': '6 4' }) : null,
      points.map((p, i) => {
        const colour = p.language ? languageColour(theme, p.language) : theme.ink;
        const look = looks(series.indexOf(p.series ?? ''), colour);
        return h(
          'g',
          { class: 'mark point', 'data-language': p.language, 'data-series': p.series, role: 'img', 'aria-label': `${p.label}: ${data.x} ${short(p.x)}, ${data.y} ${short(p.y)}` },
          p.xInterval ? h('path', { d: `M${num(x(p.xInterval[0]))},${num(ys[i])}H${num(x(p.xInterval[1]))}`, stroke: colour, opacity: 0.45 }) : null,
          p.yInterval ? h('path', { d: `M${num(xs[i])},${num(y(p.yInterval[0]))}V${num(y(p.yInterval[1]))}`, stroke: colour, opacity: 0.45 }) : null,
          h('path', { d: markerPath(languageStyle(p.language ?? 'en').marker, xs[i], ys[i], 4), ...look }),
        );
      }),
      order.map((k, i) => {
        const place = placed[i];
        return place === null ? null : h('text', { class: 'name', x: place.x, y: place.y, 'text-anchor': place.anchor, 'font-size': SIZE.small, fill: theme.muted, 'data-language': labels[k].language, stroke: theme.background, 'stroke-width': 3, 'paint-order': 'stroke' }, labels[k].text);
      }),
    ),
    width,
    height,
    title: options.title ?? `${data.y} against ${data.x}`,
    finding,
    table: { columns: ['label', 'series', data.x, data.y], rows: points.map((p): Cell[] => [p.label, p.series ?? '', p.x, p.y]) },
    locate(px, py) {
      const i = nearest(xs, ys, px, py, 20);
      if (i < 0) return null;
      const here = points.filter((_, k) => Math.round(xs[k]) === Math.round(xs[i]) && Math.round(ys[k]) === Math.round(ys[i]));
      return { language: points[i].language, x: xs[i], y: ys[i], text: `${here.map((p) => p.label).join(', ')}: ${data.x} ${short(points[i].x)}, ${data.y} ${short(points[i].y)}` };
    },
  };
}
