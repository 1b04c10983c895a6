/** Relevance and patching over many items: what is asked for, how far it is, what is there by now. It goes on while the reader looks elsewhere. */
import type { PatchPair, PatchSet } from '../../probe/patch-set';
import type { RelevanceSet } from '../../probe/relevance-set';
import type { Match } from '../../probe/patching';
import type { RelevanceRule, RelevanceTarget } from '../../probe/relevance';
import type { RecordedSet } from '../../share/sets';
import { LANGUAGES, type Ask, type Item, type Language, type Progress } from '../../types';
import type { MechanismView, SetOver } from '../../share/view';
import { isQuiet, toTrouble, type Trouble } from '../lab-api';
import { save } from '../figures/save';
import { labOf, type Slot } from './work.svelte';

/** A slot's set, the model's title, and what it was taken over as the reader chose it; null where a record does not say. */
export interface SetResult<S> {
  of: string;
  set: S;
  over: SetOver | null;
}

type Run<S> = (slot: Slot, calls: { signal: AbortSignal; onProgress: (p: Progress) => void; onItem: (soFar: S) => void; resume?: S }) => Promise<S>;

export class SetWork<S extends RelevanceSet | PatchSet> {
  busy = $state(false);
  progress: Progress | null = $state.raw(null);
  trouble: Trouble | null = $state.raw(null);
  results: Partial<Record<Slot, SetResult<S>>> = $state.raw({});
  /** Begun on this page: what was stopped can go on. */
  mine = $state(false);
  #abort: AbortController | null = null;
  #again: ((resume: boolean) => Promise<void>) | null = null;

  /** Something was stopped. */
  stopped: { code: string; message: string } | null = $derived.by(() => {
    if (this.busy) return null;
    for (const r of Object.values(this.results)) if (r.set.stopped) return r.set.stopped;
    return null;
  });

  async run(slots: { slot: Slot; of: string }[], over: SetOver, work: Run<S>): Promise<void> {
    this.results = {};
    this.mine = true;
    this.#again = async (resume) => {
      const abort = (this.#abort = new AbortController());
      this.busy = true;
      this.trouble = null;
      try {
        for (const { slot, of } of slots) {
          const before = this.results[slot]?.set;
          if (resume && before && !before.stopped) continue;
          const keep = (set: S) => this.#abort === abort && (this.results = { ...this.results, [slot]: { of, set, over } });
          const set = await work(slot, { signal: abort.signal, onProgress: (p) => (this.progress = p), onItem: keep, ...(before ? { resume: before } : {}) });
          keep(set);
          if (set.stopped) break;
        }
      } catch (error) {
        const trouble = toTrouble(error);
        if (!isQuiet(trouble) && this.#abort === abort) this.trouble = trouble;
      } finally {
        if (this.#abort === abort) this.#rest();
      }
    };
    await this.#again(false);
  }

  goOn(): void {
    void this.#again?.(true);
  }

  stop(): void {
    this.#abort?.abort();
  }

  /** What a record holds, in place of what is there. */
  put(results: SetWork<S>['results']): void {
    this.stop();
    this.#abort = null;
    this.mine = false;
    this.trouble = null;
    this.results = results;
    this.#rest();
  }

  #rest(): void {
    this.busy = false;
    this.progress = null;
  }
}

export const relevanceSets = new SetWork<RelevanceSet>();
export const patchSets = new SetWork<PatchSet>();

/** A record's sets are on show without a model. One that holds none leaves what is there. */
export function restoreSets(sets: readonly RecordedSet[], view: MechanismView = {}): void {
  const maps: typeof relevanceSets.results = {};
  const sweeps: typeof patchSets.results = {};
  for (const { slot, model: of, set } of sets) {
    if (set.kind === 'relevance-set') maps[slot] = { of, set, over: view.maps ?? null };
    else sweeps[slot] = { of, set, over: view.sweeps ?? null };
  }
  if (Object.keys(maps).length > 0) relevanceSets.put(maps);
  if (Object.keys(sweeps).length > 0) patchSets.put(sweeps);
}

/** `count` of a list, evenly spread over it. */
export const spreadOver = <T>(list: readonly T[], count: number): T[] => (list.length <= count ? [...list] : Array.from({ length: count }, (_, i) => list[Math.floor((i * list.length) / count)]));

/** The asks of a set: items spread evenly over the item set, the question languages in turn. */
export function asksOf(items: readonly Item[], set: string, contextLanguage: Language, questionLanguage: Language, over: SetOver): Ask[] {
  const languages = over.languages === 'asked' ? [questionLanguage] : LANGUAGES.filter((l) => l !== 'en');
  const able = items.filter((i) => i.context[contextLanguage] !== undefined && languages.some((l) => i.question[l] !== undefined));
  return spreadOver(able, over.items).flatMap((item, i) => {
    const language = languages[i % languages.length];
    return item.question[language] === undefined ? [] : [{ item, set, contextLanguage, questionLanguage: language }];
  });
}

export interface MapWish {
  rule: RelevanceRule;
  target: RelevanceTarget;
}
export const measureMaps = (asks: Ask[], wish: MapWish): Run<RelevanceSet> => async (slot, calls) => (await labOf(slot)).relevanceSet(asks, { ...wish, ...calls });
export const measurePatches = (pairs: PatchPair[], match: Match | undefined): Run<PatchSet> => async (slot, calls) => (await labOf(slot)).patchSet(pairs, { ...(match ? { match } : {}), ...calls });

/** Everything a set holds, as JSON; arrays as lists, numbers JSON has no word for as text. */
export function saveSet(set: RelevanceSet | PatchSet, name: string): void {
  const text = JSON.stringify(set, (_key, v: unknown) => {
    if (ArrayBuffer.isView(v)) return [...(v as Float64Array)];
    return typeof v === 'number' && !Number.isFinite(v) ? String(v) : v;
  });
  save(`${name}.json`, new Blob([text], { type: 'application/json' }));
}
