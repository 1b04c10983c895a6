/**
 * The marks of a trajectory: lines, dots, the ring round what is lit, names. A path's dots are one element, whatever their number: thirty-six
 * paths of thirty-seven layers are not thirteen hundred. What a change of size, zoom or range moves are attributes, never elements.
 */
import type { Language, TokenGroup } from '../types';
import { lit, SIZE } from './chart';
import { placeLabels, type Box, type LabelRequest } from './labels';
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
  colour: string;
  /** Pinned, or where none is: the others are context. */
  strong: boolean;
  /** Of the finite points; -1: there are none. */
  first: number;
  last: number;
}
export interface Look {
  theme: Theme;
  compact: boolean;
  width: number;
  height: number;
  lastLayer: number;
  groups: TokenGroup[];
  languages: number;
  range: [number, number] | null;
  selected: number | null;
}

/** How much of its colour the context keeps. */
const FAINT = 0.42;
/** On strokes and fills, not on elements: a see-through element is a layer of its own to blend. */
const faint = (strong: boolean): Record<string, number | null> => ({ 'fill-opacity': strong ? null : FAINT, 'stroke-opacity': strong ? null : FAINT });
const inRange = ({ range }: Look, layer: number): boolean => !range || (layer >= range[0] && layer <= range[1]);
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
export function lines(order: Placed[], look: Look): SvgNode[] {
  return order.map(({ path, spots, colour, strong }) => {
    const { dash } = languageStyle(path.language);
    const stroke = { fill: 'none', stroke: colour, 'stroke-opacity': strong ? null : FAINT, 'stroke-width': strong ? 1.8 : 1, 'stroke-dasharray': dash || (path.slot === 'B' ? '1 2' : null), 'stroke-linejoin': 'round', 'stroke-linecap': 'round' };
    const whole = through(spots);
    return h(
      'g',
      { class: `path ${strong ? 'is-pinned' : 'is-context'}`, ...identity(path), role: 'img', 'aria-label': describe(path) },
      strong ? h('path', { class: 'halo', d: whole, fill: 'none', stroke: look.theme.background, 'stroke-width': 4.5, 'stroke-linejoin': 'round', 'stroke-opacity': 0.85 }) : null,
      h('path', { class: look.range ? 'line is-dim' : 'line', d: whole, ...stroke }),
      look.range ? h('path', { class: 'line', d: through(spots.map((s, i) => (inRange(look, path.layers[i]) ? s : ''))), ...stroke }) : null,
    );
  });
}

/** The shape of each point by layer: open at the start, the language's own at the end, a disc in between. '' where it is not finite. */
export function shapes({ path, px, py, spots, strong, first, last }: Placed, look: Look, round: (r: number) => string): string[] {
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

/** Dots, and the starts, which are open; of a second run all are open. Pinned paths have their own, the context's of one colour are one. */
export function dots(order: Placed[], drawn: string[][], look: Look): SvgNode[] {
  const { theme, range } = look;
  const sets = new Map<unknown, { first: Placed; all: string; chosen: string; starts: string; begun: string }>();
  order.forEach((d, k) => {
    const { path, first } = d;
    const key = d.strong ? d : `${d.colour} ${path.slot === 'B'}`;
    const set = sets.get(key) ?? { first: d, all: '', chosen: '', starts: '', begun: '' };
    sets.set(key, set);
    drawn[k].forEach((mark, i) => {
      const within = inRange(look, path.layers[i]);
      if (i === first) {
        set.starts += mark;
        if (within) set.begun += mark;
      } else {
        set.all += mark;
        if (within) set.chosen += mark;
      }
    });
  });
  return [...sets.values()].map(({ first: { path, colour, strong }, all, chosen, starts, begun }) => {
    const hollow = path.slot === 'B';
    const paint = { fill: hollow ? theme.background : colour, stroke: hollow ? colour : null, ...faint(strong) };
    const open = { fill: theme.background, stroke: colour, 'stroke-width': 1.3, ...faint(strong) };
    const dim = (name: string): string => (range ? `${name} is-dim` : name);
    return h(
      'g',
      { class: `dots ${strong ? 'is-pinned' : 'is-context'}`, ...(strong ? identity(path) : {}) },
      h('path', { class: dim('dot'), d: all, ...paint }),
      h('path', { class: dim('start'), d: starts, ...open }),
      range ? [h('path', { class: 'dot', d: chosen, ...paint }), h('path', { class: 'start', d: begun, ...open })] : null,
    );
  });
}

/** The outlines of all points of a layer, in one path. */
export function outlines(order: Placed[], drawn: string[][], layer: number | null): string {
  let d = '';
  order.forEach(({ path }, k) => {
    for (let i = 0; i < path.layers.length; i++) if (path.layers[i] === layer) d += drawn[k][i];
  });
  return d;
}

interface Label {
  d: Placed;
  i: number;
  text: string;
}

/** Ends first (they name the paths), then layer numbers, then the context's ends, each where there is room. */
export function labels(order: Placed[], strong: Placed[], look: Look, numberEvery?: number): { nodes: SvgNode[]; boxes: { path: TrajectoryPath; box: Box }[] } {
  const { theme, compact, width, height, lastLayer, groups, languages, selected } = look;
  const taken: Box[] = [];
  for (const d of strong)
    for (let i = d.first; i <= d.last; i++) {
      const r = radius(look, d.path.layers[i], true);
      if (d.spots[i] !== '') taken.push({ x: d.px[i] - r, y: d.py[i] - r, w: 2 * r, h: 2 * r });
    }
  const bounds: Box = { x: 2, y: 2, w: width - 4, h: height - (compact ? 4 : 30) };
  const boxes: { path: TrajectoryPath; box: Box }[] = [];
  const set = (cls: string, items: Label[], size: number, more: Partial<LabelRequest>, attrs: (e: Label) => Record<string, string | number | null>): SvgNode => {
    const places = placeLabels(items.map(({ d, i, text }) => ({ x: d.px[i], y: d.py[i], gap: 6, text, size, ...more })), bounds, taken);
    return h(
      'g',
      { class: `${cls}s`, 'font-size': size, stroke: theme.background, 'stroke-width': 3, 'stroke-linejoin': 'round', 'paint-order': 'stroke' },
      items.flatMap((e, k) => {
        const place = places[k];
        if (place && cls !== 'tick') boxes.push({ path: e.d.path, box: place.box });
        return place ? [h('text', { x: place.x, y: place.y, 'text-anchor': place.anchor, 'data-language': e.d.path.language, 'data-group': e.d.path.group, ...attrs(e) }, e.text)] : [];
      }),
    );
  };

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

  const named = set('name', ends, SIZE.text, { gap: 10, must: strong.length <= 6 }, ({ d }) => ({ class: 'name', 'font-weight': 600, fill: d.colour }));
  const numbered = set('tick', numbers, SIZE.small, {}, ({ d, i }) => {
    const layer = d.path.layers[i];
    return { class: lit(inRange(look, layer) ? 'tick' : 'tick is-dim', layer === selected), 'data-layer': layer, fill: theme.muted };
  });
  const others = set('context', context.map((d) => ({ d, i: d.last, text: d.path.language || 'text' })), SIZE.small, { near: true }, () => ({ class: 'name context', fill: theme.muted }));
  return { nodes: [others, numbered, named], boxes };
}
