/**
 * The marks of a trajectory: lines, dots, the ring round what is lit, names. A path's dots are one element, whatever their number: thirty-six
 * paths of thirty-seven layers are not thirteen hundred. What a change of size, zoom or range moves are attributes, never elements.
 */
import type { Language, TokenGroup } from '../types';
import { lit, SIZE } from './chart';
import { placeLabels, type Box, type LabelRequest, type PlacedLabel } from './labels';
import { markerPath, ring } from './markers';
import { h, num, through, type SvgNode } from './svg';
import { short } from './text';
import { GROUP_NAME, languageStyle, type Theme } from './theme';

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
export interface Placed {
  path: TrajectoryPath;
  px: Float64Array;
  py: Float64Array;
  /** Each point as it stands in a path; '' where it is not finite. */
  spots: string[];
  /** The path through all of them. */
  whole: string;
  /** The shape of each point. */
  marks: string[];
  colour: string;
  /** Pinned, or where none is: the others are context. */
  strong: boolean;
  /** Of the finite points; -1: there are none. */
  first: number;
  last: number;
}
/** What all marks go by. */
export interface Look {
  theme: Theme;
  compact: boolean;
  width: number;
  height: number;
  lastLayer: number;
  groups: TokenGroup[];
  languages: number;
}
export type Range = [number, number] | null;

/** How much of its colour the context keeps. */
const FAINT = 0.42;
/** On strokes and fills, not on elements: a see-through element is a layer of its own to blend. */
const faint = (strong: boolean): Record<string, number | null> => ({ 'fill-opacity': strong ? null : FAINT, 'stroke-opacity': strong ? null : FAINT });
const inRange = (range: Range, layer: number): boolean => !range || (layer >= range[0] && layer <= range[1]);
const identity = ({ language, group, token, slot }: TrajectoryPath): Record<string, string | number | undefined> => ({ 'data-language': language, 'data-group': group, 'data-token': token, 'data-slot': slot });
/** Dots grow with depth. */
const radius = ({ lastLayer, compact }: Look, layer: number, strong: boolean): number => (strong ? 1.6 + 2.6 * (layer / lastLayer) : 1 + 1.2 * (layer / lastLayer)) * (compact ? 0.8 : 1);

export const nameOf = (p: TrajectoryPath): string => {
  const who = languageStyle(p.language).name;
  const what = p.token === undefined ? GROUP_NAME[p.group] : `token ${p.token}`;
  return `${who}, ${what}${p.slot ? ` (${p.slot})` : ''}`;
};

/** A path is the same however it is zoomed, and whichever of its layers stand out. */
const described = new WeakMap<TrajectoryPath, string>();
function describe(p: TrajectoryPath): string {
  const known = described.get(p);
  if (known !== undefined) return known;
  let length = 0;
  for (let i = 1; i < p.x.length; i++) {
    const [dx, dy] = [p.x[i] - p.x[i - 1], p.y[i] - p.y[i - 1]];
    const step = Math.sqrt(dx * dx + dy * dy);
    if (Number.isFinite(step)) length += step;
  }
  const said = `${nameOf(p)}: layers ${p.layers[0]} to ${p.layers[p.layers.length - 1]}, path length ${short(length)}`;
  described.set(p, said);
  return said;
}

/** The whole line, faint where a range is chosen, and then the part inside it. */
export function lines(order: Placed[], look: Look, range: Range): SvgNode[] {
  return order.map(({ path, spots, whole, colour, strong }) => {
    const { dash } = languageStyle(path.language);
    const stroke = { fill: 'none', stroke: colour, 'stroke-opacity': strong ? null : FAINT, 'stroke-width': strong ? 1.8 : 1, 'stroke-dasharray': dash || (path.slot === 'B' ? '1 2' : null), 'stroke-linejoin': 'round', 'stroke-linecap': 'round' };
    return h(
      'g',
      { class: `path ${strong ? 'is-pinned' : 'is-context'}`, ...identity(path), role: 'img', 'aria-label': describe(path) },
      strong ? h('path', { class: 'halo', d: whole, fill: 'none', stroke: look.theme.background, 'stroke-width': 4.5, 'stroke-linejoin': 'round', 'stroke-opacity': 0.85 }) : null,
      h('path', { class: range ? 'line is-dim' : 'line', d: whole, ...stroke }),
      range ? h('path', { class: 'line', d: through(spots.map((s, i) => (inRange(range, path.layers[i]) ? s : ''))), ...stroke }) : null,
    );
  });
}

/** The shape of each point by layer: open at the start, the language's own at the end, a disc in between. '' where it is not finite. */
export function shapes({ path, px, py, spots, strong, first, last }: Omit<Placed, 'marks'>, look: Look, round: (r: number) => string): string[] {
  const { marker } = languageStyle(path.language);
  return spots.map((s, i) => {
    if (s === '') return '';
    const r = radius(look, path.layers[i], strong);
    if (i === first) return markerPath(marker, px[i], py[i], Math.max(r, 3));
    // larger than a disc, so that the shape is told apart
    return i === last ? markerPath(marker, px[i], py[i], r + (strong ? 2 : 0.65)) : `M${s}${round(r)}`;
  });
}

/** A disc about the pen: few sizes, many discs. */
export function discs(): (r: number) => string {
  const known = new Map<number, string>();
  return (r) => {
    let d = known.get(r);
    if (d === undefined) known.set(r, (d = `m${num(-r)},0${ring(r)}`));
    return d;
  };
}

/** Marks that are one element: a pinned path's own, or the context's of one colour. */
interface Dots {
  of: Placed[];
  all: string;
  starts: string;
}
export function dotsOf(order: Placed[]): Dots[] {
  const sets = new Map<unknown, Dots>();
  for (const d of order) {
    const key = d.strong ? d : `${d.colour} ${d.path.slot === 'B'}`;
    const set = sets.get(key) ?? { of: [], all: '', starts: '' };
    sets.set(key, set);
    set.of.push(d);
    d.marks.forEach((mark, i) => (i === d.first ? (set.starts += mark) : (set.all += mark)));
  }
  return [...sets.values()];
}
/** Dots, and the starts, which are open; of a second run all are open. */
export function dots(sets: Dots[], { theme }: Look, range: Range): SvgNode[] {
  return sets.map(({ of, all, starts }) => {
    const { path, colour, strong } = of[0];
    const hollow = path.slot === 'B';
    const paint = { fill: hollow ? theme.background : colour, stroke: hollow ? colour : null, ...faint(strong) };
    const open = { fill: theme.background, stroke: colour, 'stroke-width': 1.3, ...faint(strong) };
    const dim = (name: string): string => (range ? `${name} is-dim` : name);
    const within = (isStart: boolean): string => of.map((d) => d.marks.filter((_, i) => (i === d.first) === isStart && inRange(range, d.path.layers[i])).join('')).join('');
    return h(
      'g',
      { class: `dots ${strong ? 'is-pinned' : 'is-context'}`, ...(strong ? identity(path) : {}) },
      h('path', { class: dim('dot'), d: all, ...paint }),
      h('path', { class: dim('start'), d: starts, ...open }),
      range ? [h('path', { class: 'dot', d: within(false), ...paint }), h('path', { class: 'start', d: within(true), ...open })] : null,
    );
  });
}

/** The outlines of all points of a layer, in one path. */
export function outlines(order: Placed[], layer: number | null): string {
  let d = '';
  for (const { path, marks } of order) for (let i = 0; i < marks.length; i++) if (path.layers[i] === layer) d += marks[i];
  return d;
}

interface Label {
  d: Placed;
  i: number;
  text: string;
}

/** Ends first (they name the paths), then layer numbers, then the context's ends, each where there is room. Only the numbers differ by what is chosen. */
export function labels(order: Placed[], strong: Placed[], look: Look, numberEvery?: number): { nodes: (range: Range, selected: number | null) => SvgNode[]; boxes: { path: TrajectoryPath; box: Box }[] } {
  const { theme, compact, width, height, lastLayer, groups, languages } = look;
  const taken: Box[] = [];
  for (const d of strong)
    for (let i = d.first; i <= d.last; i++) {
      const r = radius(look, d.path.layers[i], true);
      if (d.spots[i] !== '') taken.push({ x: d.px[i] - r, y: d.py[i] - r, w: 2 * r, h: 2 * r });
    }
  const bounds: Box = { x: 2, y: 2, w: width - 4, h: height - (compact ? 4 : 30) };
  const boxes: { path: TrajectoryPath; box: Box }[] = [];
  const place = (items: Label[], size: number, more: Partial<LabelRequest>): { e: Label; at: PlacedLabel }[] => {
    const places = placeLabels(items.map(({ d, i, text }) => ({ x: d.px[i], y: d.py[i], gap: 6, text, size, ...more })), bounds, taken);
    return items.flatMap((e, k) => {
      const at = places[k];
      return at ? [{ e, at }] : [];
    });
  };
  const set = (cls: string, size: number, placed: { e: Label; at: PlacedLabel }[], attrs: (e: Label) => Record<string, string | number | null>): SvgNode =>
    h(
      'g',
      { class: `${cls}s`, 'font-size': size, stroke: theme.background, 'stroke-width': 3, 'stroke-linejoin': 'round', 'paint-order': 'stroke' },
      placed.map(({ e, at }) => h('text', { x: at.x, y: at.y, 'text-anchor': at.anchor, 'data-language': e.d.path.language, 'data-group': e.d.path.group, ...attrs(e) }, e.text)),
    );

  const ends = strong.length <= (compact ? 4 : 14) ? strong.map((d): Label => ({ d, i: d.last, text: d.path.label ?? endLabel(d.path) })) : [];
  function endLabel(p: TrajectoryPath): string {
    const slot = p.slot ? ` ${p.slot}` : '';
    const who = languageStyle(p.language).name;
    const what = p.token === undefined ? GROUP_NAME[p.group] : `token ${p.token}`;
    if (groups.length > 1 && languages > 1) return `${who} ${what}${slot}`;
    return (groups.length > 1 ? what : who) + slot;
  }
  const every = numberEvery ?? Math.max(1, Math.ceil(lastLayer / (width < 500 ? 3 : 6)));
  const numbers: Label[] = [];
  if (every > 0 && !compact)
    for (const d of strong.slice(-4))
      for (let i = d.first; i < d.last; i++) if (d.path.layers[i] % every === 0) numbers.push({ d, i, text: String(d.path.layers[i]) });
  const context = compact ? [] : order.filter((d) => d.first >= 0 && !d.strong && d.path.group === groups[0]);

  const endPlaces = place(ends, SIZE.text, { gap: 10, must: strong.length <= 6 });
  const numberPlaces = place(numbers, SIZE.small, {});
  const contextPlaces = place(context.map((d) => ({ d, i: d.last, text: d.path.language || 'text' })), SIZE.small, { near: true });
  for (const { e, at } of [...endPlaces, ...contextPlaces]) boxes.push({ path: e.d.path, box: at.box });
  const named = set('name', SIZE.text, endPlaces, ({ d }) => ({ class: 'name', 'font-weight': 600, fill: d.colour }));
  const others = set('context', SIZE.small, contextPlaces, () => ({ class: 'name context', fill: theme.muted }));
  const numbered = (range: Range, selected: number | null): SvgNode =>
    set('tick', SIZE.small, numberPlaces, ({ d, i }) => {
      const layer = d.path.layers[i];
      return { class: lit(inRange(range, layer) ? 'tick' : 'tick is-dim', layer === selected), 'data-layer': layer, fill: theme.muted };
    });
  return { nodes: (range, selected) => [others, numbered(range, selected), named], boxes };
}
