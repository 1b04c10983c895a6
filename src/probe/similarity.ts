/**
 * Similarities by layer. All state arrays are row-major [layers, dim]; all results are Float64Array [layers], cosines in −1..1,
 * NaN where a state is zero or not finite (shown as a gap, never as zero).
 */

/** Cosine of two rows of length `dim`. */
export function cosine(a: ArrayLike<number>, b: ArrayLike<number>, dim: number, aAt = 0, bAt = 0): number {
  let ab = 0;
  let aa = 0;
  let bb = 0;
  for (let j = 0; j < dim; j++) {
    const x = a[aAt + j];
    const y = b[bAt + j];
    ab += x * y;
    aa += x * x;
    bb += y * y;
  }
  const n = Math.sqrt(aa) * Math.sqrt(bb);
  return n > 0 && Number.isFinite(n) ? Math.max(-1, Math.min(1, ab / n)) : NaN;
}

/** Raw cosine per layer: question alignment [O] of two question means, or readout–answer similarity [O] of readout and answer-span mean. */
export function layerCosine(a: ArrayLike<number>, b: ArrayLike<number>, dim: number): Float64Array {
  const layers = Math.floor(Math.min(a.length, b.length) / dim);
  return Float64Array.from({ length: layers }, (_, l) => cosine(a, b, dim, l * dim, l * dim));
}

/** Fewest items for a centred cosine: with fewer, the mean that is removed is mostly the item itself. */
export const CENTRED_MINIMUM = 8;

/**
 * Centred cosine [O] per item and layer: the mean over the items at hand is removed first, which takes away the direction all states share.
 * 'pooled' removes one mean over both sides; 'each' removes each side's own (a language's common offset then counts as agreement).
 * null with fewer than 8 items.
 */
export function centredCosines(a: ArrayLike<number>[], b: ArrayLike<number>[], dim: number, centre: 'pooled' | 'each' = 'pooled'): Float64Array[] | null {
  const n = Math.min(a.length, b.length);
  if (n < CENTRED_MINIMUM) return null;
  const size = Math.min(...a.slice(0, n).map((s) => s.length), ...b.slice(0, n).map((s) => s.length));
  const layers = Math.floor(size / dim);
  const mean = (sets: ArrayLike<number>[]): Float64Array => {
    const m = new Float64Array(layers * dim);
    for (const s of sets) for (let i = 0; i < m.length; i++) m[i] += s[i] / sets.length;
    return m;
  };
  const xs = a.slice(0, n);
  const ys = b.slice(0, n);
  const ma = centre === 'pooled' ? mean([...xs, ...ys]) : mean(xs);
  const mb = centre === 'pooled' ? ma : mean(ys);
  const ca = new Float64Array(layers * dim);
  const cb = new Float64Array(layers * dim);
  return xs.map((x, k) => {
    for (let i = 0; i < ca.length; i++) {
      ca[i] = x[i] - ma[i];
      cb[i] = ys[k][i] - mb[i];
    }
    return layerCosine(ca, cb, dim);
  });
}

/**
 * Nearest-neighbour accuracy [O]: for N parallel items, the share whose translation is the nearest (by cosine) among the N, per layer.
 * `forward` looks from a to b, `backward` from b to a. A tie with another item is a miss. Chance is 1/N.
 */
export function nearestNeighbour(a: ArrayLike<number>[], b: ArrayLike<number>[], dim: number): { forward: Float64Array; backward: Float64Array; chance: number } {
  const n = Math.min(a.length, b.length);
  const layers = n === 0 ? 0 : Math.floor(Math.min(...a.slice(0, n).map((s) => s.length), ...b.slice(0, n).map((s) => s.length)) / dim);
  const forward = new Float64Array(layers);
  const backward = new Float64Array(layers);
  const ua = new Float64Array(n * dim);
  const ub = new Float64Array(n * dim);
  const sim = new Float64Array(n * n);
  const fill = (out: Float64Array, sets: ArrayLike<number>[], l: number): void => {
    for (let i = 0; i < n; i++) {
      let sq = 0;
      for (let j = 0; j < dim; j++) sq += sets[i][l * dim + j] ** 2;
      const k = 1 / Math.sqrt(sq);
      for (let j = 0; j < dim; j++) out[i * dim + j] = sets[i][l * dim + j] * k;
    }
  };
  for (let l = 0; l < layers; l++) {
    fill(ua, a, l);
    fill(ub, b, l);
    for (let i = 0; i < n; i++)
      for (let k = 0; k < n; k++) {
        let s = 0;
        for (let j = 0; j < dim; j++) s += ua[i * dim + j] * ub[k * dim + j];
        sim[i * n + k] = s;
      }
    for (let i = 0; i < n; i++) {
      const own = sim[i * n + i];
      let f = Number.isFinite(own);
      let g = f;
      for (let k = 0; k < n; k++) {
        if (k === i) continue;
        if (!(sim[i * n + k] < own)) f = false;
        if (!(sim[k * n + i] < own)) g = false;
      }
      forward[l] += Number(f);
      backward[l] += Number(g);
    }
    // counts first: a share of all is exactly one
    forward[l] /= n;
    backward[l] /= n;
  }
  return { forward, backward, chance: n > 0 ? 1 / n : NaN };
}

/** Norm growth [O]: length of the state per layer, in the model's own units. */
export function norms(states: ArrayLike<number>, dim: number): Float64Array {
  return Float64Array.from({ length: Math.floor(states.length / dim) }, (_, l) => {
    let sq = 0;
    for (let j = 0; j < dim; j++) sq += states[l * dim + j] ** 2;
    return Math.sqrt(sq);
  });
}
