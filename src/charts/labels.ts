/** Direct labels without collisions: each label tries a few places round its anchor, in order of liking; one that fits nowhere is left out. */
import { textWidth } from './text';

export interface Box {
  x: number;
  y: number;
  w: number;
  h: number;
}
export interface LabelRequest {
  /** Anchor and how far from it the text must stay. */
  x: number;
  y: number;
  gap: number;
  text: string;
  size: number;
  /** Never left out; takes its best place even over another. */
  must?: boolean;
  /** Only places right beside the anchor: for labels too slight to be searched for. */
  near?: boolean;
}
export interface PlacedLabel {
  x: number;
  y: number;
  anchor: 'start' | 'middle' | 'end';
  box: Box;
}

/** Where a label may stand: across by the gap, down by the gap and by the text's size, and which end is at the anchor. In order of liking. */
const PLACES: readonly (readonly [acrossGap: number, downGap: number, downSize: number, anchor: PlacedLabel['anchor']])[] = [
  [1, 0, 0.35, 'start'],
  [-1, 0, 0.35, 'end'],
  [0, -1, 0, 'middle'],
  [0, 1, 0.8, 'middle'],
  [0.8, -0.8, 0, 'start'],
  [0.8, 0.8, 0.7, 'start'],
  [-0.8, -0.8, 0, 'end'],
  [-0.8, 0.8, 0.7, 'end'],
  [0, -1, -1.2, 'middle'],
  [0, 1, 2, 'middle'],
  [2.2, -1, -0.6, 'start'],
  [-2.2, -1, -0.6, 'end'],
];
/** Right beside the anchor. */
const NEAR = 4;

/** Area that a box of these measures shares with another. */
function shared(x: number, y: number, w: number, h: number, b: Box): number {
  const across = Math.min(x + w, b.x + b.w) - Math.max(x, b.x);
  const down = Math.min(y + h, b.y + b.h) - Math.max(y, b.y);
  return across > 0 && down > 0 ? across * down : 0;
}

/** Places labels in the order given; `taken` grows by what is placed. Baselines are at `y`. */
export function placeLabels(requests: LabelRequest[], bounds: Box, taken: Box[]): (PlacedLabel | null)[] {
  return requests.map((r) => {
    const w = textWidth(r.text, r.size);
    const hgt = r.size * 1.1;
    let best = -1;
    let bestCost = Infinity;
    // tried for every label at every zoom: nothing is made but numbers
    for (let k = 0; k < (r.near ? NEAR : PLACES.length) && bestCost > 0; k++) {
      const left = leftOf(r, k, w);
      const top = baseline(r, k) - r.size * 0.85;
      const out = w * hgt - shared(left, top, w, hgt, bounds);
      let cost = out > 0.5 ? 1e6 + out : 0;
      for (let i = 0; i < taken.length && cost < bestCost; i++) cost += shared(left, top, w, hgt, taken[i]);
      if (cost < bestCost) [best, bestCost] = [k, cost];
    }
    if (best < 0 || (bestCost > 0 && !r.must)) return null;
    const y = baseline(r, best);
    const box: Box = { x: leftOf(r, best, w), y: y - r.size * 0.85, w, h: hgt };
    taken.push(box);
    return { x: r.x + PLACES[best][0] * r.gap, y, anchor: PLACES[best][3], box };
  });
}

const baseline = (r: LabelRequest, k: number): number => r.y + (PLACES[k][1] * r.gap + PLACES[k][2] * r.size);
function leftOf(r: LabelRequest, k: number, w: number): number {
  const x = r.x + PLACES[k][0] * r.gap;
  return PLACES[k][3] === 'start' ? x : PLACES[k][3] === 'end' ? x - w : x - w / 2;
}
