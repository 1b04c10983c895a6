/**
 * Relevance R[l, i] [R]: `relevanceHeatmap` (layers × tokens, group bands, MRD marks) and `profile` (one token or group by layer).
 *
 * A prompt of 600 tokens over 37 layers has 22,200 cells. Cells of one shade are one path (20 paths in all), so the page holds a handful of
 * elements, and a pointer is answered by arithmetic. Values that are not finite are hatched, never drawn as zero.
 */
import { cumsum } from 'd3-array';
import { scaleLinear } from 'd3-scale';
import { GROUPS, type TokenGroup } from '../types';
import { layerAxis, layerBands, layerTicks, yAxis } from './axes';
import { frame, lit, SIZE, type Cell, type Chart, type ChartOptions, type Hit } from './chart';
import type { Box } from './labels';
import { h, linePath, num } from './svg';
import { fit, isolated, short, textWidth, tokenText, wordText } from './text';
import { cssTheme, GROUP_NAME } from './theme';

export interface RelevanceData {
  /** [layers+1, tokens], row-major. */
  relevance: ArrayLike<number>;
  /** Number of rows, L+1. */
  rows: number;
  tokens: { text: string; group: TokenGroup }[];
  /** MRD per token and per group, in layers. */
  mrd?: (number | null)[];
  groupMrd?: Partial<Record<TokenGroup, number | null>>;
  /** 'none': one scale for all; 'layer': each layer by its own largest value, so rows cannot be compared. */
  scale?: 'none' | 'layer';
}

const SHADES = 10;
/** Least share of the map's absolute relevance that a token has whose depth is drawn. */
export const MARKED = 0.01;
/** Where two names would stand in one place, the first of these keeps it. */
const FIRST: TokenGroup[] = ['question', 'answerSpan', 'readout'];
const importance = (g: TokenGroup): number => (FIRST.includes(g) ? FIRST.indexOf(g) : FIRST.length);

export function relevanceHeatmap(data: RelevanceData, options: ChartOptions): Chart {
  const theme = options.theme ?? cssTheme;
  const n = data.tokens.length;
  const { rows } = data;
  const scale = data.scale ?? 'none';
  const left = 30;
  const right = 8;
  // narrower columns than this cannot be seen or pointed at: the chart grows and the page scrolls it
  const width = Math.max(options.width, left + right + n * 1.5);
  const col = Math.min(30, (width - left - right) / Math.max(1, n));
  const words = col >= 13;
  const wordH = words ? Math.min(84, Math.max(24, ...data.tokens.map((t) => textWidth(wordText(t.text), SIZE.small))) + 10) : 0;
  const top = 34;
  const bandH = 24;
  const height = options.height ?? Math.round(top + Math.max(rows * 11, 190) + bandH + wordH + 8);
  const plot: Box = { x: left, y: top, w: col * n, h: height - top - bandH - wordH - 8 };
  const row = plot.h / Math.max(1, rows);
  const yOf = (l: number): number => plot.y + plot.h - (l + 1) * row;
  const xOf = (i: number): number => plot.x + i * col;
  const sel = options.selection ?? {};

  let max = 0;
  const rowMax = new Float64Array(rows);
  let bad = 0;
  for (let l = 0; l < rows; l++)
    for (let i = 0; i < n; i++) {
      const v = Math.abs(data.relevance[l * n + i]);
      if (!Number.isFinite(v)) bad++;
      else if (v > rowMax[l]) rowMax[l] = v;
    }
  for (const m of rowMax) max = Math.max(max, m);

  // one path per sign and shade; equal neighbours in a row are one rectangle
  const shades: string[][] = Array.from({ length: 2 * SHADES + 1 }, () => []);
  const H = num(row);
  // each number is written many times: made into text once
  const xText = Array.from({ length: n }, (_, i) => num(xOf(i)));
  const wText: string[] = [];
  for (let l = 0; l < rows; l++) {
    const top_ = scale === 'layer' ? rowMax[l] : max;
    const y = num(yOf(l));
    let start = 0;
    let current = -1;
    for (let i = 0; i <= n; i++) {
      let k = -1;
      if (i < n) {
        const v = data.relevance[l * n + i];
        if (!Number.isFinite(v)) k = 2 * SHADES;
        else if (top_ > 0) {
          // square root: small relevance stays visible beside large
          const s = Math.ceil(Math.sqrt(Math.abs(v) / top_) * SHADES - 0.35);
          k = s <= 0 ? -1 : (v > 0 ? 0 : SHADES) + Math.min(SHADES, s) - 1;
        }
      }
      if (k !== current || i === n) {
        if (current >= 0) {
          const w = (wText[i - start] ??= num((i - start) * col));
          shades[current].push(`M${xText[start]},${y}h${w}v${H}h-${w}z`);
        }
        start = i;
        current = k;
      }
    }
  }
  const cells = shades.map((d, k) =>
    d.length === 0
      ? null
      : k === 2 * SHADES
        ? h('path', { class: 'cells not-finite', d: d.join(''), fill: 'url(#not-finite)', stroke: theme.accent, 'stroke-width': 0.5 })
        : h('path', { class: `cells ${k < SHADES ? 'for' : 'against'}`, d: d.join(''), fill: k < SHADES ? theme.positive : theme.negative, 'fill-opacity': ((k % SHADES) + 1) / SHADES }),
  );

  // group bands under the map, with names where they fit
  const runs: { group: TokenGroup; from: number; to: number }[] = [];
  data.tokens.forEach((t, i) => {
    const last = runs[runs.length - 1];
    if (last && last.group === t.group) last.to = i + 1;
    else runs.push({ group: t.group, from: i, to: i + 1 });
  });
  const bandY = plot.y + plot.h + 4 + wordH;
  // the widest run of each group carries its name; names slide apart so that short groups are named too
  const namedRuns = GROUPS.flatMap((g) => {
    const mine = runs.filter((r) => r.group === g);
    return mine.length === 0 ? [] : [mine.reduce((a, b) => (b.to - b.from > a.to - a.from ? b : a))];
  }).sort((a, b) => a.from - b.from);
  let free = 0;
  const bands = h(
    'g',
    { class: 'group-bands' },
    runs.map((r) => h('rect', { class: 'group-band', 'data-group': r.group, x: xOf(r.from), y: bandY, width: Math.max(0.5, (r.to - r.from) * col - (col > 3 ? 1 : 0)), height: 4, fill: theme.groups[r.group] })),
    namedRuns.map((r) => {
      const name = GROUP_NAME[r.group];
      const w = textWidth(name, SIZE.small);
      const mid = (xOf(r.from) + xOf(r.to)) / 2;
      const x = Math.max(free, Math.min(mid - w / 2, width - w - 2));
      if (x + w > width || Math.abs(x + w / 2 - mid) > w + 30) return null;
      free = x + w + 10;
      return h('text', { class: 'name', 'data-group': r.group, x, y: bandY + 17, 'font-size': SIZE.small, fill: theme.groups[r.group] }, name);
    }),
  );

  // the depth of a token that has next to no relevance is that of rounding: told, not drawn
  const weight = data.tokens.map((_, i) => Array.from({ length: rows }, (_, l) => Math.abs(data.relevance[l * n + i])).reduce((sum, v) => sum + (Number.isFinite(v) ? v : 0), 0));
  const least = MARKED * weight.reduce((sum, v) => sum + v, 0);
  const mrdTicks = (data.mrd ?? []).map((m, i) => (m === null || col < 1.2 || weight[i] < least ? '' : `M${num(xOf(i) + Math.min(1, col * 0.1))},${num(yOf(m) + row / 2)}h${num(Math.max(1, col - Math.min(2, col * 0.2)))}`)).join('');
  const named: Box[] = [];
  const groupMarks = [...GROUPS].sort((a, b) => importance(a) - importance(b)).flatMap((g) => {
    const m = data.groupMrd?.[g];
    const mine = runs.filter((r) => r.group === g);
    if (m === null || m === undefined || mine.length === 0) return [];
    const y = yOf(m) + row / 2;
    // in bold, with a halo
    const w = textWidth(`MRD ${m}`, SIZE.small) * 1.08 + 3;
    const text: Box = { x: Math.min(xOf(mine[0].from) + 2, width - w), y: y - 5 - SIZE.small, w, h: SIZE.small };
    const free = !named.some((b) => text.x < b.x + b.w && b.x < text.x + text.w && text.y < b.y + b.h && b.y < text.y + text.h);
    if (free) named.push(text);
    return [
      h(
        'g',
        { class: 'group-mrd', 'data-group': g, 'data-layer': m, role: 'img', 'aria-label': `MRD of the ${GROUP_NAME[g]}: layer ${m}` },
        h('path', { d: mine.map((r) => `M${num(xOf(r.from))},${num(y)}H${num(Math.max(xOf(r.from) + 4, xOf(r.to)))}`).join(''), stroke: theme.background, 'stroke-width': 5 }),
        h('path', { d: mine.map((r) => `M${num(xOf(r.from))},${num(y)}H${num(Math.max(xOf(r.from) + 4, xOf(r.to)))}`).join(''), stroke: theme.groups[g], 'stroke-width': 2.5 }),
        free ? h('text', { x: text.x, y: y - 5, 'font-size': SIZE.small, 'font-weight': 600, fill: theme.groups[g], stroke: theme.background, 'stroke-width': 3, 'paint-order': 'stroke' }, `MRD ${m}`) : null,
      ),
    ];
  });

  const layers = Array.from({ length: rows }, (_, l) => l);
  const finding = options.label ?? heatFinding(data, rows, n, bad);
  const legendW = Math.min(120, width * 0.25);
  const legendX = Math.min(width, left + Math.max(plot.w, 240)) - right - legendW;
  const legend = h(
    'g',
    { class: 'legend', 'aria-hidden': 'true', 'font-size': SIZE.small, fill: theme.muted },
    Array.from({ length: 2 * SHADES }, (_, k) => {
      const s = k < SHADES ? SHADES - k : k - SHADES + 1;
      return h('rect', { x: legendX + (k * legendW) / (2 * SHADES), y: 4, width: legendW / (2 * SHADES), height: 7, fill: k < SHADES ? theme.negative : theme.positive, 'fill-opacity': s / SHADES });
    }),
    h('text', { x: legendX, y: 24 }, 'against'),
    h('text', { x: legendX + legendW, y: 24, 'text-anchor': 'end' }, 'for'),
  );
  return {
    svg: frame(
      'relevance',
      { ...options, width },
      height,
      finding,
      h('defs', {}, h('pattern', { id: 'not-finite', width: 4, height: 4, patternUnits: 'userSpaceOnUse' }, h('path', { d: 'M0,4L4,0', stroke: theme.accent, 'stroke-width': 1 }))),
      h('text', { class: 'axis-name', x: 0, y: 12, 'font-size': SIZE.small, fill: theme.ink }, '↑ layer'),
      h('text', { x: 0, y: 26, 'font-size': SIZE.small, fill: theme.muted }, fit(scale === 'layer' ? 'each layer by its own largest value' : `largest ${short(max)}, shade by square root`, legendX - 8, SIZE.small)),
      legend,
      h('rect', { class: 'ground', x: plot.x, y: plot.y, width: plot.w, height: plot.h, fill: theme.surface }),
      h('g', { class: 'map', 'shape-rendering': 'crispEdges' }, cells),
      mrdTicks === '' ? null : h('path', { class: 'mrd', d: mrdTicks, stroke: theme.ink, 'stroke-width': 1.5, opacity: col < 4 ? 0.55 : 0.9, fill: 'none' }),
      groupMarks,
      h('g', { class: 'axis', 'aria-hidden': 'true', 'font-size': SIZE.small, fill: theme.muted }, layerTicks(layers, row * 1.4).map((l) => h('text', { class: lit('tick', l === sel.layer), 'data-layer': l, x: left - 6, y: yOf(l) + row / 2 + 4, 'text-anchor': 'end' }, String(l)))),
      words ? data.tokens.map((t, i) => h('text', { class: lit('tick', i === sel.token), 'data-token': i, transform: `translate(${num(xOf(i) + col / 2 + 4)},${num(plot.y + plot.h + 6)}) rotate(-90)`, 'text-anchor': 'end', 'font-size': SIZE.small, fill: theme.groups[t.group] }, fit(wordText(t.text), wordH - 8, SIZE.small))) : null,
      bands,
      // hit and highlight layer: lit by class only
      layers.map((l) => h('rect', { class: lit('band outline', l === sel.layer), 'data-layer': l, x: plot.x, y: yOf(l), width: plot.w, height: row, fill: 'none', stroke: theme.ink, 'stroke-width': 1.5 })),
      data.tokens.map((_, i) => h('rect', { class: lit('band outline', i === sel.token), 'data-token': i, x: xOf(i), y: plot.y, width: col, height: plot.h, fill: 'none', stroke: theme.ink, 'stroke-width': 1.5 })),
    ),
    width,
    height,
    title: options.title ?? `Relevance by layer and token${scale === 'layer' ? ', scaled per layer' : ''}`,
    finding,
    table: {
      columns: ['token', 'text', 'group', 'MRD', ...layers.map((l) => `layer ${l}`)],
      rows: data.tokens.map((t, i): Cell[] => [i, t.text, t.group, data.mrd?.[i] ?? null, ...layers.map((l) => data.relevance[l * n + i])]),
    },
    locate(px, py) {
      const i = Math.floor((px - plot.x) / col);
      const l = Math.floor((plot.y + plot.h - py) / row);
      return i < 0 || i >= n || l < 0 || l >= rows ? null : hitOf(l, i);
    },
    at: (l) => (l >= 0 && l < rows ? data.tokens.map((_, i) => hitOf(l, i)) : []),
    rows: true,
  };
  function hitOf(l: number, i: number): Hit {
    const t = data.tokens[i];
    const m = data.mrd?.[i];
    return { layer: l, token: i, group: t.group, x: xOf(i) + col / 2, y: yOf(l) + row / 2, text: `“${isolated(tokenText(t.text))}” (${GROUP_NAME[t.group]}), layer ${l}: ${short(data.relevance[l * n + i])}${m === null || m === undefined ? '' : `, MRD ${m}`}` };
  }
}

function heatFinding(data: RelevanceData, rows: number, n: number, bad: number): string {
  const sums = new Map<TokenGroup, number>();
  let all = 0;
  let bestI = -1;
  let best = -1;
  for (let i = 0; i < n; i++) {
    let s = 0;
    for (let l = 0; l < rows; l++) if (Number.isFinite(data.relevance[l * n + i])) s += Math.abs(data.relevance[l * n + i]);
    sums.set(data.tokens[i].group, (sums.get(data.tokens[i].group) ?? 0) + s);
    all += s;
    if (s > best) {
      best = s;
      bestI = i;
    }
  }
  const parts = [...sums].sort((a, b) => b[1] - a[1]).slice(0, 3).map(([g, s]) => `${GROUP_NAME[g]} ${Math.round((s / (all || 1)) * 100)} %`);
  const depths = GROUPS.flatMap((g) => (data.groupMrd?.[g] === null || data.groupMrd?.[g] === undefined ? [] : [`${GROUP_NAME[g]} ${data.groupMrd[g]}`]));
  return `${n} tokens over layers 0 to ${rows - 1}. Most absolute relevance: ${parts.join(', ')}${bestI >= 0 ? `; largest token “${isolated(tokenText(data.tokens[bestI].text))}”` : ''}.${depths.length > 0 ? ` MRD: ${depths.join(', ')}.` : ''}${bad > 0 ? ` ${bad} values are not finite and are hatched.` : ''} Attribution is not causation.`;
}

export interface ProfileData {
  name: string;
  group?: TokenGroup;
  /** Relevance by layer 0..L. */
  values: ArrayLike<number>;
  mrd: number | null;
  /** Threshold of the MRD, default 0.95. */
  threshold?: number;
}

/** One token's or group's relevance by layer as bars, the running share of its absolute sum as a line, and where the MRD falls. */
export function profile(data: ProfileData, options: ChartOptions): Chart {
  const theme = options.theme ?? cssTheme;
  const { width } = options;
  const height = options.height ?? 200;
  const plot: Box = { x: 44, y: 30, w: width - 44 - 46, h: height - 30 - 42 };
  const values = Array.from(data.values);
  const layers = values.map((_, l) => l);
  const fin = values.filter(Number.isFinite);
  const y = scaleLinear([Math.min(0, ...fin), Math.max(0, ...fin)], [plot.y + plot.h, plot.y]).nice(4);
  const x = scaleLinear([0, Math.max(1, layers.length - 1)], [plot.x + 8, plot.x + plot.w - 8]);
  const share = scaleLinear([0, 1], [plot.y + plot.h, plot.y]);
  const total = fin.reduce((s, v) => s + Math.abs(v), 0);
  const step = x(1) - x(0);
  const w = Math.max(1, Math.min(14, step * 0.62));
  const sums = cumsum(values, (v) => (Number.isFinite(v) ? Math.abs(v) : 0));
  const line = total > 0 ? linePath(layers.map(x), Array.from(sums, (sum) => share(sum / total))) : '';
  const colour = data.group ? theme.groups[data.group] : theme.ink;
  const threshold = data.threshold ?? 0.95;
  const selected = options.selection?.layer;
  const peak = fin.length > 0 ? values.reduce((k, v, l) => (Number.isFinite(v) && Math.abs(v) > Math.abs(values[k] || 0) ? l : k), 0) : null;
  const finding = options.label ?? (peak === null || total === 0 ? `${data.name} has no relevance.` : `${data.name}: relevance is largest at layer ${peak} (${short(values[peak])})${data.mrd === null ? '' : `; ${Math.round(threshold * 100)} % of its absolute sum is reached at layer ${data.mrd} of ${layers.length - 1}`}.`);
  const right = data.mrd !== null && x(data.mrd) > plot.x + plot.w * 0.6;
  return {
    svg: frame(
      'profile',
      options,
      height,
      finding,
      layerBands(layers, x, plot, theme, selected),
      yAxis(plot, y, theme, { zero: true, name: fit(`Relevance of ${data.name}`, width - 8, SIZE.text) }),
      values.map((v, l) =>
        Number.isFinite(v)
          ? h('rect', { class: 'mark bar', 'data-layer': l, x: x(l) - w / 2, y: Math.min(y(v), y(0)), width: w, height: Math.abs(y(v) - y(0)), fill: v >= 0 ? theme.positive : theme.negative })
          : h('text', { class: 'not-finite', 'data-layer': l, x: x(l), y: y(0) - 4, 'text-anchor': 'middle', 'font-size': SIZE.small, fill: theme.accent }, '×'),
      ),
      line === '' ? null : h('path', { class: 'line share', d: line, fill: 'none', stroke: colour, 'stroke-width': 1.4, 'stroke-dasharray': '3 2' }),
      h('g', { 'font-size': SIZE.small, fill: theme.muted, 'aria-hidden': 'true' }, [0, 0.5, 1].map((s) => h('text', { x: plot.x + plot.w + 6, y: share(s) + 4 }, `${s * 100} %`))),
      data.mrd === null ? null : h('g', { class: 'layer-mark', 'data-layer': data.mrd }, h('path', { d: `M${num(x(data.mrd))},${num(plot.y)}V${num(plot.y + plot.h)}`, stroke: colour, 'stroke-width': 1.5 }), h('text', { x: x(data.mrd) + (right ? -6 : 6), y: plot.y + 24, 'text-anchor': right ? 'end' : 'start', 'font-size': SIZE.small, 'font-weight': 600, fill: colour, stroke: theme.background, 'stroke-width': 3, 'paint-order': 'stroke' }, `MRD ${data.mrd}`)),
      layerAxis(layers, x, plot.y + plot.h + 17, theme, selected, { text: 'layer → · dashed: running share', x: plot.x + plot.w }),
    ),
    width,
    height,
    title: options.title ?? `Relevance of ${data.name} by layer`,
    finding,
    table: { columns: ['layer', 'relevance'], rows: values.map((v, l): Cell[] => [l, v]) },
    locate(px, py) {
      if (py < plot.y || py > plot.y + plot.h + 20 || px < plot.x - 8 || px > plot.x + plot.w + 8) return null;
      return { ...hitOf(Math.max(0, Math.min(layers.length - 1, Math.round(x.invert(px))))), y: py };
    },
    at: (layer) => (layer >= 0 && layer < layers.length ? [hitOf(layer)] : []),
  };
  function hitOf(l: number): Hit {
    return { layer: l, group: data.group, x: x(l), y: Number.isFinite(values[l]) ? y(values[l]) : y(0), text: `${data.name}, layer ${l}: ${short(values[l])}` };
  }
}
