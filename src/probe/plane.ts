/** A picture's plane, fitted or taken over, and every path put into it. Plain data in and out: it runs on the page or in a worker. */
import { centroidPlane, jointPca, layerPca, project, type Basis, type BasisKind, type PlanePath, type StatePath } from './projection';

export interface PlaneRequest {
  kind: BasisKind;
  dim: number;
  /** What the plane is fitted on. The first one decides the signs. */
  paths: StatePath[];
  /** Drawn in the plane, not fitted. */
  guests: StatePath[];
  /** For the plane through question and answer. */
  centroids: { question: StatePath; answer: StatePath } | null;
  /** A plane that came with a record, in place of a fit. */
  held: Basis | null;
  /** Signs that a link, a record or the reader asks for, 'p' or 'm' per axis; null: as fitted. */
  signs: string | null;
}

export interface Plane {
  /** With its axes as drawn. */
  basis: Basis;
  /** Of the plane as it was fitted, whatever its signs: the same id is the same plane. */
  id: string;
  /** Per axis, whether the first path strays farthest towards plus or minus: a rule that a small difference of runs does not turn. */
  signs: string;
  /** Points of `paths`, then of `guests`. */
  points: PlanePath[];
}

export function fitPlane(request: PlaneRequest): Plane {
  const { paths, guests, held, dim } = request;
  const basis = held ?? fit(request);
  const points = [...paths, ...guests].map((p) => project(basis, p));
  const own = points[0] ? signsOf(points[0]) : 'pp';
  const signs = request.signs ?? own;
  const turn = [0, 1].map((k) => signs[k] !== own[k]);
  if (!turn[0] && !turn[1]) return { basis, id: basis.id, signs: own, points };
  const axes = basis.axes.map((v, i) => (turn[Math.floor(i / dim) % 2] ? -v : v));
  return { basis: { ...basis, axes }, id: basis.id, signs, points: points.map(({ x, y }) => ({ x: turn[0] ? x.map((v) => -v) : x, y: turn[1] ? y.map((v) => -v) : y })) };
}

function fit({ kind, dim, paths, centroids }: PlaneRequest): Basis {
  if (kind === 'plane' && centroids) return centroidPlane(centroids.question, centroids.answer, paths, dim);
  return kind === 'layer-pca' && paths.length >= 3 ? layerPca(paths, dim) : jointPca(paths, dim);
}

function signsOf({ x, y }: PlanePath): string {
  return [x, y]
    .map((v) => {
      let far = 0;
      for (let l = 1; l < v.length; l++) if (Math.abs(v[l] - v[0]) > Math.abs(far)) far = v[l] - v[0];
      return far < 0 ? 'm' : 'p';
    })
    .join('');
}

/** The greatest distance between two runs' paths in one plane, as a share of the picture's longer side; null where nothing can be compared. */
export function planeDistance(basis: Basis, there: StatePath[], here: StatePath[]): number | null {
  let far = -1;
  const low = [Infinity, Infinity];
  const high = [-Infinity, -Infinity];
  there.forEach((path, i) => {
    const other = here[i];
    if (!other || other.states.length !== path.states.length) return;
    const [a, b] = [project(basis, path), project(basis, other)];
    for (let l = 0; l < a.x.length; l++) {
      const d = Math.hypot(a.x[l] - b.x[l], a.y[l] - b.y[l]);
      if (!Number.isFinite(d)) continue;
      far = Math.max(far, d);
      [a.x[l], a.y[l]].forEach((v, k) => {
        low[k] = Math.min(low[k], v);
        high[k] = Math.max(high[k], v);
      });
    }
  });
  const extent = Math.max(high[0] - low[0], high[1] - low[1]);
  return far < 0 || !(extent > 0) ? null : far / extent;
}
