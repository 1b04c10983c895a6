/**
 * The plane of the two models' picture: of the kind chosen for the paths, with axes that run as theirs do. One for both where they have one
 * width, else one for each. Along a training it is A's, in all its languages, so that it stays while B moves; the checkpoints asked so far
 * give the scales. A record brings its planes along.
 */
import { lacks, turnPlane, type Plane } from '../../probe/plane';
import type { Basis, BasisKind, PlanePath, StatePath } from '../../probe/projection';
import type { Probe, TokenGroup } from '../../types';
import { compare } from './compare.svelte';
import { Fitting, type Wanted } from './fitting.svelte';
import { bare, centroidsOf, groupsOf, PATH_GROUPS, plane, runOf } from './plane.svelte';
import { run } from './run.svelte';
import { view } from './view.svelte';

export interface SlotPath extends StatePath {
  slot: 'A' | 'B';
  group: TokenGroup;
  language: string;
  layers: number[];
  /** Only fitted on, or only there for the scales. */
  hidden?: boolean;
}
/** One model's part: its paths in its plane. */
export interface SlotPlane {
  paths: (SlotPath & PlanePath)[];
  /** These, and what else the scales are to hold. */
  extent: (SlotPath & PlanePath)[];
  basis: Basis;
}

class ComparePlane {
  held: { bases: Basis[]; of: string; groups: string } | null = $state.raw(null);

  #pair: { A: Probe; B: Probe } | null = $derived(run.shown && compare.b ? { A: run.shown.main, B: compare.b } : null);
  /** Places can be compared. */
  joint: boolean = $derived(this.#pair?.A.dim === this.#pair?.B.dim);
  /** The plane is A's own, and stays. */
  along: boolean = $derived(this.joint && compare.along);
  groups: TokenGroup[] = $derived.by(() => PATH_GROUPS.filter((g) => view.paths.includes(g) && this.#pair?.A.means[g] && this.#pair.B.means[g]));
  #fittings = ([0, 1] as const).map((k) => new Fitting(() => this.#ask(k)));

  /** A's and B's part; null: not there yet. */
  drawn: [SlotPlane, SlotPlane] | null = $derived.by(() => {
    const [first, second] = this.#fittings.map(({ now }) => now && { of: now.of, ...this.#turned(now.plane) });
    const own = this.joint ? first : second;
    if (!first || !own) return null;
    const part = (slot: 'A' | 'B', { of, points, basis }: typeof own): SlotPlane => {
      const extent = of.map((p, i) => ({ ...p, ...points[i] })).filter((p) => p.slot === slot);
      return { basis, extent, paths: extent.filter((p) => !p.hidden) };
    };
    return [part('A', first), part('B', own)];
  });
  /** Why there is no plane of the kind chosen; null: there is. */
  lacks: string | null = $derived.by(() => this.#fittings.map((_, k) => this.#lacks(k, view.projection)).find((why) => why) ?? null);

  get late(): boolean {
    return this.#fittings.some((f) => f.late);
  }
  /** To be called in an effect of whoever draws. */
  keepUp(): void {
    for (const fitting of this.#fittings) fitting.keepUp();
  }

  /** For a record, as they are drawn: one for both, or A's and B's. */
  bases(): Basis[] {
    return (this.drawn ?? []).slice(0, this.joint ? 1 : 2).map((p) => p.basis);
  }
  /** A record's, to be used again for the runs that they were fitted with. */
  hold(bases: Basis[], a: Probe, b: Probe, groups: readonly string[]): void {
    this.held = bases.length ? { bases, of: `${runOf(a)} ${runOf(b)}`, groups: groupsOf(groups) } : null;
  }

  #turned(plane_: Plane): Plane {
    return turnPlane(plane_, view.basis?.signs ?? plane.drawn?.signs ?? plane_.signs);
  }
  /** Of the first plane, or of B's own. */
  #paths(k: number): SlotPath[] {
    const pair = this.#pair;
    if (!pair) return [];
    const slots = this.joint ? (['A', 'B'] as const) : ([k ? 'B' : 'A'] as const);
    return slots.flatMap((slot) => this.#of(slot, pair[slot]));
  }
  #of(slot: 'A' | 'B', probe: Probe, hidden = false): SlotPath[] {
    return this.groups.flatMap((group): SlotPath[] => {
      const states = probe.means[group];
      return states ? [{ slot, group, language: probe.ask.questionLanguage ?? '', layers: probe.layers, states, ...(hidden ? { hidden } : {}) }] : [];
    });
  }
  /** What the plane is fitted on, and what is only put into it. */
  #parts(k: number): { fitted: SlotPath[]; guests: SlotPath[] } {
    const pair = this.#pair;
    if (!pair || !this.along) return { fitted: this.#paths(k), guests: [] };
    const { dim } = pair.A;
    const fitted = run.probes.filter((p) => p.dim === dim).flatMap((p) => this.#of('A', p, p !== pair.A));
    const others = compare.kept.filter((p) => p !== pair.B && p.dim === dim).flatMap((p) => this.#of('B', p, true));
    return { fitted, guests: [...this.#of('B', pair.B), ...others] };
  }
  #centroids(k: number): ReturnType<typeof centroidsOf> {
    const [main, all] = k ? [compare.b, compare.all] : [run.shown?.main, run.probes];
    const through = all.find((p) => p.ask.questionLanguage === 'en') ?? main;
    return through ? centroidsOf(through) : null;
  }
  #lacks(k: number, kind: BasisKind): string | null {
    return this.#pair && !(k && this.joint) ? lacks({ kind, paths: this.#parts(k).fitted, centroids: this.#centroids(k) }) : null;
  }
  #ask(k: 0 | 1): Wanted<SlotPath[]> | null {
    const pair = this.#pair;
    if (!pair || (k && this.joint)) return null;
    const kind = this.#lacks(k, view.projection) ? 'joint-pca' : view.projection;
    const { fitted, guests } = this.#parts(k);
    const { held } = this;
    const own = held?.groups === this.groups.join() && held.of === `${runOf(pair.A)} ${runOf(pair.B)}` ? held.bases[k] : undefined;
    const { dim } = pair[k ? 'B' : 'A'];
    return { of: [...fitted, ...guests], plane: { kind, dim, paths: fitted.map(bare), guests: guests.map(bare), centroids: this.#centroids(k), held: own?.kind === kind && own.dim === dim ? own : null } };
  }
}

export const comparePlane = new ComparePlane();
