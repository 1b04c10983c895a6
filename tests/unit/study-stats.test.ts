import { describe, expect, it } from 'vitest';
import { bootstrap, estimateMean, estimateRatio, estimateShare, mean, ofItems, pearson, quantile, ranks, regression, relate, relateScores, sd, spearman } from '../../src/study/stats';
import goldens from '../fixtures/study/stats.json';
import shares from '../fixtures/study/wilson.json';

describe.each(goldens)('against NumPy and SciPy: $kind', (g) => {
  const close = (a: number, b: number) => expect(Math.abs(a - b)).toBeLessThan(1e-9);
  it('moments, quantiles, ranks', () => {
    close(mean(g.x), g.mean);
    close(sd(g.x), g.sd);
    const sorted = Float64Array.from(g.x).sort();
    [0, 0.025, 0.3, 0.5, 0.975, 1].forEach((q, i) => close(quantile(sorted, q), g.quantiles[i]));
    expect(Array.from(ranks(g.x))).toEqual(g.ranks);
  });
  it('correlation and regression', () => {
    close(pearson(g.x, g.y), g.pearson);
    close(spearman(g.x, g.y), g.spearman);
    const r = regression(g.x, g.y);
    close(r.slope, g.slope);
    close(r.intercept, g.intercept);
    expect(Math.abs(r.slopeError - g.slopeError)).toBeLessThan(1e-7);
  });
  it('bootstrap: equal with the same draws, near SciPy with its own', () => {
    const same = estimateMean(g.x, { seed: 3, resamples: 200 });
    close(same.low, g.bootstrap[0]);
    close(same.high, g.bootstrap[1]);
    const many = estimateMean(g.x, { resamples: 20000 });
    const width = g.scipyBootstrap[1] - g.scipyBootstrap[0];
    expect(Math.abs(many.low - g.scipyBootstrap[0]) / width).toBeLessThan(0.03);
    expect(Math.abs(many.high - g.scipyBootstrap[1]) / width).toBeLessThan(0.03);
  });
});

it.each(shares)('a share of $hits in $n has SciPy’s Wilson interval', ({ hits, n, low, high }) => {
  const e = estimateShare(Array.from({ length: n }, (_, i) => (i < hits ? 1 : 0)));
  expect(e.value).toBe(hits / n);
  expect(Math.abs(e.low - low)).toBeLessThan(1e-12);
  expect(Math.abs(e.high - high)).toBeLessThan(1e-12);
});

describe('refusing', () => {
  it('gives a mean over fewer than ten items no interval', () => {
    expect(ofItems(estimateMean([1, 1, 1]))).toEqual({ value: 1, n: 3, low: NaN, high: NaN });
    expect(ofItems(estimateMean([1, 0, 1, 1, 0, 1, 1, 0, 1, 1])).low).toBeGreaterThan(0);
    expect(estimateShare([])).toEqual({ value: NaN, n: 0, low: NaN, high: NaN });
  });
  it('draws no line between scores that lie at the ends of their scale', () => {
    const x = [0.6, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95];
    expect(relateScores(x, [0, 0, 0.01, 1, 1, 0.99, 1], ['y'])).toEqual({ n: 7, refused: 'no line: all 7 points lie at 0 or 100 %' });
    expect(relateScores(x, [0.1, 0.2, 0.4, 0.5, 1, 1, 1], ['y'])).toMatchObject({ refused: 'no line: 3 of 7 points lie at 0 or 100 %' });
    expect(relateScores(x, [0.1, 0.2, 0.4, 0.5, 0.6, 0.97, 1], ['y'])).toEqual(relate(x, [0.1, 0.2, 0.4, 0.5, 0.6, 0.97, 1]));
    expect(relateScores([0, 0, 0, 0, 0, 0, 0], x, ['x', 'y'])).toMatchObject({ refused: 'no line: all 7 points lie at 0 or 100 %' });
    expect(relateScores([1, 2], [0, 1], ['y'])).toMatchObject({ refused: expect.stringContaining('at least 5') as string });
  });
  it('draws no line through fewer than five points', () => {
    expect(relate([1, 2, 3, 4], [1, 2, 3, 4])).toEqual({ n: 4, refused: '4 points: at least 5 are needed for a line' });
    expect(relate([1, 1, 1, 1, 1], [1, 2, 3, 4, 5])).toMatchObject({ refused: expect.stringContaining('do not vary') as string });
    expect(() => relate([1], [])).toThrow('both coordinates');
    const r = relate([1, 2, 3, 4, 5], [1, 2, 3, 4, 5.5]);
    expect(r).toMatchObject({ n: 5, spearman: 1 });
  });
  it('says NaN of nothing', () => {
    expect(estimateMean([]).value).toBeNaN();
    expect(bootstrap(3, () => NaN).low).toBeNaN();
    expect(() => estimateRatio([1], [])).toThrow('same items');
  });
});

describe('intervals', () => {
  it('cover a known mean about as often as they say', () => {
    let covered = 0;
    for (let k = 0; k < 200; k++) {
      const values = Array.from({ length: 40 }, (_, i) => ((Math.sin(k * 97.3 + i * 12.9898) * 43758.5453) % 1 + 1) % 1);
      const e = estimateMean(values, { seed: k, resamples: 300 });
      if (e.low <= 0.5 && e.high >= 0.5) covered++;
    }
    expect(covered / 200).toBeGreaterThan(0.88);
  });
  it('of a ratio pair the items', () => {
    const r = estimateRatio([0.5, 0.25, 0.5], [1, 0.5, 1]);
    expect(r).toMatchObject({ value: 0.5, low: 0.5, high: 0.5, n: 3 });
  });
});
