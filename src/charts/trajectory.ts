/**
 * Trajectory [O]: the paths h[0..L] of token groups (or single tokens) through a 2-D projection, one path per language × group.
 *
 * One unit is the same length on both axes (distances in the picture are distances in the plane); the axes say how much of the variance
 * they hold. Layers are marked by dots that grow with depth, so direction reads without an arrow; the pinned paths are numbered.
 */
import { ticks } from 'd3-array';
import { caught, frame, inside, lit, nearest, rememberer, SIZE, type Cell, type Chart, type ChartOptions, type Hit, type Zoomable } from './chart';
import type { Box } from './labels';
import { h, num, spot, through, type SvgNode } from './svg';
import { percent, short } from './text';
import { cssTheme, GROUP_NAME, languageColour, languageStyle, type Theme } from './theme';
import { discs, dots, dotsOf, labels, lines, nameOf, outlines, shapes, type Look, type Placed, type TrajectoryPath } from './trajectory-marks';
import { nameZoom, placeZoom, WHOLE, type Frame, type NamedZoom } from './zoom';

export interface TrajectoryData {
  paths: TrajectoryPath[];
  axes: [TrajectoryAxis, TrajectoryAxis];
  /** How the plane was made, and what it preserves: stands in the title's second line and in the finding. */
  method: string;
  /** What a plane cannot show: two paths' cosine at each of their layers in all dimensions. Where given, the finding speaks of it first. */
  inFull?: { dim: number; cosine: (a: TrajectoryPath, b: TrajectoryPath) => ArrayLike<number> | null };
}
export interface TrajectoryAxis {
  name: string;
  /** Share of the variance of what is shown, 0..1; null when the axis has no such number. */
  explained: number | null;
}
interface Domain {
  x: [number, number];
  y: [number, number];
}
export interface TrajectoryOptions extends ChartOptions {
  /** 'auto': by group when several groups are shown, else by language. */
  colourBy?: 'auto' | 'group' | 'language';
  /** As links have it (zoom.ts). */
  zoom?: NamedZoom | null;
  /** Only these layers are strong (a lassoed range); inclusive. */
  range?: [number, number] | null;
  /** Fixed data extent, so that several panels or checkpoints share scales. */
  domain?: Domain;
  /** Layer numbers on the pinned paths: every n-th; 0 = none. Default: about six per path. */
  numberEvery?: number;
  /** Small panel: no axis words, fewer labels. */
  compact?: boolean;
}

/** The extent of all finite points, at least a hair wide. */
export function trajectoryDomain(paths: TrajectoryPath[]): Domain {
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

interface Place extends Frame {
  plot: Box;
  /** Half the room in which the points stand: labels stand outside the outermost ones. */
  reach: { x: number; y: number };
}
const middle = ([a, b]: [number, number]): number => (a + b) / 2;

function placeOf(domain: Domain, width: number, height: number, compact: boolean): Place {
  const margin = compact ? { top: 18, right: 14, bottom: 14, left: 14 } : { top: 22, right: 16, bottom: 42, left: 20 };
  const plot: Box = { x: margin.left, y: margin.top, w: width - margin.left - margin.right, h: height - margin.top - margin.bottom };
  const inset = compact ? 12 : Math.min(56, width * 0.09);
  const reach = { x: plot.w / 2 - inset, y: plot.h / 2 - inset * 0.6 };
  // the tighter axis decides for both
  const unit = Math.min((2 * reach.x) / (domain.x[1] - domain.x[0]), (2 * reach.y) / (domain.y[1] - domain.y[0]));
  return { width, height, x: plot.x + plot.w / 2, y: plot.y + plot.h / 2, unit, plot, reach };
}

/** All of a picture that is the same whichever of its layers stand out. */
interface Laid {
  look: Look;
  zoomable: Zoomable;
  /** Context first, pinned on top. */
  order: Placed[];
  strong: Placed[];
  dots: ReturnType<typeof dotsOf>;
  named: ReturnType<typeof labels>;
  clip: SvgNode;
  clipId: string;
  axes: SvgNode | null;
  /** Every point, in the order of the paths: pinned ones win ties because they come last. */
  xs: Float64Array;
  ys: Float64Array;
  owner: Uint16Array;
  step: Uint16Array;
}
const laid = rememberer<TrajectoryData, Laid>();

function layOut(data: TrajectoryData, options: TrajectoryOptions, theme: Theme): Laid {
  const { width } = options;
  const height = options.height ?? Math.round(Math.min(width, Math.max(320, width * 0.62)));
  const compact = options.compact ?? false;
  const domain = options.domain ?? trajectoryDomain(data.paths);
  const place = placeOf(domain, width, height, compact);
  const frameOf = (w: number, ht: number): Frame => placeOf(domain, w, ht, false);
  const { plot } = place;
  const zoom = options.zoom ? placeZoom(options.zoom, place, frameOf) : WHOLE;
  const [unit, midX, midY] = [place.unit * zoom.k, place.x * zoom.k + zoom.x, place.y * zoom.k + zoom.y];
  const [centreX, centreY] = [middle(domain.x), middle(domain.y)];
  const sx = (v: number): number => midX + (v - centreX) * unit;
  const sy = (v: number): number => midY - (v - centreY) * unit;

  const groups = [...new Set(data.paths.map((p) => p.group))];
  const languages = new Set(data.paths.map((p) => p.language)).size;
  const byGroup = options.colourBy === 'group' || ((options.colourBy ?? 'auto') === 'auto' && groups.length > 1);
  const anyPinned = data.paths.some((p) => p.pinned);
  const lastLayer = Math.max(1, ...data.paths.map((p) => p.layers[p.layers.length - 1] ?? 0));
  const look: Look = { theme, compact, width, height, lastLayer, groups, languages };
  const round = discs();
  const placed = data.paths.map((path): Placed => {
    const n = path.layers.length;
    const [px, py] = [new Float64Array(n), new Float64Array(n)];
    const spots: string[] = [];
    for (let i = 0; i < n; i++) spots.push(spot((px[i] = sx(path.x[i])), (py[i] = sy(path.y[i]))));
    const colour = byGroup ? theme.groups[path.group] : languageColour(theme, path.language);
    const bare = { path, px, py, spots, whole: through(spots), colour, strong: !anyPinned || path.pinned === true, first: spots.findIndex((s) => s !== ''), last: spots.findLastIndex((s) => s !== '') };
    return { ...bare, marks: shapes(bare, look, round) };
  });
  const order = [...placed].sort((a, b) => Number(a.strong) - Number(b.strong));
  const strong = order.filter((d) => d.strong && d.first >= 0);

  // a name may stand out a little where all is in sight
  const air = zoom.k > 1 ? 0 : compact ? 8 : 40;
  const clipId = `clip-${Math.round(width)}-${Math.round(height)}`;
  const clip = h('defs', {}, h('clipPath', { id: clipId }, h('rect', { x: -air, y: -air, width: width + 2 * air, height: height + 2 * air - (compact || air ? 0 : 30) })));

  function axes(): SvgNode {
    const bottom = plot.y + plot.h + 4;
    /** Round values where the points stand: in the middle of the plot, as it is zoomed. */
    const values = (at: number, reach: number, mid: number, value: number, count: number): number[] => ticks(value + (at - reach - mid) / unit, value + (at + reach - mid) / unit, count);
    const wideX = values(place.x, place.reach.x, midX, centreX, Math.max(3, Math.round(plot.w / 140)));
    const wideY = values(-place.y, place.reach.y, -midY, centreY, Math.max(3, Math.round(plot.h / 120)));
    const word = (a: TrajectoryAxis, of = ' of variance'): string => a.name + (a.explained === null ? '' : ` · ${percent(a.explained)}${of}`);
    // on a phone the picture's buttons stand beside it
    const up = word(data.axes[1], width < 480 ? '' : undefined);
    return h(
      'g',
      { class: 'axes', 'aria-hidden': 'true', 'font-size': SIZE.small, fill: theme.muted },
      h(
        'g',
        { class: 'scale' },
        h('path', { class: 'grid', d: wideX.map((t) => `M${num(sx(t))},${num(plot.y)}V${num(bottom)}`).join('') + wideY.map((t) => `M${num(plot.x)},${num(sy(t))}H${num(plot.x + plot.w)}`).join(''), stroke: theme.line, 'stroke-width': 1, 'stroke-opacity': 0.55, fill: 'none' }),
        wideX.map((t) => h('text', { x: sx(t), y: bottom + 14, 'text-anchor': 'middle' }, short(t))),
        wideY.map((t) => h('text', { x: plot.x - 4, y: sy(t) - 4, 'text-anchor': 'start' }, short(t))),
      ),
      h('text', { class: 'axis-name', x: plot.x + plot.w, y: height - 6, 'text-anchor': 'end', fill: theme.ink }, `${word(data.axes[0])} →`),
      h('text', { class: 'axis-name', x: plot.x - 4, y: 12, fill: theme.ink }, `↑ ${up}`),
    );
  }

  const size = order.reduce((n, d) => n + d.px.length, 0);
  const [xs, ys] = [new Float64Array(size), new Float64Array(size)];
  const [owner, step] = [new Uint16Array(size), new Uint16Array(size)];
  order.reduce((k, d, o) => {
    xs.set(d.px, k);
    ys.set(d.py, k);
    owner.fill(o, k, k + d.px.length);
    for (let i = 0; i < d.px.length; i++) step[k + i] = i;
    return k + d.px.length;
  }, 0);
  const zoomable: Zoomable = { width, height, at: zoom, corner: () => [0, 0], name: (z) => nameZoom(z, place, frameOf) };
  return { look, zoomable, order, strong, dots: dotsOf(order), named: labels(order, strong, look, options.numberEvery), clip, clipId, axes: compact ? null : axes(), xs, ys, owner, step };
}

export function trajectory(data: TrajectoryData, options: TrajectoryOptions): Chart {
  const theme = options.theme ?? cssTheme;
  const { range = null, zoom, domain, compact, colourBy, numberEvery } = options;
  const selected = options.selection?.layer ?? null;
  const { look, zoomable, order, strong, dots: marked, named, clip, clipId, axes, xs, ys, owner, step } = laid(data, theme, [options.width, options.height, zoom, domain, compact, colourBy, numberEvery], () => layOut(data, options, theme));
  const { width, height } = look;
  const finding = options.label ?? findingOf(data, strong.map((d) => d.path), range);
  /** Round the marks of the lit layer: one element, whichever layer it is. */
  const ring = h('path', { class: lit('ring', selected !== null), 'data-layer': selected, d: outlines(order, selected), fill: 'none', stroke: theme.ink, 'stroke-width': 2, 'aria-hidden': 'true' });
  const svg = frame(
    'trajectory',
    options,
    height,
    finding,
    clip,
    axes,
    // all lines before all dots, so that no path's halo cuts another's marks
    h('g', { class: 'view', 'clip-path': `url(#${clipId})` }, h('g', { class: 'moves' }, h('g', { class: 'lines' }, lines(order, look, range)), h('g', { class: 'marks', 'aria-hidden': 'true' }, dots(marked, look, range)), ring, named.nodes(range, selected))),
  );

  const layerOf = (k: number): number => order[owner[k]].path.layers[step[k]];
  const hitOf = (k: number): Hit => {
    const { path: p } = order[owner[k]];
    const i = step[k];
    return { layer: p.layers[i], language: p.language, group: p.group, token: p.token, x: xs[k], y: ys[k], text: `${nameOf(p)}, layer ${p.layers[i]}: (${short(p.x[i])}, ${short(p.y[i])})` };
  };
  return {
    svg,
    width,
    height,
    title: options.title ?? `Path of the ${look.groups.map((g) => GROUP_NAME[g]).join(', ')} through the layers`,
    finding,
    // a thousand rows, and seldom looked at
    get table() {
      return {
        columns: ['language', 'group', 'run', 'layer', data.axes[0].name, data.axes[1].name],
        rows: data.paths.flatMap((p) => Array.from(p.layers, (layer, i): Cell[] => [p.language, p.group, p.slot ?? '', layer, p.x[i], p.y[i]])),
      };
    },
    rings: (layer) => [outlines(order, layer)],
    zoom: zoomable,
    locate(x, y) {
      const k = nearest(xs, ys, x, y, 24);
      const name = named.boxes.find((b) => inside(b.box, x, y));
      // a label is nobody's mark, but it may stand among those of others
      if (name && (k < 0 || Math.hypot(xs[k] - x, ys[k] - y) > 6)) return { language: name.path.language, group: name.path.group, x, y, text: nameOf(name.path) };
      return k < 0 ? null : hitOf(k);
    },
    at(layer) {
      const hits: Hit[] = [];
      for (let k = xs.length - 1; k >= 0; k--) if (layerOf(k) === layer && Number.isFinite(xs[k] + ys[k])) hits.push(hitOf(k));
      return hits;
    },
    lasso(x0, y0, x1, y1) {
      const of = Float64Array.from(owner, (o, k) => (order[o].strong ? layerOf(k) : NaN));
      return caught(of, xs, ys, [x0, y0, x1, y1]);
    },
  };
}

/** Where two pinned paths of the same group come closest, in all dimensions and in this plane: what the picture is usually asked for. */
function findingOf(data: TrajectoryData, paths: TrajectoryPath[], within: [number, number] | null): string {
  const total = data.axes[0].explained !== null && data.axes[1].explained !== null ? ` The two axes hold ${percent(data.axes[0].explained + data.axes[1].explained)} of the variance.` : '';
  const parts: string[] = [];
  for (const group of new Set(paths.map((p) => p.group))) {
    const same = paths.filter((p) => p.group === group);
    if (same.length < 2) continue;
    const a = same.find((p) => p.language === 'en') ?? same[0];
    const b = same.find((p) => p !== a);
    if (!b) continue;
    const who = `the ${GROUP_NAME[group]} in ${languageStyle(a.language).name} and ${languageStyle(b.language).name}`;
    const plane = closest(a, b, within, (i) => Math.hypot(a.x[i] - b.x[i], a.y[i] - b.y[i]), 1e-6);
    const cosines = data.inFull?.cosine(a, b);
    const full = cosines ? closest(a, b, within, (i) => 1 - cosines[i], 1e-9) : null;
    const since = (at: number): string => (at > 0 ? `layer ${a.layers[at]}` : 'the start');
    if (full && data.inFull)
      parts.push(`in all ${data.inFull.dim} dimensions ${who} comes closest at layer ${full.layer} (cosine ${short(1 - full.best)}, ${short(1 - full.first)} at ${since(full.firstAt)})${plane ? `, in this plane at layer ${plane.layer}` : ''}`);
    else if (plane) parts.push(`in this plane ${who} comes closest at layer ${plane.layer} (distance ${short(plane.best)}, ${short(plane.first)} at ${since(plane.firstAt)})`);
  }
  const said = `${within && parts.length ? `from layer ${within[0]} to ${within[1]}, ` : ''}${parts.join('; ')}`;
  const what = said ? `${said[0].toUpperCase()}${said.slice(1)}.` : `${data.paths.length} path${data.paths.length === 1 ? '' : 's'} through the layers.`;
  return `${what} ${data.method}.${total}`;
}

/** A readout begins as the same token in every language: that they coincide there (nearer than `same`) is no finding. */
function closest(a: TrajectoryPath, b: TrajectoryPath, within: [number, number] | null, distance: (i: number) => number, same: number): { layer: number; best: number; first: number; firstAt: number } | null {
  let found: ReturnType<typeof closest> = null;
  for (let i = 0; i < Math.min(a.layers.length, b.layers.length); i++) {
    if (within && (a.layers[i] < within[0] || a.layers[i] > within[1])) continue;
    const d = distance(i);
    if (!(d >= same)) continue;
    found ??= { layer: a.layers[i], best: d, first: d, firstAt: i };
    if (d < found.best) found = { ...found, layer: a.layers[i], best: d };
  }
  return found;
}
