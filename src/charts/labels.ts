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

const hit = (a: Box, b: Box): number => {
  const w = Math.min(a.x + a.w, b.x + b.w) - Math.max(a.x, b.x);
  const hgt = Math.min(a.y + a.h, b.y + b.h) - Math.max(a.y, b.y);
  return w > 0 && hgt > 0 ? w * hgt : 0;
};

/** Places labels in the order given; `taken` grows by what is placed. Baselines are at `y`. */
export function placeLabels(requests: LabelRequest[], bounds: Box, taken: Box[]): (PlacedLabel | null)[] {
  return requests.map((r) => {
    const w = textWidth(r.text, r.size);
    const hgt = r.size * 1.1;
    const g = r.gap;
    const candidates: [number, number, PlacedLabel['anchor']][] = [
      [g, r.size * 0.35, 'start'],
      [-g, r.size * 0.35, 'end'],
      [0, -g, 'middle'],
      [0, g + r.size * 0.8, 'middle'],
      [g * 0.8, -g * 0.8, 'start'],
      [g * 0.8, g * 0.8 + r.size * 0.7, 'start'],
      [-g * 0.8, -g * 0.8, 'end'],
      [-g * 0.8, g * 0.8 + r.size * 0.7, 'end'],
      [0, -g - r.size * 1.2, 'middle'],
      [0, g + r.size * 2, 'middle'],
      [g * 2.2, -g - r.size * 0.6, 'start'],
      [-g * 2.2, -g - r.size * 0.6, 'end'],
    ];
    let best: PlacedLabel | null = null;
    let bestCost = Infinity;
    for (const [dx, dy, anchor] of r.near ? candidates.slice(0, 4) : candidates) {
      const x = r.x + dx;
      const y = r.y + dy;
      const left = anchor === 'start' ? x : anchor === 'end' ? x - w : x - w / 2;
      const box: Box = { x: left, y: y - r.size * 0.85, w, h: hgt };
      const out = w * hgt - hit(box, bounds);
      let cost = out > 0.5 ? 1e6 + out : 0;
      for (const t of taken) cost += hit(box, t);
      if (cost < bestCost) {
        bestCost = cost;
        best = { x, y, anchor, box };
      }
      if (cost === 0) break;
    }
    if (best === null || (bestCost > 0 && !r.must)) return null;
    taken.push(best.box);
    return best;
  });
}
