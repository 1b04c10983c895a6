/**
 * Logit lens: what the model would say if it stopped after block l (final norm and LM head applied to h[l]).
 * `lensColumn`: one position, one row per layer, deepest on top. `lensGrid`: layers × positions.
 */
import type { LensCell } from '../types';
import { frame, lit, rememberer, SIZE, type Cell, type Chart, type ChartOptions, type Hit } from './chart';
import { h, num, type SvgNode } from './svg';
import { fit, isolated, percent, scriptOf, short, textWidth, tokenText, wordText } from './text';
import { cssTheme, type Theme } from './theme';

export interface LensColumnData {
  /** Readings of one position, any order. */
  cells: LensCell[];
  /** Index into `followed` that is drawn as bar and rank; default 0, the gold answer's first token. */
  follow?: number;
  /** What that token is called: 'gold', 'answer' … */
  role?: string;
  /** Name of the position. */
  position?: string;
}

const ROW = 19;

export function lensColumn(data: LensColumnData, options: ChartOptions): Chart {
  const theme = options.theme ?? cssTheme;
  const cells = [...data.cells].sort((a, b) => b.layer - a.layer);
  const { width } = options;
  const top = 40;
  const height = Math.max(options.height ?? 0, top + cells.length * ROW + 8);
  const row = (height - top - 8) / Math.max(1, cells.length);
  const follow = data.follow ?? 0;
  const role = data.role ?? 'gold';
  const followedText = cells[0]?.followed[follow]?.text;
  const selected = options.selection?.layer ?? null;

  // columns: layer | top-1, and more readings where there is room | script | bar of the followed token | its probability | its rank
  const script = width >= 460;
  const xLayer = 22;
  const xTop = 34;
  const barW = Math.max(70, Math.min(240, width * 0.24));
  const xRank = width - 6;
  const rankW = 40;
  const pW = 46;
  const xBar = width - 6 - rankW - pW - barW;
  const scriptW = script ? 76 : 0;
  const room = xBar - 14 - scriptW - xTop;
  // a reading that shows nothing but a cut-off beginning tells less than none
  const readings = Math.max(1, Math.min(4, Math.floor(room / 112)));
  const eachTop = room / readings;
  const xScript = xTop + eachTop * readings + 4;
  const followed = followedText !== undefined;
  const emerged = emergence(cells, follow);

  const y = (i: number): number => top + i * row + row / 2;
  const rows = cells.map((cell, i): SvgNode => {
    const on = cell.layer === selected;
    const f = cell.followed[follow];
    const isTop = f !== undefined && f.rank === 0;
    const base = y(i) + 4;
    return h(
      'g',
      { class: 'row', 'data-layer': cell.layer, role: 'img', 'aria-label': rowLabel(cell, follow, role) },
      h('rect', { class: lit('band', on), 'data-layer': cell.layer, x: 0, y: y(i) - row / 2, width, height: row, fill: theme.surface }),
      h('text', { class: lit('tick', on), 'data-layer': cell.layer, x: xLayer, y: base, 'text-anchor': 'end', 'font-size': SIZE.small, fill: theme.muted }, String(cell.layer)),
      cell.top.slice(0, readings).map((t, k) => {
        const word = fit(wordText(t.text), eachTop - (k === 0 ? 42 : 40), SIZE.text);
        const match = f !== undefined && t.id === f.id;
        return [
          h('text', { class: k === 0 ? lit('row-text', on) : 'reading', 'data-layer': cell.layer, 'data-id': t.id, x: xTop + k * eachTop, y: base, 'font-weight': match ? 700 : null, fill: match ? theme.accent : k === 0 ? theme.ink : theme.muted, 'fill-opacity': k === 0 ? 0.45 + 0.55 * Math.sqrt(t.p) : null }, word),
          h('text', { class: 'p', x: xTop + k * eachTop + textWidth(word, SIZE.text) + 6, y: base, 'font-size': SIZE.small, fill: theme.muted }, percent(t.p)),
        ];
      }),
      script ? h('text', { class: 'script', x: xScript, y: base, 'font-size': SIZE.small, fill: theme.muted }, scriptOf(cell.top[0]?.text ?? '')) : null,
      f === undefined
        ? null
        : [
            h('rect', { class: 'track', x: xBar, y: y(i) - 0.5, width: barW, height: 1, fill: theme.line }),
            h('rect', { class: 'mark bar', 'data-layer': cell.layer, x: xBar, y: y(i) - Math.min(5, row * 0.28), width: Math.max(0, barW * clamp01(f.p)), height: 2 * Math.min(5, row * 0.28), fill: isTop ? theme.accent : theme.muted, 'fill-opacity': isTop ? null : 0.6 }),
            h('text', { class: 'p', x: xBar + barW + pW, y: base, 'text-anchor': 'end', 'font-size': SIZE.small, fill: isTop ? theme.ink : theme.muted }, percent(f.p)),
            h('text', { class: 'rank', x: xRank, y: base, 'text-anchor': 'end', 'font-size': SIZE.small, 'font-weight': isTop ? 700 : null, fill: isTop ? theme.accent : theme.muted }, rankText(f.rank)),
          ],
    );
  });

  const head = (x: number, word: string, anchor = 'start'): SvgNode => h('text', { x, y: 14, 'text-anchor': anchor, fill: theme.ink, 'font-weight': 600 }, word);
  const sub = (x: number, word: string, anchor = 'start'): SvgNode => h('text', { x, y: 29, 'text-anchor': anchor, 'font-size': SIZE.small, fill: theme.muted }, word);
  const finding = options.label ?? columnFinding(cells, follow, role, emerged);
  const gold = followed ? fit(`“${wordText(followedText)}”`, barW, SIZE.text) : '';
  return {
    svg: frame(
      'lens-column',
      options,
      height,
      finding,
      h('g', { class: 'head', 'aria-hidden': 'true' }, head(xTop, 'Top reading'), sub(0, 'layer'), followed ? [head(xBar, gold), sub(xBar, `${role} token`), head(xRank, 'Rank', 'end')] : null, script ? sub(xScript, 'script') : null),
      h('line', { x1: 0, x2: width, y1: top - 4, y2: top - 4, stroke: theme.line }),
      rows,
      curtains(cells.map(({ layer }, i) => ({ layer, y: y(i) - row / 2 })), 0, width, row, theme),
      emergedRule(),
    ),
    width,
    height,
    title: options.title ?? `Logit lens at the ${data.position ?? 'readout'}`,
    finding,
    table: {
      columns: ['layer', 'top token', 'p(top)', 'entropy (nats)', 'script', `${role} token`, `p(${role})`, `rank(${role}), 1 = top`],
      rows: [...cells].reverse().map((c): Cell[] => [c.layer, c.top[0]?.text ?? null, c.top[0]?.p ?? null, c.entropy, scriptOf(c.top[0]?.text ?? ''), c.followed[follow]?.text ?? null, c.followed[follow]?.p ?? null, rankOf(c, follow)]),
    },
    locate(px, py) {
      const i = Math.floor((py - top) / row);
      if (px < 0 || px > width || i < 0 || i >= cells.length) return null;
      return { ...hitOf(i), x: px };
    },
    at: (layer) => cells.flatMap((c, i) => (c.layer === layer ? [hitOf(i)] : [])),
  };

  function hitOf(i: number): Hit {
    return { layer: cells[i].layer, token: cells[i].position, x: xTop, y: y(i), text: rowLabel(cells[i], follow, role) };
  }
  /** A hairline under the first layer from which the followed token stays on top to the end. */
  function emergedRule(): SvgNode | null {
    if (emerged === null) return null;
    const i = cells.findIndex((c) => c.layer === emerged);
    const at = y(i) + row / 2;
    return h('g', { class: 'emergence', 'data-layer': emerged }, h('line', { x1: xBar - 8, x2: width, y1: at, y2: at, stroke: theme.accent, 'stroke-dasharray': '2 2' }));
  }
}

/** Over the rows of layers outside a range: a row that were itself see-through would be a layer of its own to blend. */
function curtains(rows: readonly { layer: number; y: number }[], x: number, width: number, height: number, theme: Theme): SvgNode {
  return h('g', { class: 'curtains', 'aria-hidden': 'true' }, rows.map(({ layer, y }) => h('rect', { class: 'curtain', 'data-layer': layer, x, y, width, height, fill: theme.background })));
}

const clamp01 = (p: number): number => (Number.isFinite(p) ? Math.min(1, Math.max(0, p)) : 0);
/** As the page counts: 1 is the top. */
const rankOf = (c: LensCell, follow: number): number | null => (c.followed[follow] ? c.followed[follow].rank + 1 : null);
const rankText = (rank: number): string => (rank < 9999 ? `#${rank + 1}` : `#${Math.round((rank + 1) / 1000)}k`);

/** First layer from which the followed token is the top one and stays so; `cells` deepest first. [O] */
function emergence(cells: LensCell[], follow: number): number | null {
  let found: number | null = null;
  for (const c of cells) {
    if (c.followed[follow]?.rank !== 0) break;
    found = c.layer;
  }
  return found;
}

function rowLabel(c: LensCell, follow: number, role: string): string {
  const t = c.top[0];
  const f = c.followed[follow];
  const said = t ? `layer ${c.layer} reads “${isolated(wordText(t.text))}” (${percent(t.p)})` : `layer ${c.layer}`;
  return f ? `${said}; ${role} token “${isolated(wordText(f.text))}” ${percent(f.p)}, rank ${f.rank + 1}` : said;
}

function columnFinding(cells: LensCell[], follow: number, role: string, emerged: number | null): string {
  const deep = cells[0];
  if (!deep) return 'No lens readings.';
  const f = deep.followed[follow];
  if (!f) return `At the last layer the lens reads “${isolated(wordText(deep.top[0]?.text ?? ''))}”. No token is followed.`;
  const word = isolated(wordText(f.text));
  if (emerged !== null) return `The ${role} token “${word}” is the top reading from layer ${emerged} to the last; it ends at ${percent(f.p)}.`;
  const best = cells.reduce((a, b) => ((b.followed[follow]?.rank ?? Infinity) < (a.followed[follow]?.rank ?? Infinity) ? b : a));
  const r = best.followed[follow];
  return `The ${role} token “${word}” ends at rank ${f.rank + 1} (${percent(f.p)})${r && r.rank < f.rank ? `; it stood best at layer ${best.layer}, rank ${r.rank + 1}` : ''}. The last layer reads “${isolated(wordText(deep.top[0]?.text ?? ''))}”.`;
}

export interface LensGridData {
  cells: LensCell[];
  /** The columns, in order: position and the token that stands there; whether it is one of the answer's own. */
  positions: { position: number; text: string; group?: string; answer?: boolean }[];
  follow?: number;
  role?: string;
  /** What the shade of a cell means. Default the top token's probability. */
  shade?: 'top' | 'followed' | 'entropy';
}

/** Steps of a cell's shade. */
const SHADES = 20;

/** All of a grid but its shades. */
interface Grid {
  width: number;
  height: number;
  left: number;
  top: number;
  col: number;
  row: number;
  at(layer: number, position: number): LensCell | undefined;
  /** Deepest first. */
  layers: number[];
  /** Each cell, where its box is drawn, and whether the followed token is on top in it. */
  filled: { c: LensCell; box: string; hit: boolean }[];
  maxEntropy: number;
  finding: string;
  /** Over the shades: the words, then what covers layers outside a range and all that lights up. */
  sheets: SvgNode[];
}
const grids = rememberer<LensCell[], Grid>();

function layOut(data: LensGridData, options: ChartOptions, theme: Theme): Grid {
  const { cells, positions, follow = 0, role = 'gold' } = data;
  const known = new Map(cells.map((c) => [c.layer * 1e6 + c.position, c]));
  const at = (layer: number, position: number): LensCell | undefined => known.get(layer * 1e6 + position);
  const layers = [...new Set(cells.map((c) => c.layer))].sort((a, b) => b - a);
  const left = 30;
  const top = 26;
  const minCol = 46;
  // the chart grows rather than becoming unreadable; the page scrolls it sideways
  const width = Math.max(options.width, left + positions.length * minCol);
  const col = Math.min(120, (width - left - 2) / Math.max(1, positions.length));
  const height = Math.max(options.height ?? 0, top + layers.length * ROW + 6);
  const row = (height - top - 6) / Math.max(1, layers.length);
  const sel = options.selection ?? {};
  const box = `h${num(col - 1)}v${num(row - 1)}h${num(1 - col)}z`;
  const middle = (i: number): number => top + (i + 0.5) * row + 4;
  const isHit = (c: LensCell): boolean => c.followed[follow]?.rank === 0;
  const filled: Grid['filled'] = [];
  const rows = layers.map((layer, i) =>
    positions.flatMap((p, j) => {
      const c = at(layer, p.position);
      if (!c) return [];
      const hit = isHit(c);
      filled.push({ c, hit, box: `M${num(left + j * col + 0.5)},${num(top + i * row + 0.5)}${box}` });
      return [h('tspan', { x: left + (j + 0.5) * col, 'font-weight': hit ? 700 : null }, fit(wordText(c.top[0]?.text ?? ''), col - 6, SIZE.small))];
    }),
  );
  // a row is one text: a thousand texts take a browser a third longer to paint. Its words are isolated, whichever way each runs
  const words = h('g', { class: 'readings sheet', 'text-anchor': 'middle', 'font-size': SIZE.small, fill: theme.ink }, rows.map((parts, i) => h('text', { class: 'row', 'data-layer': layers[i], y: middle(i) }, parts)));
  const span = { x: left, width: col * positions.length };
  const outline = { fill: 'none', stroke: theme.ink, 'stroke-width': 1.5 };
  /** What covers rows, the names of rows and columns, and their outlines. */
  const over = h(
    'g',
    { class: 'over sheet', 'font-size': SIZE.small, fill: theme.muted, 'aria-hidden': 'true' },
    curtains(layers.map((layer, i) => ({ layer, y: top + i * row })), left, col * positions.length, row, theme),
    layers.map((layer, i) => [
      h('text', { class: lit('tick', layer === sel.layer), 'data-layer': layer, x: left - 8, y: middle(i), 'text-anchor': 'end' }, String(layer)),
      h('rect', { class: lit('band outline', layer === sel.layer), 'data-layer': layer, ...span, y: top + i * row, height: row, ...outline }),
    ]),
    positions.map((p, j) => [
      h('text', { class: lit('tick', p.position === sel.token), 'data-token': p.position, x: left + j * col + col / 2, y: 16, 'text-anchor': 'middle' }, fit(tokenText(p.text), col - 6, SIZE.small)),
      h('rect', { class: lit('band outline', p.position === sel.token), 'data-token': p.position, x: left + j * col, y: top, width: col, height: row * layers.length, ...outline }),
    ]),
  );
  // in the answer the token stands already: what counts is where it is read before it is said
  const before = new Set(positions.filter((p) => !p.answer).map((p) => p.position));
  const counted = cells.filter((c) => before.size === 0 || before.has(c.position));
  const topCells = counted.filter(isHit);
  const answer = before.size > 0 && before.size < positions.length ? ' before the answer' : '';
  const n = before.size || positions.length;
  const where = n === 1 ? `one position${answer}` : `${n} positions${answer}`;
  const finding =
    topCells.length === 0
      ? `The ${role} token is nowhere the top reading over ${layers.length} layers and ${where}.`
      : `The ${role} token is the top reading in ${topCells.length} of ${counted.length} cells${answer}, first at layer ${Math.min(...topCells.map((c) => c.layer))}.`;
  const maxEntropy = cells.reduce((most, c) => (c.entropy > most && c.entropy < Infinity ? c.entropy : most), 1e-9);
  return { width, height, left, top, col, row, at, layers, filled, maxEntropy, finding, sheets: [words, over] };
}

/** Layers × positions: each cell names its top token, shaded by probability (or by the followed token's, or by entropy). */
export function lensGrid(data: LensGridData, options: ChartOptions): Chart {
  const theme = options.theme ?? cssTheme;
  const { follow = 0, role = 'gold', shade = 'top' } = data;
  // to shade a grid otherwise draws thousands of cells
  const grid = grids(data.cells, theme, [options.width, options.height, data.follow, data.role, options.selection, data.positions], () => layOut(data, options, theme));
  const { width, height, left, top, col, row, at, layers, maxEntropy } = grid;
  const value = (c: LensCell): number => (shade === 'entropy' ? c.entropy / maxEntropy : shade === 'followed' ? (c.followed[follow]?.p ?? 0) : (c.top[0]?.p ?? 0));
  // the cells of one shade are one path: a grid has thousands
  const shades: string[] = Array.from({ length: 2 * SHADES + 2 }, () => '');
  for (const { c, box, hit } of grid.filled) shades[Math.round(clamp01(value(c)) * SHADES) + (hit ? SHADES + 1 : 0)] += box;
  const finding = options.label ?? grid.finding;
  return {
    svg: frame(
      'lens-grid',
      { ...options, width },
      height,
      finding,
      h('g', { class: 'shades' }, shades.map((d, k) => h('path', { class: 'cells', d, fill: k > SHADES ? theme.accent : theme.positive, 'fill-opacity': 0.05 + (0.4 * (k % (SHADES + 1))) / SHADES }))),
      grid.sheets,
    ),
    width,
    height,
    title: options.title ?? `Logit lens, layers × positions, shaded by ${shade === 'entropy' ? 'entropy' : shade === 'followed' ? `the ${role} token’s probability` : 'the top token’s probability'}`,
    finding,
    get table() {
      return {
        columns: ['layer', 'position', 'token', 'top reading', 'p(top)', 'entropy (nats)', 'script', `p(${role})`, `rank(${role}), 1 = top`],
        rows: layers.flatMap((layer) =>
          data.positions.flatMap((p): Cell[][] => {
            const c = at(layer, p.position);
            return c ? [[layer, p.position, p.text, c.top[0]?.text ?? null, c.top[0]?.p ?? null, c.entropy, scriptOf(c.top[0]?.text ?? ''), c.followed[follow]?.p ?? null, rankOf(c, follow)]] : [];
          }),
        ),
      };
    },
    locate(px, py) {
      const j = Math.floor((px - left) / col);
      const i = Math.floor((py - top) / row);
      const p = data.positions[j];
      const c = p && layers[i] !== undefined ? at(layers[i], p.position) : undefined;
      return c ? hitOf(c, i, j) : null;
    },
    at: (layer) =>
      data.positions.flatMap((p, j) => {
        const c = at(layer, p.position);
        return c ? [hitOf(c, layers.indexOf(layer), j)] : [];
      }),
    rows: true,
  };
  function hitOf(c: LensCell, i: number, j: number): Hit {
    return { layer: c.layer, token: c.position, x: left + (j + 0.5) * col, y: top + (i + 0.5) * row, text: `${rowLabel(c, follow, role)}; entropy ${short(c.entropy)} nats; ${scriptOf(c.top[0]?.text ?? '')}` };
  }
}
