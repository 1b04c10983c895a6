/**
 * The default plane of the trajectory picture: states scaled to unit length, then a joint PCA of everything shown.
 * With n points of dimension d, n ≪ d, the principal components come from the n×n Gram matrix.
 * The sign of an axis is fixed so that its largest loading is positive.
 */
export interface Plane {
  /** Coordinates per input row. */
  x: Float64Array;
  y: Float64Array;
  explained: [number, number];
}

export function unitPca(rows: Float32Array[]): Plane {
  const n = rows.length;
  const d = rows[0]?.length ?? 0;
  const unit = rows.map((r) => {
    let s = 0;
    for (const v of r) s += v * v;
    const f = s > 0 ? 1 / Math.sqrt(s) : 0;
    return Float64Array.from(r, (v) => v * f);
  });
  const mean = new Float64Array(d);
  for (const r of unit) for (let j = 0; j < d; j++) mean[j] += r[j] / n;
  for (const r of unit) for (let j = 0; j < d; j++) r[j] -= mean[j];

  const gram = unit.map((a) => Float64Array.from(unit, (b) => a.reduce((s, v, j) => s + v * b[j], 0)));
  let total = 0;
  for (let i = 0; i < n; i++) total += gram[i][i];

  const axes: { value: number; vector: Float64Array }[] = [];
  for (let k = 0; k < 2; k++) {
    const found = leading(gram, axes.map((a) => a.vector));
    const loading = new Float64Array(d);
    for (let i = 0; i < n; i++) for (let j = 0; j < d; j++) loading[j] += found.vector[i] * unit[i][j];
    let peak = 0;
    for (const v of loading) if (Math.abs(v) > Math.abs(peak)) peak = v;
    if (peak < 0) for (let i = 0; i < n; i++) found.vector[i] *= -1;
    axes.push(found);
  }
  const along = (k: number) => axes[k].vector.map((v) => v * Math.sqrt(Math.max(0, axes[k].value)));
  return { x: along(0), y: along(1), explained: [axes[0].value / (total || 1), axes[1].value / (total || 1)] };
}

/** Power iteration, kept orthogonal to the vectors already found. */
function leading(m: Float64Array[], found: Float64Array[]): { value: number; vector: Float64Array } {
  const n = m.length;
  let v = Float64Array.from({ length: n }, (_, i) => Math.sin(i * 12.9898 + 1) + 0.1);
  let value = 0;
  for (let step = 0; step < 2000; step++) {
    for (const f of found) {
      let dot = 0;
      for (let i = 0; i < n; i++) dot += f[i] * v[i];
      for (let i = 0; i < n; i++) v[i] -= dot * f[i];
    }
    const w = Float64Array.from(m, (row) => row.reduce((s, a, j) => s + a * v[j], 0));
    const norm = Math.hypot(...w);
    if (norm < 1e-14) return { value: 0, vector: v.fill(0) };
    let moved = 0;
    for (let i = 0; i < n; i++) {
      w[i] /= norm;
      moved = Math.max(moved, Math.abs(w[i] - v[i]));
    }
    v = w;
    value = norm;
    if (moved < 1e-12) break;
  }
  return { value, vector: v };
}
