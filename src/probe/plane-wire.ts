/** A plane's request as it crosses to a worker: states that the worker still has from requests before are named, not sent again. */
import { fitter, type Plane, type PlaneRequest } from './plane';
import type { StatePath } from './projection';

type States = StatePath['states'];

export interface PlaneParcel {
  /** The request, with an index into `arrays` wherever it has states. */
  plane: Omit<PlaneRequest, 'paths' | 'guests' | 'centroids'> & { paths: number[]; guests: number[]; centroids: { question: number; answer: number } | null };
  /** States, or where they stand in what both ends hold. */
  arrays: (States | number)[];
}

/** How many states are held beyond those in use: what a reader takes off a picture often comes back. */
const SPARE = 48;
/** What both ends hold after a parcel: what is in use, then what was last. */
const held = (table: States[], before: States[]): States[] => [...table, ...before.filter((a) => !table.includes(a)).slice(0, SPARE)];

/** Parcels must arrive in the order in which they were made, each once. */
export function parceller(): (request: PlaneRequest) => PlaneParcel {
  let known: States[] = [];
  return ({ paths, guests, centroids, ...rest }) => {
    const table: States[] = [];
    const index = ({ states }: StatePath): number => (table.includes(states) ? table.indexOf(states) : table.push(states) - 1);
    const plane = { ...rest, paths: paths.map(index), guests: guests.map(index), centroids: centroids && { question: index(centroids.question), answer: index(centroids.answer) } };
    const arrays = table.map((states) => (known.includes(states) ? known.indexOf(states) : states));
    known = held(table, known);
    return { plane, arrays };
  };
}

/** The other end. */
export function unparceller(): (parcel: PlaneParcel) => Plane {
  let known: States[] = [];
  const fit = fitter();
  return ({ plane, arrays }) => {
    const table = arrays.map((a) => (typeof a === 'number' ? known[a] : a));
    known = held(table, known);
    const path = (at: number): StatePath => ({ states: table[at] });
    const { centroids: c } = plane;
    return fit({ ...plane, paths: plane.paths.map(path), guests: plane.guests.map(path), centroids: c && { question: path(c.question), answer: path(c.answer) } });
  };
}
