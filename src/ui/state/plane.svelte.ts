/**
 * The plane that the paths are drawn in: fitted on what is on show, or the one that a record brought along. Small fits are made on
 * the spot; large ones in a worker, and the picture before stays until they are there.
 */
import { fitPlane, planeDistance, type Plane as Fitted, type PlaneRequest } from '../../probe/plane';
import { parceller, type PlaneParcel } from '../../probe/plane-wire';
import type { Basis, BasisKind, PlanePath } from '../../probe/projection';
import { tokensHash } from '../../share/hash';
import type { ViewState } from '../../share/view';
import type { Probe, TokenGroup } from '../../types';
import { run } from './run.svelte';
import { view } from './view.svelte';

export const PATH_GROUPS: TokenGroup[] = ['question', 'readout', 'answerSpan'];
/** Numbers in the states from which a fit is left to the worker: a few milliseconds' work. */
const LARGE = 400_000;

export interface DrawnPath {
  language: string;
  group: TokenGroup;
  pinned: boolean;
  token?: number;
  layers: number[];
  states: Float32Array;
}

interface Request {
  paths: DrawnPath[];
  guests: DrawnPath[];
  plane: PlaneRequest;
}
export interface Drawn {
  paths: (DrawnPath & PlanePath)[];
  basis: Basis;
  id: string;
  signs: string;
}

interface Held {
  basis: Basis;
  /** The run it was fitted with: only the same prompt is drawn in it again. */
  of: string;
  groups: string;
}

const languageOf = (p: Probe): string => p.ask.questionLanguage ?? '';
const runOf = (p: Probe): string => `${p.model.card.ref.id} ${p.dim} ${tokensHash(p.tokens.filter((t) => t.group !== 'answer'))}`;

function statesOf(p: Probe, at: number): Float32Array | null {
  const k = p.positions.indexOf(at);
  if (!p.states || k < 0) return null;
  const n = p.positions.length;
  const out = new Float32Array(p.layers.length * p.dim);
  for (let l = 0; l < p.layers.length; l++) out.set(p.states.subarray((l * n + k) * p.dim, (l * n + k + 1) * p.dim), l * p.dim);
  return out;
}

class Plane {
  held: Held | null = $state.raw(null);
  #late: { of: Request; drawn: Drawn } | null = $state.raw(null);
  #fit: Promise<(request: PlaneRequest) => Promise<Fitted>> | null = null;

  present: TokenGroup[] = $derived.by(() => PATH_GROUPS.filter((g) => run.shown?.main.means[g]));
  groups: TokenGroup[] = $derived(this.present.filter((g) => view.paths.includes(g)));
  /** The record's own plane, while what it was fitted for is on show. */
  #own: Basis | null = $derived.by(() => {
    const { held } = this;
    return held && run.shown && held.basis.kind === view.projection && held.groups === this.groups.join() && held.of === runOf(run.shown.main) ? held.basis : null;
  });
  /** A token picked by the reader; the readout is already there as a group. */
  token: number | null = $derived.by(() => {
    const at = view.position;
    const token = at === null ? undefined : run.shown?.main.tokens[at];
    return token && token.group !== 'readout' ? at : null;
  });
  #request: Request | null = $derived.by(() => {
    const { shown } = run;
    return shown ? this.#ask(shown.main, view.projection) : null;
  });
  #large: boolean = $derived((this.#request?.paths.reduce((n, p) => n + p.states.length, 0) ?? 0) > LARGE);
  /** null: not drawn yet. */
  drawn: Drawn | null = $derived.by(() => {
    const request = this.#request;
    if (!request) return null;
    return this.#large ? (this.#late?.drawn ?? null) : put(request, fitPlane(request.plane));
  });

  #ask(main: Probe, kind: BasisKind): Request {
    const { dim } = main;
    const paths = run.probes.flatMap((p) =>
      this.groups.flatMap((group): DrawnPath[] => {
        const states = p.means[group];
        return states && p.dim === dim ? [{ language: languageOf(p), group, pinned: p === main || languageOf(p) === 'en', layers: p.layers, states }] : [];
      }),
    );
    const { token } = this;
    // the plane stays where it is: a single token is put into it, not fitted
    const states = token === null ? null : statesOf(main, token);
    const guests: DrawnPath[] = states && token !== null ? [{ language: languageOf(main), group: main.tokens[token].group, pinned: true, token, layers: main.layers, states }] : [];
    const { question, answerSpan } = (run.probes.find((p) => languageOf(p) === 'en') ?? main).means;
    const bare = ({ states }: DrawnPath): { states: Float32Array } => ({ states });
    return {
      paths,
      guests,
      plane: { kind, dim, paths: paths.map(bare), guests: guests.map(bare), centroids: question && answerSpan ? { question: { states: question }, answer: { states: answerSpan } } : null, held: this.#own, signs: view.basis?.signs ?? null },
    };
  }

  /** To be called in an effect of whoever draws: leaves large fits to the worker. The latest one counts. */
  keepUp(): void {
    const request = this.#request;
    if (!request || !this.#large || this.#late?.of === request) return;
    this.#fit ??= import('comlink').then(({ wrap }) => {
      const parcel = parceller();
      const worker = wrap<{ fit(parcel: PlaneParcel): Fitted }>(new Worker(new URL('../../../workers/plane.worker.ts', import.meta.url), { type: 'module', name: 'plane' }));
      return (plane) => worker.fit(parcel(plane));
    });
    void this.#fit
      .then((fit) => fit(request.plane))
      .then((fitted) => {
        if (request === this.#request) this.#late = { of: request, drawn: put(request, fitted) };
      });
  }

  /** A record's plane, to be used again for the run that it was fitted with. */
  hold(basis: Basis | null, main: Probe, groups: readonly string[]): void {
    this.held = basis && { basis, of: runOf(main), groups: PATH_GROUPS.filter((g) => groups.includes(g)).join() };
  }

  /** What a link says of the plane on show. */
  seen(): Pick<ViewState, 'basis' | 'signs'> {
    const { drawn } = this;
    return drawn ? { basis: drawn.id, signs: [drawn.signs[0] === 'm' ? -1 : 1, drawn.signs[1] === 'm' ? -1 : 1] } : {};
  }

  /** Turns one axis round: which way it runs is arbitrary, and a reader may want two pictures to run alike. */
  mirror(axis: 0 | 1): void {
    const { drawn } = this;
    if (drawn) view.basis = { id: drawn.id, signs: [...drawn.signs].map((s, k) => (k !== axis ? s : s === 'm' ? 'p' : 'm')).join('') };
  }

  /** How far a run's paths lie from those of another run of the same, as a share of the plot. */
  distance(there: Probe, here: Probe): number | null {
    const basis = this.drawn?.basis;
    if (!basis || basis.dim !== there.dim || there.dim !== here.dim) return null;
    const of = (p: Probe): { states: Float32Array }[] => this.groups.flatMap((g) => (p.means[g] ? [{ states: p.means[g] }] : []));
    return planeDistance(basis, of(there), of(here));
  }
}

function put({ paths, guests }: Request, { points, basis, id, signs }: Fitted): Drawn {
  return { paths: [...paths, ...guests].map((p, i) => ({ ...p, ...points[i] })), basis, id, signs };
}

export const plane = new Plane();
