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
}

export interface Plane {
  basis: Basis;
  /** Of the plane as it was fitted, whatever its signs: the same id is the same plane. */
  id: string;
  /** Per axis, whether the first path strays farthest towards plus or minus: a rule that a small difference of runs does not turn. */
  signs: string;
  /** Points of `paths`, then of `guests`. */
  points: PlanePath[];
}

/** Why there is no plane of this kind for what is shown, in words; null: there is. Joint PCA takes its place. */
export function lacks({ kind, paths, centroids }: Pick<PlaneRequest, 'kind' | 'centroids'> & { paths: readonly unknown[] }): string | null {
  const n = paths.length;
  if (kind === 'layer-pca' && n < 3) return `a plane per layer needs three paths, and ${n === 1 ? 'one is' : n === 2 ? 'two are' : 'none is'} shown`;
  return kind === 'plane' && !centroids ? 'the plane goes through the answer span, and none is known here' : null;
}

/** Fits planes, and fits none anew for what is only drawn in it: the plane of before is kept. */
export function fitter(): (request: PlaneRequest) => Plane {
  let last: { of: PlaneRequest; basis: Basis } | null = null;
  return (request) => {
    const basis = request.held ?? (last && sameFit(last.of, request) ? last.basis : fit(request));
    last = { of: request, basis };
    const points = [...request.paths, ...request.guests].map((p) => project(basis, p));
    return { basis, id: basis.id, signs: points[0] ? signsOf(points[0]) : 'pp', points };
  };
}

export const fitPlane = (request: PlaneRequest): Plane => fitter()(request);

/** With axes that run as a link, a record or the reader asks for, 'p' or 'm' each. */
export function turnPlane(plane: Plane, signs: string): Plane {
  const turn = [0, 1].map((k) => signs[k] !== plane.signs[k]);
  if (!turn[0] && !turn[1]) return plane;
  const { basis } = plane;
  let axes: Basis['axes'] | null = null;
  const turned: Basis = {
    ...basis,
    // many numbers, and what is drawn needs the points alone
    get axes() {
      return (axes ??= basis.axes.map((v, i) => (turn[Math.floor(i / basis.dim) % 2] ? -v : v)));
    },
  };
  const points = plane.points.map(({ x, y }) => ({ x: turn[0] ? x.map((v) => -v) : x, y: turn[1] ? y.map((v) => -v) : y }));
  return { basis: turned, id: plane.id, signs, points };
}

/** Whether two requests have the same plane and the same points in it. */
export function sameRequest(a: PlaneRequest, b: PlaneRequest): boolean {
  return a.held === b.held && sameFit({ ...a, held: null }, b) && a.guests.length === b.guests.length && a.guests.every(({ states }, i) => states === b.guests[i].states);
}

function sameFit(a: PlaneRequest, b: PlaneRequest): boolean {
  const states = ({ paths, centroids }: PlaneRequest): unknown[] => [...paths, ...(centroids ? [centroids.question, centroids.answer] : [])].map((p) => p.states);
  const [x, y] = [states(a), states(b)];
  return !a.held && a.kind === b.kind && a.dim === b.dim && a.paths.length === b.paths.length && x.length === y.length && x.every((s, i) => s === y[i]);
}

function fit(request: PlaneRequest): Basis {
  const { kind, dim, paths, centroids } = request;
  if (lacks(request)) return jointPca(paths, dim);
  if (kind === 'plane' && centroids) return centroidPlane(centroids.question, centroids.answer, paths, dim);
  return kind === 'layer-pca' ? layerPca(paths, dim) : jointPca(paths, dim);
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
