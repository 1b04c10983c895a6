/** Curves over layers, gathered over languages or items. */
import { ascending, quantileSorted } from 'd3-array';

export interface Band {
  /** Per layer; NaN where no curve has a finite value. */
  median: Float64Array;
  mean: Float64Array;
  low: Float64Array;
  high: Float64Array;
  min: Float64Array;
  max: Float64Array;
  /** How many finite values stand behind each layer. */
  n: Int32Array;
}

/** Median, mean, quartiles (or other tails) and extremes per layer. Curves may differ in length; NaN is left out and counted so. */
export function band(curves: ArrayLike<number>[], tails: [number, number] = [0.25, 0.75]): Band {
  const layers = Math.max(0, ...curves.map((c) => c.length));
  const make = (): Float64Array => new Float64Array(layers).fill(NaN);
  const out: Band = { median: make(), mean: make(), low: make(), high: make(), min: make(), max: make(), n: new Int32Array(layers) };
  for (let l = 0; l < layers; l++) {
    const values: number[] = [];
    for (const c of curves) if (l < c.length && Number.isFinite(c[l])) values.push(c[l]);
    const sorted = values.sort(ascending);
    out.n[l] = sorted.length;
    if (sorted.length === 0) continue;
    out.median[l] = quantileSorted(sorted, 0.5) ?? NaN;
    out.mean[l] = sorted.reduce((s, v) => s + v, 0) / sorted.length;
    out.low[l] = quantileSorted(sorted, tails[0]) ?? NaN;
    out.high[l] = quantileSorted(sorted, tails[1]) ?? NaN;
    out.min[l] = sorted[0];
    out.max[l] = sorted[sorted.length - 1];
  }
  return out;
}

/** b − a per layer, as long as the shorter. */
export const difference = (a: ArrayLike<number>, b: ArrayLike<number>): Float64Array =>
  Float64Array.from({ length: Math.min(a.length, b.length) }, (_, l) => b[l] - a[l]);
