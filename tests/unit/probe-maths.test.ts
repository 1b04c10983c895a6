import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { band, difference } from '../../src/probe/curves';
import { twoLeading } from '../../src/probe/lanczos';
import { emergenceLayer, groupRelevance, mrd, phaseEvidence, phases, phasingStability, riseLayer, tokenMrds } from '../../src/probe/phases';
import { basisAxes, centroidPlane, jointPca, layerPca, procrustes, project, type Basis } from '../../src/probe/projection';
import { centredCosines, cosine, layerCosine, nearestNeighbour, norms } from '../../src/probe/similarity';
import { lens } from '../fixtures/charts/data';

const floats = (b64: string): Float32Array => {
  const bytes = Buffer.from(b64, 'base64');
  return new Float32Array(bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength));
};
const json = <T>(name: string): T => JSON.parse(readFileSync(new URL(`../fixtures/probe/${name}`, import.meta.url), 'utf8')) as T;
const cut = (all: Float32Array, n: number): Float32Array[] => Array.from({ length: n }, (_, i) => all.subarray((i * all.length) / n, ((i + 1) * all.length) / n));
/** Small xorshift: a test's own numbers, the same every time. */
function noise(seed: number): () => number {
  let s = seed;
  return () => {
    s ^= s << 13;
    s ^= s >>> 17;
    s ^= s << 5;
    return (s >>> 0) / 2 ** 32 - 0.5;
  };
}

interface Fit {
  points: number[][][];
  explained: number[] | number[][];
  axes?: number[][];
  mean?: number[];
}
interface Case {
  n: number;
  layers: number;
  dim: number;
  states: string;
  joint: Fit;
  perLayer: Fit;
  plane: Fit;
}

describe('projections equal numpy', () => {
  for (const c of json<Case[]>('projection.json')) {
    const paths = cut(floats(c.states), c.n).map((states) => ({ states }));
    const same = (basis: Basis, gold: Fit, tolerance = 1e-5): void => {
      let worst = 0;
      paths.forEach((p, i) => {
        const { x, y } = project(basis, p);
        gold.points[i].forEach(([gx, gy], l) => (worst = Math.max(worst, Math.abs(x[l] - gx), Math.abs(y[l] - gy))));
      });
      expect(worst).toBeLessThanOrEqual(tolerance);
      gold.explained.flat().forEach((e, k) => expect(Math.abs(basis.explained[k] - e)).toBeLessThanOrEqual(1e-5));
    };
    it(`${c.n} paths × ${c.layers} layers × ${c.dim}: joint PCA`, () => {
      const basis = jointPca(paths, c.dim);
      same(basis, c.joint);
      c.joint.axes?.flat().forEach((v, j) => expect(Math.abs(basis.axes[j] - v)).toBeLessThanOrEqual(1e-5));
      c.joint.mean?.forEach((v, j) => expect(Math.abs(basis.mean[j] - v)).toBeLessThanOrEqual(1e-5));
    });
    it(`${c.n} paths × ${c.layers} layers × ${c.dim}: per layer, aligned`, () => same(layerPca(paths, c.dim), c.perLayer));
    it(`${c.n} paths × ${c.layers} layers × ${c.dim}: plane of two centroids`, () => same(centroidPlane(paths[0], paths[1], paths, c.dim), c.plane));
  }
});

describe('projections hold their ground', () => {
  it('a basis names its content, and is the same twice', () => {
    const r = noise(3);
    const paths = Array.from({ length: 4 }, () => ({ states: Float32Array.from({ length: 60 }, r) }));
    const a = jointPca(paths, 12);
    expect(jointPca(paths, 12)).toEqual(a);
    expect(a.id).toMatch(/^[0-9a-f]{16}$/);
    expect(jointPca(paths.slice(1), 12).id).not.toBe(a.id);
    expect(structuredClone(a)).toEqual(a);
  });
  it('equal eigenvalues: both axes are found', () => {
    const data = new Float64Array(6 * 8);
    [0, 1, 2].forEach((k) => {
      data[2 * k * 8 + k] = k === 2 ? 0.5 : 3;
      data[(2 * k + 1) * 8 + k] = k === 2 ? -0.5 : -3;
    });
    const { values, vectors } = twoLeading({ data, rows: 6, cols: 8 });
    expect(values[0]).toBeCloseTo(18, 9);
    expect(values[1]).toBeCloseTo(18, 9);
    expect(Math.abs(cosine(vectors[0], vectors[1], 8))).toBeLessThan(1e-9);
  });
  it('one state, one line, nothing: no axis is invented', () => {
    const one = jointPca([{ states: [1, 2, 3] }], 3);
    expect(one.explained).toEqual([0, 0]);
    const line = jointPca([{ states: [1, 0, 0, 1, 0, 0, -1, 0, 0] }], 3);
    expect(line.explained[0]).toBeCloseTo(1, 12);
    expect(line.explained[1]).toBe(0);
    expect(jointPca([], 3).explained).toEqual([0, 0]);
    expect(layerPca([], 3).steps).toBe(0);
  });
  it('a broken state is a gap and does not spoil the rest', () => {
    const r = noise(9);
    const good = Float32Array.from({ length: 50 }, r);
    const broken = Float32Array.from(good);
    broken.fill(NaN, 10, 20);
    const basis = jointPca([{ states: broken }], 10);
    const { x } = project(basis, { states: broken });
    expect(Array.from(x, Number.isFinite)).toEqual([true, false, true, true, true]);
  });
  it('Procrustes undoes any turn and mirror', () => {
    const r = noise(4);
    const p = Float64Array.from({ length: 20 }, r);
    for (const [a, b, c, d] of [[0.6, 0.8, -0.8, 0.6], [0.6, 0.8, 0.8, -0.6]]) {
      const q = p.map((_, i) => (i % 2 === 0 ? p[i] * a + p[i + 1] * c : p[i - 1] * b + p[i] * d));
      procrustes(p, q).forEach((v, k) => expect(v).toBeCloseTo([a, b, c, d][k], 10));
    }
  });
  it('axes carry names and shares', () => {
    const basis = jointPca([{ states: Float32Array.from({ length: 40 }, noise(2)) }], 8);
    expect(basisAxes(basis)[0]).toEqual({ name: 'PC 1', explained: basis.explained[0] });
  });
});

describe('similarities equal numpy', () => {
  const g = json<{ n: number; layers: number; dim: number; a: string; b: string; cosine: number[][]; pooled: number[][]; language: number[][]; forward: number[]; backward: number[]; norms: number[] }>('similarity.json');
  const a = cut(floats(g.a), g.n);
  const b = cut(floats(g.b), g.n);
  const close = (x: ArrayLike<number>, y: number[]): void => y.forEach((v, i) => expect(Math.abs(x[i] - v)).toBeLessThanOrEqual(1e-6));
  it('cosine, raw', () => a.forEach((s, i) => close(layerCosine(s, b[i], g.dim), g.cosine[i])));
  it('cosine, centred both ways', () => {
    centredCosines(a, b, g.dim)?.forEach((c, i) => close(c, g.pooled[i]));
    centredCosines(a, b, g.dim, 'each')?.forEach((c, i) => close(c, g.language[i]));
    expect(centredCosines(a.slice(0, 7), b, g.dim)).toBeNull();
  });
  it('nearest neighbours', () => {
    const nn = nearestNeighbour(a, b, g.dim);
    close(nn.forward, g.forward);
    close(nn.backward, g.backward);
    expect(nn.chance).toBe(0.1);
    expect(nearestNeighbour([a[0], a[0]], [a[0], a[0]], g.dim).forward[0]).toBe(0); // a tie is a miss
  });
  it('norms', () => norms(a[0], g.dim).forEach((v, l) => expect(v).toBeCloseTo(g.norms[l], 4)));
  it('zero and broken states give gaps', () => {
    expect(cosine([0, 0], [1, 0], 2)).toBeNaN();
    expect(cosine([NaN, 0], [1, 0], 2)).toBeNaN();
    expect(cosine([Infinity, 0], [1, 0], 2)).toBeNaN();
  });
});

describe('curves', () => {
  it('a band leaves gaps out and counts them', () => {
    const b = band([[1, 2, NaN], [3, 4, NaN], [5, NaN]]);
    expect(Array.from(b.median)).toEqual([3, 3, NaN]);
    expect(Array.from(b.n)).toEqual([3, 2, 0]);
    expect(b.low[0]).toBe(2);
    expect(Array.from(difference([1, 2], [4, 4, 9]))).toEqual([3, 2]);
  });
});

describe('depths and phases', () => {
  it('MRD by its formula', () => {
    expect(mrd([1, 1, 1, 1])).toBe(3);
    expect(mrd([95, -3, 2])).toBe(0);
    expect(mrd([94, -1, 5])).toBe(1);
    expect(mrd([50, 30, 20], 0.8)).toBe(1);
    expect(mrd([50, 30, 20], 1)).toBe(2);
    expect(mrd([0, 0])).toBeNull();
    expect(mrd([1, NaN])).toBeNull();
    expect(mrd([])).toBeNull();
  });
  const tokens = [{ group: 'question' as const }, { group: 'question' as const }, { group: 'answerSpan' as const }];
  const R = [5, -1, 1, 5, 1, 1, 0, 0, 1, 0, 0, 20]; // [4 layers, 3 tokens]
  it('groups are summed with their signs first', () => {
    expect(Array.from(groupRelevance(R, tokens, 'question') ?? [])).toEqual([4, 6, 0, 0]);
    expect(groupRelevance(R, tokens, 'context')).toBeNull();
    expect(tokenMrds(R, 3)).toEqual([1, 1, 3]);
    expect(phases(R, tokens)).toEqual({ layers: 3, threshold: 0.95, question: 1, answer: 3, encoding: [1, 1], retrieval: [2, 3] });
  });
  it('no answer span: the phase is absent, not guessed', () => {
    expect(phases([1, 1], [{ group: 'question' }]).retrieval).toBeNull();
  });
  it('stability lies in 0..1', () => {
    expect(phasingStability([{ question: 3, answer: 6 }, { question: 3, answer: 6 }, { question: null, answer: 2 }], 12)).toMatchObject({ stability: 1, ordered: 1, n: 2, missing: 1 });
    expect(phasingStability([{ question: 0, answer: 12 }, { question: 12, answer: 0 }], 12)).toMatchObject({ stability: 0, ordered: 0.5 });
    expect(phasingStability([], 12).stability).toBeNaN();
  });
  it('evidence before relevance', () => {
    expect(riseLayer([0, 0.5, 0.96, 1, 0.9])).toBe(2);
    expect(riseLayer([1, 0.5, 0.2])).toBeNull();
    expect(emergenceLayer(lens(), 40)).toBe(10);
    const e = phaseEvidence({ questionAlignment: [0.1, 0.9, 0.8], lens: { cells: lens(), position: 40 } });
    expect(e.alignment).toEqual({ layer: 1, peak: 0.9, peakLayer: 1 });
    expect(e.retrieval).toBeNull();
    expect(e.emergence?.finalRank).toBe(0);
  });
});
