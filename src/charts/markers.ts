/** Marker shapes as SVG path data centred on (x, y). `r` is the radius of the circle with about the same visual weight. */
import type { Marker } from './theme';
import { num } from './svg';

/** Corners on the unit circle, first one at `turn` of a full turn clockwise from twelve o'clock, scaled so that weights match a circle's. */
function polygon(corners: number, turn: number, scale: number, inner = 0): [number, number][] {
  const points: [number, number][] = [];
  const n = inner > 0 ? corners * 2 : corners;
  for (let i = 0; i < n; i++) {
    const a = (turn + i / n) * 2 * Math.PI - Math.PI / 2;
    const r = scale * (inner > 0 && i % 2 === 1 ? inner : 1);
    points.push([r * Math.cos(a), r * Math.sin(a)]);
  }
  return points;
}

const arms = 0.36;
const plus: [number, number][] = [
  [-arms, -1.15], [arms, -1.15], [arms, -arms], [1.15, -arms], [1.15, arms], [arms, arms],
  [arms, 1.15], [-arms, 1.15], [-arms, arms], [-1.15, arms], [-1.15, -arms], [-arms, -arms],
]; // prettier-ignore
const turn = ([x, y]: [number, number]): [number, number] => [(x - y) * Math.SQRT1_2, (x + y) * Math.SQRT1_2];

const OUTLINE: Record<Exclude<Marker, 'circle'>, [number, number][]> = {
  square: polygon(4, 0.125, 1.25),
  diamond: polygon(4, 0, 1.35),
  triangle: polygon(3, 0, 1.4),
  down: polygon(3, 0.5, 1.4),
  left: polygon(3, 0.75, 1.4),
  right: polygon(3, 0.25, 1.4),
  pentagon: polygon(5, 0, 1.2),
  star: polygon(5, 0, 1.5, 0.42),
  plus,
  cross: plus.map(turn),
  bar: [[-1.35, -0.42], [1.35, -0.42], [1.35, 0.42], [-1.35, 0.42]], // prettier-ignore
};

/** What goes round from a circle's leftmost point, clockwise (the other way it would lie to the left of it), but for a hair: the same for all circles of one size. */
export const ring = (r: number): string => `a${num(r)},${num(r)} 0 1,1 0,.01z`;

export function markerPath(marker: Marker, x: number, y: number, r: number): string {
  if (marker === 'circle') return `M${num(x - r)},${num(y)}${ring(r)}`;
  const points = OUTLINE[marker];
  let d = '';
  for (let i = 0; i < points.length; i++) d += `${i === 0 ? 'M' : 'L'}${num(x + points[i][0] * r)},${num(y + points[i][1] * r)}`;
  return `${d}Z`;
}
