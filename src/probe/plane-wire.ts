/** A plane's request as it crosses to a worker: states that the worker has from the request before are named, not sent again. */
import { fitter, type Plane, type PlaneRequest } from './plane';
import type { StatePath } from './projection';

type States = StatePath['states'];

export interface PlaneParcel {
  /** The request, with an index into `arrays` wherever it has states. */
  plane: Omit<PlaneRequest, 'paths' | 'guests' | 'centroids'> & { paths: number[]; guests: number[]; centroids: { question: number; answer: number } | null };
  /** States, or where they stood in the parcel before. */
  arrays: (States | number)[];
}

/** Parcels must arrive in the order in which they were made, each once. */
export function parceller(): (request: PlaneRequest) => PlaneParcel {
  let last: States[] = [];
  return ({ paths, guests, centroids, ...rest }) => {
    const table: States[] = [];
    const index = ({ states }: StatePath): number => (table.includes(states) ? table.indexOf(states) : table.push(states) - 1);
    const plane = { ...rest, paths: paths.map(index), guests: guests.map(index), centroids: centroids && { question: index(centroids.question), answer: index(centroids.answer) } };
    const arrays = table.map((states) => (last.includes(states) ? last.indexOf(states) : states));
    last = table;
    return { plane, arrays };
  };
}

/** The other end. */
export function unparceller(): (parcel: PlaneParcel) => Plane {
  let last: States[] = [];
  const fit = fitter();
  return ({ plane, arrays }) => {
    last = arrays.map((a) => (typeof a === 'number' ? last[a] : a));
    const path = (at: number): StatePath => ({ states: last[at] });
    const { centroids: c } = plane;
    return fit({ ...plane, paths: plane.paths.map(path), guests: plane.guests.map(path), centroids: c && { question: path(c.question), answer: path(c.answer) } });
  };
}
