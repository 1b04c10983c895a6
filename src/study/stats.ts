/**
 * The statistics of a study. Compared with NumPy and SciPy in tests/fixtures/study/stats.json.
 *
 * No p-values: cells are few and not independent (models share families, languages share questions), so the lab shows
 * coefficients with bootstrap intervals and n, and refuses to draw a line through fewer than five points.
 */
import { quantileSorted } from 'd3-array';
import { seeded } from '../xmrc/random';

export const FEWEST_POINTS = 5;
/** A resample of fewer items holds too few of their combinations: three alike give an interval of no width, whatever the model. */
export const FEWEST_ITEMS = 10;
export const RESAMPLES = 1000;
export const LEVEL = 0.95;

export interface Interval {
  low: number;
  high: number;
}
export interface Estimate extends Interval {
  value: number;
  n: number;
}

export function mean(values: ArrayLike<number>): number {
  let sum = 0;
  for (let i = 0; i < values.length; i++) sum += values[i];
  return sum / values.length;
}

/** Population standard deviation (ddof = 0), as the phasing-stability formula needs it: it is at most 0.5 for values in 0..1. */
export function sd(values: ArrayLike<number>): number {
  const m = mean(values);
  let sum = 0;
  for (let i = 0; i < values.length; i++) sum += (values[i] - m) ** 2;
  return Math.sqrt(sum / values.length);
}

/** Linear interpolation between order statistics: NumPy's default and Hyndman–Fan type 7. `sorted` ascending. */
export const quantile = (sorted: ArrayLike<number>, q: number): number => quantileSorted(sorted as number[], q) ?? NaN;

export interface BootstrapOptions {
  seed?: number;
  resamples?: number;
  level?: number;
}

/** The draws of the last (n, seed, resamples): a table asks for the same ones for every row. */
let draws: { n: number; seed: number; resamples: number; indices: Uint32Array } | null = null;
const MOST_KEPT = 4_000_000;

/** `visit` sees the indices of every resample: n items drawn with replacement. The array is reused; the draws depend on n and seed only. */
function resample(n: number, seed: number, resamples: number, visit: (indices: Uint32Array, r: number) => void): void {
  if (draws === null || draws.n !== n || draws.seed !== seed || draws.resamples !== resamples) {
    const random = seeded(seed);
    const keep = n * resamples <= MOST_KEPT;
    const indices = new Uint32Array(keep ? n * resamples : n);
    if (!keep) {
      for (let r = 0; r < resamples; r++) {
        for (let i = 0; i < n; i++) indices[i] = Math.floor(random() * n);
        visit(indices, r);
      }
      return;
    }
    for (let i = 0; i < indices.length; i++) indices[i] = Math.floor(random() * n);
    draws = { n, seed, resamples, indices };
  }
  for (let r = 0; r < resamples; r++) visit(draws.indices.subarray(r * n, (r + 1) * n), r);
}

function percentiles(found: Float64Array, level: number): Interval {
  const finite = found.every(Number.isFinite) ? found : found.filter(Number.isFinite);
  if (finite.length === 0) return { low: NaN, high: NaN };
  const sorted = finite.sort();
  return { low: quantile(sorted, (1 - level) / 2), high: quantile(sorted, (1 + level) / 2) };
}

/**
 * Percentile bootstrap (Efron 1979): items are drawn with replacement, `statistic` sees their indices. Statistics that are not
 * finite on a resample (a correlation of equal values) are left out of the percentiles.
 */
export function bootstrap(n: number, statistic: (indices: Uint32Array) => number, options: BootstrapOptions = {}): Interval {
  const { seed = 1, resamples = RESAMPLES, level = LEVEL } = options;
  const found = new Float64Array(resamples);
  resample(n, seed, resamples, (indices, r) => (found[r] = statistic(indices)));
  return percentiles(found, level);
}

/** Means of several columns over the same n items, with the same resamples for all. */
export function estimateMeans(columns: readonly ArrayLike<number>[], n: number, options: BootstrapOptions = {}): Estimate[] {
  const { seed = 1, resamples = RESAMPLES, level = LEVEL } = options;
  if (n === 0) return columns.map(() => ({ value: NaN, low: NaN, high: NaN, n: 0 }));
  const found = columns.map(() => new Float64Array(resamples));
  // Column by column: each stays in the processor's cache, and its sum in a register.
  resample(n, seed, resamples, (indices, r) => columns.forEach((column, c) => (found[c][r] = meanOf(column, indices))));
  return columns.map((column, c) => ({ value: mean(column), n, ...percentiles(found[c], level) }));
}

/**
 * A share, that is the mean of 0s and 1s, with Wilson's score interval (1927), which has a width even where all are alike:
 * (p + z²/2n ± z √(p(1 − p)/n + z²/4n²)) / (1 + z²/n).
 */
export function estimateShare(values: ArrayLike<number>): Estimate {
  const n = values.length;
  if (n === 0) return { value: NaN, low: NaN, high: NaN, n };
  const p = mean(values);
  const z2 = Z * Z;
  const middle = (p + z2 / (2 * n)) / (1 + z2 / n);
  const half = (Z * Math.sqrt((p * (1 - p)) / n + z2 / (4 * n * n))) / (1 + z2 / n);
  return { value: p, n, low: p === 0 ? 0 : middle - half, high: p === 1 ? 1 : middle + half };
}
/** Half of what lies outside `LEVEL` is above this, in a normal distribution. */
const Z = 1.959963984540054;

/** What may be said of a mean over so few items: the mean. */
export const ofItems = (e: Estimate): Estimate => (e.n < FEWEST_ITEMS ? { ...e, low: NaN, high: NaN } : e);

export function meanOf(values: ArrayLike<number>, indices: ArrayLike<number>): number {
  let sum = 0;
  for (let i = 0; i < indices.length; i++) sum += values[indices[i]];
  return sum / indices.length;
}

/** Mean with its percentile interval. */
export function estimateMean(values: ArrayLike<number>, options?: BootstrapOptions): Estimate {
  return estimateMeans([values], values.length, options)[0];
}

/** mean(numerator) / mean(denominator) over the same items, resampled together. */
export function estimateRatio(numerator: ArrayLike<number>, denominator: ArrayLike<number>, options?: BootstrapOptions): Estimate {
  const n = numerator.length;
  if (n !== denominator.length) throw new RangeError('a ratio needs the same items above and below');
  if (n === 0) return { value: NaN, low: NaN, high: NaN, n: 0 };
  return { value: mean(numerator) / mean(denominator), n, ...bootstrap(n, (i) => meanOf(numerator, i) / meanOf(denominator, i), options) };
}

/** NaN where one side does not vary. */
export function pearson(x: ArrayLike<number>, y: ArrayLike<number>): number {
  const mx = mean(x);
  const my = mean(y);
  let xy = 0;
  let xx = 0;
  let yy = 0;
  for (let i = 0; i < x.length; i++) {
    xy += (x[i] - mx) * (y[i] - my);
    xx += (x[i] - mx) ** 2;
    yy += (y[i] - my) ** 2;
  }
  return xx === 0 || yy === 0 ? NaN : Math.max(-1, Math.min(1, xy / Math.sqrt(xx * yy)));
}

/** Ranks from 1, ties sharing their mean rank. */
export function ranks(values: ArrayLike<number>): Float64Array {
  const order = Array.from(values, (_, i) => i).sort((a, b) => values[a] - values[b]);
  const out = new Float64Array(values.length);
  for (let i = 0; i < order.length; ) {
    let j = i;
    while (j + 1 < order.length && values[order[j + 1]] === values[order[i]]) j++;
    for (let k = i; k <= j; k++) out[order[k]] = (i + j) / 2 + 1;
    i = j + 1;
  }
  return out;
}

export function spearman(x: ArrayLike<number>, y: ArrayLike<number>): number {
  return pearson(ranks(x), ranks(y));
}

/** Ordinary least squares y = intercept + slope · x. */
export function regression(x: ArrayLike<number>, y: ArrayLike<number>): { slope: number; intercept: number; slopeError: number } {
  const mx = mean(x);
  const my = mean(y);
  let xy = 0;
  let xx = 0;
  for (let i = 0; i < x.length; i++) {
    xy += (x[i] - mx) * (y[i] - my);
    xx += (x[i] - mx) ** 2;
  }
  const slope = xy / xx;
  const intercept = my - slope * mx;
  let residual = 0;
  for (let i = 0; i < x.length; i++) residual += (y[i] - intercept - slope * x[i]) ** 2;
  return { slope, intercept, slopeError: Math.sqrt(residual / (x.length - 2) / xx) };
}

export interface Relation {
  n: number;
  pearson: number;
  pearsonInterval: Interval;
  spearman: number;
  spearmanInterval: Interval;
  slope: number;
  intercept: number;
  slopeError: number;
}
export interface Refused {
  n: number;
  refused: string;
}

/** How near to 0 or to 1 a score tells no longer who is better. */
const END = 0.02;

/**
 * As `relate`, where these columns are scores in 0..1: with most of them at an end of the scale a line would join two heaps.
 * At least `FEWEST_POINTS` must lie between.
 */
export function relateScores(x: ArrayLike<number>, y: ArrayLike<number>, scores: readonly ('x' | 'y')[], options?: BootstrapOptions): Relation | Refused {
  const columns = scores.map((c) => (c === 'x' ? x : y));
  const n = x.length;
  let between = 0;
  for (let i = 0; i < n; i++) if (columns.every((c) => c[i] > END && c[i] < 1 - END)) between++;
  if (n >= FEWEST_POINTS && between < FEWEST_POINTS) return { n, refused: `no line: ${between === 0 ? `all ${n}` : `${n - between} of ${n}`} points lie at 0 or 100 %` };
  return relate(x, y, options);
}

/** Everything said about two columns of points, or why nothing is said. */
export function relate(x: ArrayLike<number>, y: ArrayLike<number>, options?: BootstrapOptions): Relation | Refused {
  const n = x.length;
  if (n !== y.length) throw new RangeError('every point needs both coordinates');
  if (n < FEWEST_POINTS) return { n, refused: `${n} point${n === 1 ? '' : 's'}: at least ${FEWEST_POINTS} are needed for a line` };
  const r = pearson(x, y);
  if (!Number.isFinite(r)) return { n, refused: 'the points do not vary in one direction' };
  const at = (v: ArrayLike<number>, indices: Uint32Array): Float64Array => Float64Array.from(indices, (i) => v[i]);
  return {
    n,
    pearson: r,
    pearsonInterval: bootstrap(n, (i) => pearson(at(x, i), at(y, i)), options),
    spearman: spearman(x, y),
    spearmanInterval: bootstrap(n, (i) => spearman(at(x, i), at(y, i)), options),
    ...regression(x, y),
  };
}
