/**
 * From hidden states to a plane [O]. States are first scaled to unit length (residual norms grow with depth and would swamp the picture).
 * A fitted `Basis` is plain data: it travels with the record, so that two readers see the same picture.
 */
import { twoLeading, type Matrix } from './lanczos';

/** One path: states of one token group or token through the layers, row-major [layers, dim]. */
export interface StatePath {
  states: ArrayLike<number>;
}

export type BasisKind = 'joint-pca' | 'layer-pca' | 'plane';

/** `steps` is 1 (one plane for all layers) or the number of layers (a plane each). */
export interface Basis {
  /** Hash of the numbers below: the same id means the same picture. */
  id: string;
  kind: BasisKind;
  dim: number;
  steps: number;
  /** What is subtracted from the unit-length state [steps, dim]. */
  mean: Float32Array;
  /** Orthonormal axes [steps, 2, dim]. */
  axes: Float32Array;
  /** Share of the variance of everything fitted that each axis holds [steps × 2], 0..1. */
  explained: number[];
}

/** A path in the plane; NaN where the state was not finite. */
export interface PlanePath {
  x: Float64Array;
  y: Float64Array;
}

/** What each projection preserves, to stand beside the picture. */
export const PRESERVES: Record<BasisKind, string> = {
  'joint-pca':
    'One plane for all layers, languages and groups (joint PCA of unit-length states): positions can be compared across layers; it keeps as much of the overall spread as a plane can, and small differences within a layer may be lost',
  'layer-pca':
    'A plane of its own for each layer, turned and mirrored to fit the layer before (per-layer PCA, Procrustes): it keeps the spread between paths within each layer; distances along a path mean nothing',
  plane:
    'The plane through the centroids of the English question and answer span and the origin: it keeps how far each state lies on the way from question to answer; whatever is orthogonal to that plane is lost',
};

/** Rows scaled to unit length, as [sum of layers, dim]; rows that are not finite are listed, and zero in the matrix. */
function unitRows(paths: StatePath[], dim: number): { x: Matrix; bad: Set<number> } {
  const rows = paths.reduce((n, p) => n + Math.floor(p.states.length / dim), 0);
  const data = new Float64Array(rows * dim);
  const bad = new Set<number>();
  let r = 0;
  for (const p of paths) {
    const layers = Math.floor(p.states.length / dim);
    for (let l = 0; l < layers; l++, r++) {
      let sq = 0;
      for (let j = 0; j < dim; j++) sq += p.states[l * dim + j] ** 2;
      const k = 1 / Math.sqrt(sq);
      if (!Number.isFinite(sq) || sq === 0) {
        bad.add(r);
        continue;
      }
      for (let j = 0; j < dim; j++) data[r * dim + j] = p.states[l * dim + j] * k;
    }
  }
  return { x: { data, rows, cols: dim }, bad };
}

/** Subtracts the mean of the given rows in place; the other rows become zero so that they carry no weight. Returns mean and total square. */
function centre(x: Matrix, bad: Set<number>): { mean: Float64Array; total: number } {
  const mean = new Float64Array(x.cols);
  let n = 0;
  for (let r = 0; r < x.rows; r++) {
    if (bad.has(r)) continue;
    n++;
    for (let j = 0; j < x.cols; j++) mean[j] += x.data[r * x.cols + j];
  }
  if (n > 0) for (let j = 0; j < x.cols; j++) mean[j] /= n;
  let total = 0;
  for (let r = 0; r < x.rows; r++) {
    if (bad.has(r)) continue;
    for (let j = 0; j < x.cols; j++) {
      const v = (x.data[r * x.cols + j] -= mean[j]);
      total += v * v;
    }
  }
  return { mean, total };
}

/** Turns an axis so that its largest loading is positive; among equals the first decides. */
function fixSign(axis: Float64Array): Float64Array {
  let best = 0;
  for (let j = 1; j < axis.length; j++) if (Math.abs(axis[j]) > Math.abs(axis[best]) * (1 + 1e-9)) best = j;
  if (axis[best] < 0) for (let j = 0; j < axis.length; j++) axis[j] = -axis[j];
  return axis;
}

function pca(x: Matrix, bad: Set<number>): { mean: Float64Array; axes: [Float64Array, Float64Array]; explained: [number, number]; total: number } {
  const { mean, total } = centre(x, bad);
  const { vectors, values } = twoLeading(x);
  const share = (v: number): number => (total > 0 ? v / total : 0);
  return { mean, axes: [fixSign(vectors[0]), fixSign(vectors[1])], explained: [share(values[0]), share(values[1])], total };
}

/** FNV-1a over bytes, 2 × 32 bits: an id to compare, not a proof. */
function hashBytes(...parts: Uint8Array[]): string {
  let a = 0x811c9dc5;
  let b = 0x1b873593;
  for (const part of parts)
    for (let i = 0; i < part.length; i++) {
      a = Math.imul(a ^ part[i], 0x01000193);
      b = Math.imul(b ^ part[i], 0x85ebca6b) ^ (b >>> 13);
    }
  return (a >>> 0).toString(16).padStart(8, '0') + (b >>> 0).toString(16).padStart(8, '0');
}

function makeBasis(kind: BasisKind, dim: number, steps: { mean: Float64Array; axes: [Float64Array, Float64Array]; explained: [number, number] }[]): Basis {
  const mean = new Float32Array(steps.length * dim);
  const axes = new Float32Array(steps.length * 2 * dim);
  steps.forEach((s, i) => {
    mean.set(s.mean, i * dim);
    axes.set(s.axes[0], 2 * i * dim);
    axes.set(s.axes[1], (2 * i + 1) * dim);
  });
  const id = hashBytes(new TextEncoder().encode(kind), new Uint8Array(mean.buffer), new Uint8Array(axes.buffer));
  return { id, kind, dim, steps: steps.length, mean, axes, explained: steps.flatMap((s) => s.explained) };
}

/** Joint PCA: one plane fitted on every state of every path. */
export function jointPca(paths: StatePath[], dim: number): Basis {
  const { x, bad } = unitRows(paths, dim);
  return makeBasis('joint-pca', dim, [pca(x, bad)]);
}

/**
 * A PCA per layer over the paths' states at that layer, each turned (or mirrored) onto the one before by orthogonal Procrustes
 * (Schönemann 1966): R = argmin ‖P_l R − P_{l−1}‖ over orthogonal R, on the paths both layers have. No scaling. At least 3 paths make sense.
 */
export function layerPca(paths: StatePath[], dim: number): Basis {
  const layers = Math.min(...paths.map((p) => Math.floor(p.states.length / dim)));
  const steps: { mean: Float64Array; axes: [Float64Array, Float64Array]; explained: [number, number] }[] = [];
  let before: Float64Array | null = null;
  for (let l = 0; l < (Number.isFinite(layers) ? layers : 0); l++) {
    const { x, bad } = unitRows(
      paths.map((p) => ({ states: Array.prototype.slice.call(p.states, l * dim, (l + 1) * dim) as number[] })),
      dim,
    );
    const fit = pca(x, bad);
    let points = planePoints(x, fit.axes);
    if (before !== null) {
      const r = procrustes(points, before);
      fit.axes = rotate(fit.axes, r);
      points = planePoints(x, fit.axes);
      fit.explained = [0, 1].map((k) => {
        let s = 0;
        for (let i = 0; i < x.rows; i++) s += points[2 * i + k] ** 2;
        return fit.total > 0 ? s / fit.total : 0;
      }) as [number, number];
    }
    steps.push(fit);
    before = points;
  }
  return makeBasis('layer-pca', dim, steps);
}

/** [rows, 2] coordinates of centred rows. */
function planePoints(x: Matrix, axes: [Float64Array, Float64Array]): Float64Array {
  const out = new Float64Array(x.rows * 2);
  for (let r = 0; r < x.rows; r++)
    for (let k = 0; k < 2; k++) {
      let s = 0;
      for (let j = 0; j < x.cols; j++) s += x.data[r * x.cols + j] * axes[k][j];
      out[2 * r + k] = s;
    }
  return out;
}

/** The 2 × 2 orthogonal R (row-major) minimising ‖P·R − Q‖: the better of the best rotation and the best reflection, both in closed form. */
export function procrustes(p: Float64Array, q: Float64Array): [number, number, number, number] {
  let a = 0;
  let b = 0;
  let c = 0;
  let d = 0;
  for (let i = 0; i < p.length; i += 2) {
    a += p[i] * q[i];
    b += p[i] * q[i + 1];
    c += p[i + 1] * q[i];
    d += p[i + 1] * q[i + 1];
  }
  const turn = Math.hypot(a + d, b - c);
  const flip = Math.hypot(a - d, b + c);
  if (turn === 0 && flip === 0) return [1, 0, 0, 1];
  if (turn >= flip) {
    const cos = (a + d) / turn;
    const sin = (b - c) / turn;
    return [cos, sin, -sin, cos];
  }
  const cos = (a - d) / flip;
  const sin = (b + c) / flip;
  return [cos, sin, sin, -cos];
}

function rotate([u, v]: [Float64Array, Float64Array], [a, b, c, d]: [number, number, number, number]): [Float64Array, Float64Array] {
  return [u.map((x, j) => x * a + v[j] * c), u.map((x, j) => x * b + v[j] * d)];
}

/**
 * The plane through the origin and two centroids (each the mean of a path's unit-length states over the layers). Axis 1 runs from the
 * question's centroid (the origin of the picture) to the answer's; axis 2 is orthogonal to it, away from the origin of the state space.
 */
export function centroidPlane(question: StatePath, answer: StatePath, all: StatePath[], dim: number): Basis {
  const centroid = (p: StatePath): Float64Array => {
    const { x, bad } = unitRows([p], dim);
    return centre(x, bad).mean;
  };
  const q = centroid(question);
  const a = centroid(answer);
  const unit = (v: Float64Array): Float64Array => {
    const n = Math.sqrt(v.reduce((s, t) => s + t * t, 0));
    return n > 1e-12 ? v.map((t) => t / n) : new Float64Array(dim);
  };
  const e1 = unit(a.map((v, j) => v - q[j]));
  const mid = a.map((v, j) => (v + q[j]) / 2);
  const along = mid.reduce((s, v, j) => s + v * e1[j], 0);
  const e2 = unit(mid.map((v, j) => v - along * e1[j]));
  const { x, bad } = unitRows(all, dim);
  const { total } = centre(x, bad);
  const points = planePoints(x, [e1, e2]);
  const explained: [number, number] = [0, 0];
  if (total > 0) for (let i = 0; i < points.length; i++) explained[i % 2] += points[i] ** 2 / total;
  return makeBasis('plane', dim, [{ mean: q, axes: [e1, e2], explained }]);
}

/** Puts a path into a fitted plane. The stored float32 basis is used, so that a reopened record draws the very same points. */
export function project(basis: Basis, path: StatePath): PlanePath {
  const { dim } = basis;
  const layers = Math.floor(path.states.length / dim);
  const x = new Float64Array(layers).fill(NaN);
  const y = new Float64Array(layers).fill(NaN);
  for (let l = 0; l < layers; l++) {
    const step = basis.steps === 1 ? 0 : l;
    if (step >= basis.steps) break;
    let sq = 0;
    for (let j = 0; j < dim; j++) sq += path.states[l * dim + j] ** 2;
    if (!Number.isFinite(sq) || sq === 0) continue;
    const k = 1 / Math.sqrt(sq);
    let sx = 0;
    let sy = 0;
    for (let j = 0; j < dim; j++) {
      const v = path.states[l * dim + j] * k - basis.mean[step * dim + j];
      sx += v * basis.axes[2 * step * dim + j];
      sy += v * basis.axes[(2 * step + 1) * dim + j];
    }
    x[l] = sx;
    y[l] = sy;
  }
  return { x, y };
}

/** Axis names and shares for a chart; of a plane per layer, the mean share over the layers. */
export function basisAxes(basis: Basis): [{ name: string; explained: number }, { name: string; explained: number }] {
  const mean = (k: number): number => {
    let s = 0;
    for (let i = 0; i < basis.steps; i++) s += basis.explained[2 * i + k];
    return basis.steps > 0 ? s / basis.steps : 0;
  };
  const names = basis.kind === 'plane' ? ['question to answer', 'away from the origin'] : basis.kind === 'layer-pca' ? ['PC 1 of each layer', 'PC 2 of each layer'] : ['PC 1', 'PC 2'];
  return [
    { name: names[0], explained: mean(0) },
    { name: names[1], explained: mean(1) },
  ];
}
