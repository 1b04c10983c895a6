/**
 * The plane of one picture: a small one is fitted on the spot, any other by a worker of its own. The latest request counts, and the plane
 * of before stays until its own is there. A reader goes back and forth between projections and groups: what was fitted is there at once.
 */
import { fitter, sameRequest, type Plane, type PlaneRequest } from '../../probe/plane';
import { parceller, type PlaneParcel } from '../../probe/plane-wire';

/** Numbers in the states up to which a fit is made on the spot: two to three milliseconds' work, by whichever kind of plane. */
const SMALL = 10_000;

export interface Wanted<T> {
  plane: PlaneRequest;
  /** What it is for: handed back with the plane. */
  of: T;
}

export interface Fitted<T> {
  plane: Plane;
  of: T;
}

/** Planes that are kept, of the runs on show. */
const KEPT = 8;

export class Fitting<T> {
  #ask: () => Wanted<T> | null;
  #spot = fitter();
  /** Shown last. */
  #before: Fitted<T> | null = null;
  #kept: { of: PlaneRequest; plane: Plane }[] = $state.raw([]);
  #worker: Promise<(request: PlaneRequest) => Promise<Plane>> | null = null;

  #wanted: Wanted<T> | null = $derived.by(() => this.#ask());
  #small: boolean = $derived((this.#wanted?.plane.paths.reduce((n, p) => n + p.states.length, 0) ?? 0) <= SMALL);
  #known: Plane | null = $derived.by(() => {
    const wanted = this.#wanted?.plane;
    return (wanted && this.#kept.find(({ of }) => sameRequest(of, wanted))?.plane) ?? null;
  });
  /** null: not there yet. */
  now: Fitted<T> | null = $derived.by(() => {
    const wanted = this.#wanted;
    if (!wanted) return null;
    const plane = this.#small ? this.#spot(wanted.plane) : this.#known;
    return plane ? (this.#before = { plane, of: wanted.of }) : this.#before;
  });
  /** What is there is of before. */
  late: boolean = $derived(this.#wanted !== null && !this.#small && this.#known === null);

  constructor(ask: () => Wanted<T> | null) {
    this.#ask = ask;
  }

  /** To be called in an effect of whoever draws: what is large is left to the worker. */
  keepUp(): void {
    const wanted = this.#wanted;
    if (!wanted || !this.late) return;
    this.#worker ??= import('comlink').then(({ wrap }) => {
      const parcel = parceller();
      const worker = wrap<{ fit(parcel: PlaneParcel): Plane }>(new Worker(new URL('../../../workers/plane.worker.ts', import.meta.url), { type: 'module', name: 'plane' }));
      return (plane) => worker.fit(parcel(plane));
    });
    void this.#worker
      .then((fit) => fit(wanted.plane))
      .then((plane) => {
        const shown = this.#wanted?.plane.paths ?? [];
        const near = ({ of }: { of: PlaneRequest }): boolean => of.paths.some(({ states }) => shown.some((p) => p.states === states));
        this.#kept = [{ of: wanted.plane, plane }, ...this.#kept].filter(near).slice(0, KEPT);
      });
  }
}
