/**
 * The two leading principal axes of a tall or wide matrix, by Lanczos with full reorthogonalisation on C = XᵀX.
 *
 * Only products X·v and Xᵀ·w are needed, so 1,332 states of width 2,048 take well under a second where a full decomposition
 * (or a Gram matrix) takes many. The second axis is found in the space orthogonal to the first, so that equal eigenvalues are no trap.
 */

/** Row-major [rows, cols]. */
export interface Matrix {
  data: Float64Array;
  rows: number;
  cols: number;
}

export interface Leading {
  /** Unit eigenvectors of XᵀX, largest first; zeros when the matrix has no such rank. */
  vectors: [Float64Array, Float64Array];
  /** Their eigenvalues: the squared singular values of X. */
  values: [number, number];
}

/** out = Xᵀ(X·v), four columns of the inner loop at a time. */
function gram(x: Matrix, v: Float64Array, out: Float64Array): void {
  const { data, rows, cols } = x;
  out.fill(0);
  const even = cols - (cols % 4);
  for (let i = 0; i < rows; i++) {
    const o = i * cols;
    let a = 0;
    let b = 0;
    let c = 0;
    let d = 0;
    let j = 0;
    for (; j < even; j += 4) {
      a += data[o + j] * v[j];
      b += data[o + j + 1] * v[j + 1];
      c += data[o + j + 2] * v[j + 2];
      d += data[o + j + 3] * v[j + 3];
    }
    for (; j < cols; j++) a += data[o + j] * v[j];
    const s = a + b + (c + d);
    if (s !== 0) for (j = 0; j < cols; j++) out[j] += s * data[o + j];
  }
}

const dot = (a: Float64Array, b: Float64Array): number => {
  let s = 0;
  for (let i = 0; i < a.length; i++) s += a[i] * b[i];
  return s;
};
const axpy = (k: number, a: Float64Array, into: Float64Array): void => {
  for (let i = 0; i < a.length; i++) into[i] += k * a[i];
};
function normalise(v: Float64Array): number {
  const n = Math.sqrt(dot(v, v));
  if (n > 0) for (let i = 0; i < v.length; i++) v[i] /= n;
  return n;
}

/** A fixed start without structure of its own (xorshift32), so that every run sees the same picture. */
function start(n: number, seed: number): Float64Array {
  const v = new Float64Array(n);
  let s = seed;
  for (let i = 0; i < n; i++) {
    s ^= s << 13;
    s ^= s >>> 17;
    s ^= s << 5;
    v[i] = (s >>> 0) / 2 ** 32 - 0.5;
  }
  return v;
}

/** Largest eigenpair of the symmetric tridiagonal T: bisection (Sturm counts) for the value, inverse iteration for the vector. */
function top(alpha: number[], beta: number[]): { value: number; vector: Float64Array } {
  const m = alpha.length;
  let lo = Infinity;
  let hi = -Infinity;
  for (let i = 0; i < m; i++) {
    const r = (i > 0 ? Math.abs(beta[i - 1]) : 0) + (i < m - 1 ? Math.abs(beta[i]) : 0);
    lo = Math.min(lo, alpha[i] - r);
    hi = Math.max(hi, alpha[i] + r);
  }
  const scale = Math.max(Math.abs(lo), Math.abs(hi), 1e-300);
  // count of eigenvalues above x
  const above = (x: number): number => {
    let count = 0;
    let d = 1;
    for (let i = 0; i < m; i++) {
      d = alpha[i] - x - (i > 0 ? (beta[i - 1] * beta[i - 1]) / d : 0);
      if (d === 0) d = -1e-300;
      if (d > 0) count++;
    }
    return count;
  };
  for (let k = 0; k < 200 && hi - lo > 1e-15 * scale; k++) {
    const mid = (lo + hi) / 2;
    if (above(mid) >= 1) lo = mid;
    else hi = mid;
  }
  const value = (lo + hi) / 2;
  // (T − value·I) v = w by Gaussian elimination with partial pivoting on the band
  let v: Float64Array = new Float64Array(m).fill(1 / Math.sqrt(m));
  for (let pass = 0; pass < 3; pass++) {
    v = solveShifted(alpha, beta, value + 1e-14 * scale, v);
    normalise(v);
  }
  return { value, vector: v };
}

function solveShifted(alpha: number[], beta: number[], shift: number, rhs: Float64Array): Float64Array {
  const m = alpha.length;
  // rows as [diag, upper, upper2]; pivoting fills the second upper diagonal
  const d = alpha.map((a) => a - shift);
  const u = [...beta.slice(0, m - 1), 0];
  const w = new Array<number>(m).fill(0);
  const b = Float64Array.from(rhs);
  for (let i = 0; i < m - 1; i++) {
    let low = beta[i];
    if (Math.abs(low) > Math.abs(d[i])) {
      [d[i], low] = [low, d[i]];
      [u[i], d[i + 1]] = [d[i + 1], u[i]];
      [w[i], u[i + 1]] = [u[i + 1], w[i]];
      [b[i], b[i + 1]] = [b[i + 1], b[i]];
    }
    if (d[i] === 0) d[i] = 1e-300;
    const f = low / d[i];
    d[i + 1] -= f * u[i];
    u[i + 1] -= f * w[i];
    b[i + 1] -= f * b[i];
  }
  if (d[m - 1] === 0) d[m - 1] = 1e-300;
  for (let i = m - 1; i >= 0; i--) b[i] = (b[i] - (i + 1 < m ? u[i] * b[i + 1] : 0) - (i + 2 < m ? w[i] * b[i + 2] : 0)) / d[i];
  return b;
}

/** Leading eigenpair of XᵀX in the space orthogonal to `avoid`. */
function leading(x: Matrix, avoid: Float64Array | null, seed: number): { value: number; vector: Float64Array } {
  const n = x.cols;
  const most = Math.min(n, x.rows, 240);
  const basis: Float64Array[] = [];
  const alpha: number[] = [];
  const beta: number[] = [];
  const q = start(n, seed);
  if (avoid) axpy(-dot(avoid, q), avoid, q);
  // one application first: the start then lies in the row space, and rank-deficient data end the recurrence early
  let w = new Float64Array(n);
  gram(x, q, w);
  if (avoid) axpy(-dot(avoid, w), avoid, w);
  if (normalise(w) === 0) return { value: 0, vector: new Float64Array(n) };
  let ritz: { value: number; vector: Float64Array } = { value: 0, vector: new Float64Array(1) };
  for (let k = 0; k < most; k++) {
    const v = w;
    basis.push(v);
    w = new Float64Array(n);
    gram(x, v, w);
    alpha.push(dot(v, w));
    for (let pass = 0; pass < 2; pass++) {
      if (avoid) axpy(-dot(avoid, w), avoid, w);
      for (const b of basis) axpy(-dot(b, w), b, w);
    }
    const r = normalise(w);
    const done = k === most - 1 || r <= 1e-14 * Math.max(...alpha);
    if (done || k % 6 === 5) {
      ritz = top(alpha, beta);
      if (done || r * Math.abs(ritz.vector[k]) <= 1e-11 * ritz.value) break;
    }
    beta.push(r);
  }
  const vector = new Float64Array(n);
  for (let k = 0; k < ritz.vector.length; k++) axpy(ritz.vector[k], basis[k], vector);
  normalise(vector);
  return { value: Math.max(0, ritz.value), vector };
}

/** The two leading eigenpairs of XᵀX for a centred X. Signs are arbitrary here. */
export function twoLeading(x: Matrix): Leading {
  const first = leading(x, null, 0x9e3779b9);
  if (first.value === 0) return { vectors: [first.vector, new Float64Array(x.cols)], values: [0, 0] };
  const second = leading(x, first.vector, 0x7f4a7c15);
  // what is left of a rank-one matrix is rounding, not an axis
  if (second.value <= 1e-13 * first.value) return { vectors: [first.vector, new Float64Array(x.cols)], values: [first.value, 0] };
  return { vectors: [first.vector, second.vector], values: [first.value, second.value] };
}
