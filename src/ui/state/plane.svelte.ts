/** The plane that the paths are drawn in: fitted on what is on show, or the one that a record brought along. */
import { lacks, planeDistance, turnPlane } from '../../probe/plane';
import type { Basis, BasisKind, PlanePath, StatePath } from '../../probe/projection';
import { tokensHash } from '../../share/hash';
import type { ViewState } from '../../share/view';
import type { Probe, TokenGroup } from '../../types';
import { Fitting, type Wanted } from './fitting.svelte';
import { run } from './run.svelte';
import { view } from './view.svelte';

export const PATH_GROUPS: TokenGroup[] = ['question', 'readout', 'answerSpan'];

export interface DrawnPath {
  language: string;
  group: TokenGroup;
  pinned: boolean;
  token?: number;
  layers: number[];
  states: Float32Array;
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
export const runOf = (p: Probe): string => `${p.model.card.ref.id} ${p.dim} ${tokensHash(p.tokens.filter((t) => t.group !== 'answer'))}`;
export const bare = ({ states }: StatePath): StatePath => ({ states });
export const groupsOf = (groups: readonly string[]): string => PATH_GROUPS.filter((g) => groups.includes(g)).join();

/** What the plane through question and answer goes through. */
export function centroidsOf({ means: { question, answerSpan } }: Probe): { question: StatePath; answer: StatePath } | null {
  return question && answerSpan ? { question: { states: question }, answer: { states: answerSpan } } : null;
}

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

  present: TokenGroup[] = $derived.by(() => PATH_GROUPS.filter((g) => run.shown?.main.means[g]));
  groups: TokenGroup[] = $derived(this.present.filter((g) => view.paths.includes(g)));
  #paths: DrawnPath[] = $derived.by(() => {
    const main = run.shown?.main;
    return run.probes.flatMap((p) =>
      this.groups.flatMap((group): DrawnPath[] => {
        const states = p.means[group];
        return states && p.dim === main?.dim ? [{ language: languageOf(p), group, pinned: p === main || languageOf(p) === 'en', layers: p.layers, states }] : [];
      }),
    );
  });
  #centroids = $derived.by(() => {
    const through = run.probes.find((p) => languageOf(p) === 'en') ?? run.shown?.main;
    return through ? centroidsOf(through) : null;
  });
  /** A token picked by the reader; the readout is already there as a group. The plane stays where it is: the token is put into it, not fitted. */
  #token: DrawnPath | null = $derived.by(() => {
    const main = run.shown?.main;
    const at = view.position;
    const token = at === null ? undefined : main?.tokens[at];
    if (!main || at === null || !token || token.group === 'readout') return null;
    const states = statesOf(main, at);
    return states && { language: languageOf(main), group: token.group, pinned: true, token: at, layers: main.layers, states };
  });
  /** The record's own plane, while what it was fitted for is on show. */
  #own: Basis | null = $derived.by(() => {
    const { held } = this;
    return held && run.shown && held.basis.kind === this.#kind && held.basis.dim === run.shown.main.dim && held.groups === this.groups.join() && held.of === runOf(run.shown.main) ? held.basis : null;
  });
  #kind: BasisKind = $derived(this.lacks(view.projection) ? 'joint-pca' : view.projection);

  #fitting = new Fitting((): Wanted<DrawnPath[]> | null => {
    const main = run.shown?.main;
    if (!main) return null;
    const paths = this.#paths;
    const guests = this.#token ? [this.#token] : [];
    return { of: [...paths, ...guests], plane: { kind: this.#kind, dim: main.dim, paths: paths.map(bare), guests: guests.map(bare), centroids: this.#centroids, held: this.#own } };
  });
  /** null: not drawn yet. */
  drawn: Drawn | null = $derived.by(() => {
    const { now } = this.#fitting;
    if (!now) return null;
    const { basis, id, signs, points } = turnPlane(now.plane, view.basis?.signs ?? now.plane.signs);
    return { paths: now.of.map((p, i) => ({ ...p, ...points[i] })), basis, id, signs };
  });

  get late(): boolean {
    return this.#fitting.late;
  }
  /** To be called in an effect of whoever draws. */
  keepUp(): void {
    this.#fitting.keepUp();
  }

  /** Why what is on show has no plane of this kind; null: it has. */
  lacks(kind: BasisKind): string | null {
    return run.shown ? lacks({ kind, paths: this.#paths, centroids: this.#centroids }) : null;
  }

  /** A record's plane, to be used again for the run that it was fitted with. */
  hold(basis: Basis | null, main: Probe, groups: readonly string[]): void {
    this.held = basis && { basis, of: runOf(main), groups: groupsOf(groups) };
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

export const plane = new Plane();
