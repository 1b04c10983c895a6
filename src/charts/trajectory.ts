/**
 * Trajectory [O]: the paths h[0..L] of token groups (or single tokens) through a 2-D projection, one path per language × group.
 *
 * One unit is the same length on both axes (distances in the picture are distances in the plane); the axes say how much of the variance
 * they hold. Layers are marked by dots that grow with depth, so direction reads without an arrow; the pinned paths are numbered.
 */
import { scaleLinear } from 'd3-scale';
import type { Language, TokenGroup } from '../types';
import { caught, frame, lit, nearest, SIZE, type Cell, type Chart, type ChartOptions, type Hit } from './chart';
import { placeLabels, type Box, type LabelRequest } from './labels';
import { markerPath, ring } from './markers';
import { h, linePath, num, type SvgNode } from './svg';
import { percent, short } from './text';
import { cssTheme, GROUP_NAME, languageColour, languageStyle } from './theme';

export interface TrajectoryPath {
  /** '' = text of no named language. */
  language: Language | (string & {});
  group: TokenGroup;
  /** Index into the probe's tokens when the path is one token's, not a group mean's. */
  token?: number;
  /** Drawn with emphasis (English and the target); the others are context. */
  pinned?: boolean;
  /** Which of two compared runs; B is drawn hollow. */
  slot?: 'A' | 'B';
  /** Replaces the default end label. */
  label?: string;
  /** Layer numbers of the points. */
  layers: ArrayLike<number>;
  /** Projected coordinates [layers]; NaN breaks the path. */
  x: ArrayLike<number>;
  y: ArrayLike<number>;
}
export interface TrajectoryData {
  paths: TrajectoryPath[];
  axes: [TrajectoryAxis, TrajectoryAxis];
  /** How the plane was made, and what it preserves: stands in the title's second line and in the finding. */
  method: string;
}
export interface TrajectoryAxis {
  name: string;
  /** Share of the variance of what is shown, 0..1; null when the axis has no such number. */
  explained: number | null;
}
export interface TrajectoryOptions extends ChartOptions {
  /** 'auto': by group when several groups are shown, else by language. */
  colourBy?: 'auto' | 'group' | 'language';
  /** Zoom as d3-zoom gives it, applied to pixels of the plot. */
  zoom?: { k: number; x: number; y: number };
  /** Only these layers are strong (a lassoed range); inclusive. */
  range?: [number, number] | null;
  /** Same length per unit on both axes. Default true; false fills the frame. */
  equal?: boolean;
  /** Fixed data extent, so that several panels or checkpoints share scales. */
  domain?: { x: [number, number]; y: [number, number] };
  /** Layer numbers on the pinned paths: every n-th; 0 = none. Default: about six per path. */
  numberEvery?: number;
  /** Small panel: no axis words, fewer labels. */
  compact?: boolean;
}

/** The extent of all finite points, at least a hair wide. */
export function trajectoryDomain(paths: TrajectoryPath[]): { x: [number, number]; y: [number, number] } {
  const range = (pick: (p: TrajectoryPath) => ArrayLike<number>): [number, number] => {
    let lo = Infinity;
    let hi = -Infinity;
    for (const p of paths) {
      const v = pick(p);
      for (let i = 0; i < v.length; i++) {
        if (!Number.isFinite(v[i])) continue;
        if (v[i] < lo) lo = v[i];
        if (v[i] > hi) hi = v[i];
      }
    }
    if (lo > hi) return [-1, 1];
    return hi - lo < 1e-9 ? [lo - 0.5, hi + 0.5] : [lo, hi];
  };
  return { x: range((p) => p.x), y: range((p) => p.y) };
}

/** Widens the shorter axis so that a unit has the same length on both. */
function equalise(d: { x: [number, number]; y: [number, number] }, w: number, ht: number): { x: [number, number]; y: [number, number] } {
  const dx = d.x[1] - d.x[0];
  const dy = d.y[1] - d.y[0];
  const unit = Math.max(dx / w, dy / ht);
  const grow = ([a, b]: [number, number], span: number): [number, number] => [(a + b - span) / 2, (a + b + span) / 2];
  return { x: grow(d.x, unit * w), y: grow(d.y, unit * ht) };
}

interface Drawn {
  path: TrajectoryPath;
  px: Float64Array;
  py: Float64Array;
  colour: string;
  first: number;
  last: number;
}

/** How much of its colour the context keeps. */
const FAINT = 0.42;

const nameOf = (p: TrajectoryPath): string => {
  const who = languageStyle(p.language).name;
  const what = p.token === undefined ? GROUP_NAME[p.group] : `token ${p.token}`;
  return `${who}, ${what}${p.slot ? ` (${p.slot})` : ''}`;
};

export function trajectory(data: TrajectoryData, options: TrajectoryOptions): Chart {
  const theme = options.theme ?? cssTheme;
  const { width } = options;
  const height = options.height ?? Math.round(Math.min(width, Math.max(320, width * 0.62)));
  const compact = options.compact ?? false;
  const margin = compact ? { top: 18, right: 14, bottom: 14, left: 14 } : { top: 22, right: 16, bottom: 42, left: 20 };
  const plot: Box = { x: margin.left, y: margin.top, w: width - margin.left - margin.right, h: height - margin.top - margin.bottom };
  // labels stand outside the outermost points, so the data keeps clear of the frame
  const inset = compact ? 12 : Math.min(56, width * 0.09);

  const raw = options.domain ?? trajectoryDomain(data.paths);
  const domain = (options.equal ?? true) ? equalise(raw, plot.w - 2 * inset, plot.h - 2 * inset * 0.6) : raw;
  const zoom = options.zoom ?? { k: 1, x: 0, y: 0 };
  const zoomed = (a: number, k: number, t: number): number => a * k + t;
  const sx = scaleLinear(domain.x, [plot.x + inset, plot.x + plot.w - inset].map((a) => zoomed(a, zoom.k, zoom.x)));
  const sy = scaleLinear(domain.y, [plot.y + plot.h - inset * 0.6, plot.y + inset * 0.6].map((a) => zoomed(a, zoom.k, zoom.y)));

  const groups = [...new Set(data.paths.map((p) => p.group))];
  const languages = [...new Set(data.paths.map((p) => p.language))];
  const byGroup = options.colourBy === 'group' || ((options.colourBy ?? 'auto') === 'auto' && groups.length > 1);
  const anyPinned = data.paths.some((p) => p.pinned);
  const strong = (p: TrajectoryPath): boolean => !anyPinned || p.pinned === true;
  const selected = options.selection?.layer ?? null;
  const lastLayer = Math.max(1, ...data.paths.map((p) => p.layers[p.layers.length - 1] ?? 0));

  const drawn: Drawn[] = data.paths.map((path) => {
    const n = path.layers.length;
    const px = new Float64Array(n);
    const py = new Float64Array(n);
    let first = -1;
    let last = -1;
    for (let i = 0; i < n; i++) {
      px[i] = sx(path.x[i]);
      py[i] = sy(path.y[i]);
      if (Number.isFinite(px[i] + py[i])) {
        if (first < 0) first = i;
        last = i;
      }
    }
    return { path, px, py, colour: byGroup ? theme.groups[path.group] : languageColour(theme, path.language), first, last };
  });
  // context first, pinned on top
  const order = [...drawn].sort((a, b) => Number(strong(a.path)) - Number(strong(b.path)));

  const radius = (layer: number, on: boolean): number => (on ? 1.6 + 2.6 * (layer / lastLayer) : 1 + 1.2 * (layer / lastLayer)) * (compact ? 0.8 : 1);
  const inRange = (layer: number): boolean => !options.range || (layer >= options.range[0] && layer <= options.range[1]);

  const taken: Box[] = [];
  // all lines before all dots, so that no path's halo cuts another's marks
  const marks = [...order.map(drawLine), contextDots(order.filter((d) => !strong(d.path))), ...order.map(drawDots)];
  function identity(path: TrajectoryPath): Record<string, string | number | undefined> {
    return { 'data-language': path.language, 'data-group': path.group, 'data-token': path.token, 'data-slot': path.slot };
  }
  /** On strokes and fills, not on elements: a see-through element is a layer of its own to blend, and there are hundreds. */
  function faint(on: boolean): Record<string, number | null> {
    return { 'fill-opacity': on ? null : FAINT, 'stroke-opacity': on ? null : FAINT };
  }
  function drawLine({ path, px, py, colour }: Drawn): SvgNode {
    const on = strong(path);
    const line = linePath(px, py);
    const { dash } = languageStyle(path.language);
    return h(
      'g',
      { class: `path ${on ? 'is-pinned' : 'is-context'}`, ...identity(path), role: 'img', 'aria-label': describe(path) },
      on ? h('path', { class: 'halo', d: line, fill: 'none', stroke: theme.background, 'stroke-width': 4.5, 'stroke-linejoin': 'round', 'stroke-opacity': 0.85 }) : null,
      ...strokes(path, line, px, py).map(([d, inside]) =>
        h('path', { class: inside ? 'line' : 'line is-dim', d, fill: 'none', stroke: colour, 'stroke-opacity': on ? null : FAINT, 'stroke-width': on ? 1.8 : 1, 'stroke-dasharray': dash || (path.slot === 'B' ? '1 2' : null), 'stroke-linejoin': 'round', 'stroke-linecap': 'round' }),
      ),
    );
  }
  /** The whole line, faint where a range is chosen, and then the part inside it. */
  function strokes(path: TrajectoryPath, line: string, px: Float64Array, py: Float64Array): [string, boolean][] {
    if (!options.range) return [[line, true]];
    const inside = linePath(
      px.map((v, i) => (inRange(path.layers[i]) ? v : NaN)),
      py,
    );
    return [[line, false], ...(inside === '' ? [] : ([[inside, true]] as [string, boolean][]))];
  }
  function drawDots({ path, px, py, colour, first, last }: Drawn): SvgNode {
    const on = strong(path);
    const style = languageStyle(path.language);
    const dots: SvgNode[] = [];
    for (let i = 0; i < px.length; i++) {
      const end = i === last || i === first;
      if (!Number.isFinite(px[i] + py[i]) || !(on || end)) continue;
      const layer = path.layers[i];
      const isLit = selected === layer;
      const cls = markClass(layer);
      const r = radius(layer, on) + (isLit ? 1.6 : 0) + (i === last && on ? 1.4 : 0);
      const hollow = path.slot === 'B' || i === first;
      dots.push(
        end
          ? h('path', { class: `${cls} ${i === first ? 'start' : 'end'}`, 'data-layer': layer, d: markerPath(style.marker, px[i], py[i], i === first ? Math.max(r, 3) : r), fill: hollow ? theme.background : colour, stroke: colour, 'stroke-width': 1.3, ...faint(on) })
          : h('circle', { class: cls, 'data-layer': layer, cx: px[i], cy: py[i], r, fill: hollow ? theme.background : colour, stroke: hollow ? colour : null }),
      );
      if (on) taken.push({ x: px[i] - r, y: py[i] - r, w: 2 * r, h: 2 * r });
    }
    return h('g', { class: `dots ${on ? 'is-pinned' : 'is-context'}`, ...identity(path), 'aria-hidden': 'true' }, dots);
  }
  /** The context's dots between its ends: those of one layer and colour are one path, so that thirty paths are not a thousand elements. */
  function contextDots(context: Drawn[]): SvgNode | null {
    const at = new Map<string, { layer: number; colour: string; hollow: boolean; r: number; round: string; d: string }>();
    for (const { path, px, py, colour, first, last } of context)
      for (let i = first + 1; i < last; i++) {
        if (!Number.isFinite(px[i] + py[i])) continue;
        const layer = path.layers[i];
        const hollow = path.slot === 'B';
        const key = `${layer} ${colour} ${hollow}`;
        let dots = at.get(key);
        if (!dots) {
          const r = radius(layer, false) + (layer === selected ? 1.6 : 0);
          at.set(key, (dots = { layer, colour, hollow, r, round: ring(r), d: '' }));
        }
        dots.d += `M${num(px[i] - dots.r)},${num(py[i])}${dots.round}`;
      }
    if (at.size === 0) return null;
    const dots = [...at.values()].map(({ layer, colour, hollow, d }) => h('path', { class: markClass(layer), 'data-layer': layer, d, fill: hollow ? theme.background : colour, stroke: hollow ? colour : null }));
    return h('g', { class: 'dots is-context', 'aria-hidden': 'true', ...faint(false) }, dots);
  }
  function markClass(layer: number): string {
    return lit(inRange(layer) ? 'mark' : 'mark is-dim', layer === selected);
  }

  // ---- labels: ends first (they name the paths), then starts, then layer numbers where there is room
  const strongPaths = order.filter((d) => d.first >= 0 && strong(d.path));
  const ends = (strongPaths.length <= (compact ? 4 : 14) ? strongPaths : []).map((d): { d: Drawn; i: number; text: string } => ({ d, i: d.last, text: d.path.label ?? endLabel(d.path) }));
  function endLabel(p: TrajectoryPath): string {
    const slot = p.slot ? ` ${p.slot}` : '';
    const who = languageStyle(p.language).name;
    const what = p.token === undefined ? GROUP_NAME[p.group] : `token ${p.token}`;
    if (groups.length > 1 && languages.length > 1) return `${who} ${what}${slot}`;
    return (groups.length > 1 ? what : who) + slot;
  }
  const context = compact ? [] : order.filter((d) => d.first >= 0 && !strong(d.path) && d.path.group === groups[0]);
  const contextEnds = context.map((d) => ({ d, i: d.last, text: d.path.language || 'text' }));
  const request = ({ d, i, text }: { d: Drawn; i: number; text: string }, size: number, must: boolean): LabelRequest => ({ x: d.px[i], y: d.py[i], gap: 10, text, size, must });
  const bounds: Box = { x: 2, y: 2, w: width - 4, h: height - (compact ? 4 : 30) };
  const endPlaces = placeLabels(ends.map((e) => request(e, SIZE.text, strongPaths.length <= 6)), bounds, taken);

  const every = options.numberEvery ?? Math.max(1, Math.ceil(lastLayer / (width < 500 ? 3 : 6)));
  const numbers: { d: Drawn; i: number; text: string }[] = [];
  if (every > 0 && !compact)
    for (const d of strongPaths.slice(-4))
      for (let i = d.first; i <= d.last; i++) {
        const layer = d.path.layers[i];
        if (layer % every === 0 && i !== d.last) numbers.push({ d, i, text: String(layer) });
      }
  const numberPlaces = placeLabels(numbers.map((n) => ({ ...request(n, SIZE.small, false), gap: 6 })), bounds, taken);
  const contextPlaces = placeLabels(contextEnds.map((e) => ({ ...request(e, SIZE.small, false), gap: 6, near: true })), bounds, taken);
  const text = (items: { d: Drawn; i: number; text: string }[], places: ReturnType<typeof placeLabels>, cls: string, size: number, weight: number | null, faint: boolean): SvgNode[] =>
    items.flatMap((e, k) => {
      const place = places[k];
      if (place === null) return [];
      const layer = cls.startsWith('tick') ? e.d.path.layers[e.i] : undefined;
      return [
        h('text', { class: lit(layer === undefined || inRange(layer) ? cls : `${cls} is-dim`, layer !== undefined && layer === selected), x: place.x, y: place.y, 'text-anchor': place.anchor, 'font-size': size, 'font-weight': weight, fill: faint ? theme.muted : e.d.colour, 'data-layer': layer, 'data-language': e.d.path.language, 'data-group': e.d.path.group, stroke: theme.background, 'stroke-width': 3, 'stroke-linejoin': 'round', 'paint-order': 'stroke' }, e.text),
      ];
    });

  const finding = options.label ?? findingOf(data, strongPaths.map((d) => d.path), options.range ?? null);
  const clip = `clip-${hash(`${width}x${height}`)}`;
  const svg = frame(
    'trajectory',
    options,
    height,
    finding,
    h('defs', {}, h('clipPath', { id: clip }, h('rect', { x: 0, y: 0, width, height: height - (compact ? 0 : 30) }))),
    compact ? null : axes(),
    h(
      'g',
      { class: 'view', 'clip-path': zoom.k === 1 && zoom.x === 0 && zoom.y === 0 ? null : `url(#${clip})` },
      marks,
      text(contextEnds, contextPlaces, 'name context', SIZE.small, null, true),
      text(numbers, numberPlaces, 'tick', SIZE.small, null, true),
      text(ends, endPlaces, 'name', SIZE.text, 600, false),
    ),
  );

  function axes(): SvgNode {
    const bottom = plot.y + plot.h + 4;
    const visible = (v: number, a: number, b: number): boolean => v >= a && v <= b;
    const wideX = sx.ticks(Math.max(3, Math.round(plot.w / 140))).filter((t) => visible(sx(t), plot.x, plot.x + plot.w));
    const wideY = sy.ticks(Math.max(3, Math.round(plot.h / 120))).filter((t) => visible(sy(t), plot.y, plot.y + plot.h));
    const word = (a: TrajectoryAxis): string => a.name + (a.explained === null ? '' : ` · ${percent(a.explained)} of variance`);
    return h(
      'g',
      { class: 'axes', 'aria-hidden': 'true', 'font-size': SIZE.small, fill: theme.muted },
      h('path', { class: 'grid', d: wideX.map((t) => `M${num(sx(t))},${num(plot.y)}V${num(bottom)}`).join('') + wideY.map((t) => `M${num(plot.x)},${num(sy(t))}H${num(plot.x + plot.w)}`).join(''), stroke: theme.line, 'stroke-width': 1, 'stroke-opacity': 0.55, fill: 'none' }),
      wideX.map((t) => h('text', { x: sx(t), y: bottom + 14, 'text-anchor': 'middle' }, short(t))),
      wideY.map((t) => h('text', { x: plot.x - 4, y: sy(t) - 4, 'text-anchor': 'start' }, short(t))),
      h('text', { class: 'axis-name', x: plot.x + plot.w, y: height - 6, 'text-anchor': 'end', fill: theme.ink }, `${word(data.axes[0])} →`),
      h('text', { class: 'axis-name', x: plot.x - 4, y: 12, fill: theme.ink }, `↑ ${word(data.axes[1])}`),
    );
  }

  // flat copies for hit testing: pinned paths win ties because they come last
  const flat = order.flatMap((d) => Array.from(d.px, (_, i) => ({ d, i })));
  const xs = Float64Array.from(flat, (f) => f.d.px[f.i]);
  const ys = Float64Array.from(flat, (f) => f.d.py[f.i]);
  const hitOf = (k: number): Hit => {
    const { d, i } = flat[k];
    const p = d.path;
    return { layer: p.layers[i], language: p.language, group: p.group, token: p.token, x: xs[k], y: ys[k], text: `${nameOf(p)}, layer ${p.layers[i]}: (${short(p.x[i])}, ${short(p.y[i])})` };
  };
  return {
    svg,
    width,
    height,
    title: options.title ?? `Path of the ${groups.map((g) => GROUP_NAME[g]).join(', ')} through the layers`,
    finding,
    table: {
      columns: ['language', 'group', 'run', 'layer', data.axes[0].name, data.axes[1].name],
      rows: data.paths.flatMap((p) => Array.from(p.layers, (layer, i): Cell[] => [p.language, p.group, p.slot ?? '', layer, p.x[i], p.y[i]])),
    },
    locate(x, y) {
      const k = nearest(xs, ys, x, y, 24);
      return k < 0 ? null : hitOf(k);
    },
    at: (layer) => flat.flatMap((f, k) => (f.d.path.layers[f.i] === layer && Number.isFinite(xs[k] + ys[k]) ? [k] : [])).reverse().map(hitOf),
    lasso(x0, y0, x1, y1) {
      const of = flat.map((f) => (strong(f.d.path) ? f.d.path.layers[f.i] : NaN));
      return caught(of, xs, ys, [x0, y0, x1, y1]);
    },
  };
}

function describe(p: TrajectoryPath): string {
  let length = 0;
  for (let i = 1; i < p.x.length; i++) {
    const step = Math.hypot(p.x[i] - p.x[i - 1], p.y[i] - p.y[i - 1]);
    if (Number.isFinite(step)) length += step;
  }
  return `${nameOf(p)}: layers ${p.layers[0]} to ${p.layers[p.layers.length - 1]}, path length ${short(length)}`;
}

/** Where two pinned paths of the same group come closest: what the picture is usually asked for. */
function findingOf(data: TrajectoryData, paths: TrajectoryPath[], within: [number, number] | null): string {
  const total = data.axes[0].explained !== null && data.axes[1].explained !== null ? ` The two axes hold ${percent(data.axes[0].explained + data.axes[1].explained)} of the variance.` : '';
  const parts: string[] = [];
  for (const group of new Set(paths.map((p) => p.group))) {
    const same = paths.filter((p) => p.group === group);
    if (same.length < 2) continue;
    const a = same.find((p) => p.language === 'en') ?? same[0];
    const b = same.find((p) => p !== a);
    if (!b) continue;
    let best = -1;
    let bestD = Infinity;
    let first = NaN;
    let firstAt = 0;
    for (let i = 0; i < Math.min(a.layers.length, b.layers.length); i++) {
      if (within && (a.layers[i] < within[0] || a.layers[i] > within[1])) continue;
      const d = Math.hypot(a.x[i] - b.x[i], a.y[i] - b.y[i]);
      // a readout begins as the same token in every language: that they coincide there is no finding
      if (d < 1e-6) continue;
      if (Number.isNaN(first)) [first, firstAt] = [d, i];
      if (d < bestD) {
        bestD = d;
        best = a.layers[i];
      }
    }
    if (best >= 0) parts.push(`the ${GROUP_NAME[group]} in ${languageStyle(a.language).name} and ${languageStyle(b.language).name} comes closest at layer ${best} (distance ${short(bestD)}, ${short(first)} at ${firstAt > 0 ? `layer ${a.layers[firstAt]}` : 'the start'})`);
  }
  const what = parts.length > 0 ? `In this plane${within ? `, from layer ${within[0]} to ${within[1]},` : ''} ${parts.join('; ')}.` : `${data.paths.length} path${data.paths.length === 1 ? '' : 's'} through the layers.`;
  return `${what} ${data.method}.${total}`;
}

function hash(s: string): string {
  let x = 2166136261;
  for (let i = 0; i < s.length; i++) x = Math.imul(x ^ s.charCodeAt(i), 16777619);
  return (x >>> 0).toString(36);
}
