/**
 * `lab.relevanceSet` and `lab.patchSet`: one call of the lab after the other, on the page, so that what is finished outlives a lost
 * device or worker. Each call is a message to the worker's queue and gives way to nobody; a question asked meanwhile waits for one item.
 */
import type { Patching, PatchOptions, Relevance, RelevanceOptions } from './lab-mechanism';
import type { PatchItem, PatchPair, PatchSet } from './probe/patch-set';
import { namedAsk, type RelevanceItem, type RelevanceSet, type SetState } from './probe/relevance-set';
import { refuseUnknown, type Names } from './lab-options';
import { LabError, LOST, toLabError } from './runtime/errors';
import { Meter } from './runtime/progress';
import type { Ask, LabErrorCode, LoadedModel, Provenance } from './types';
import type { Calls } from './wire';

/** What a set asks of the lab. */
export interface SetLab {
  relevance(ask: Ask, options: RelevanceOptions & Calls): Promise<Relevance>;
  patch(ask: Ask, options: PatchOptions & Calls): Promise<Patching>;
  model(): Promise<LoadedModel | null>;
  recover(): Promise<LoadedModel | null>;
}

interface SetCalls<S> extends Pick<Calls, 'signal' | 'onProgress'> {
  /** A set that was stopped: its finished items are kept, the rest is asked. Give the same list and options. */
  resume?: S;
  /** After every item, with all so far. */
  onItem?: (soFar: S) => void;
}
export interface RelevanceSetOptions extends Omit<RelevanceOptions, 'lane' | 'threshold'>, SetCalls<RelevanceSet> {}
/** Positions are those of one prompt: a set is patched by groups. */
export interface PatchSetOptions extends Pick<PatchOptions, 'groups' | 'layers' | 'match'>, SetCalls<PatchSet> {}

const CALLS: Names<SetCalls<unknown>> = { signal: true, onProgress: true, resume: true, onItem: true };
const RELEVANCE_SET: Names<RelevanceSetOptions> = { rule: true, target: true, maxTokens: true, weights: true, ...CALLS };
const PATCH_SET: Names<PatchSetOptions> = { groups: true, layers: true, match: true, ...CALLS };

/** Wrong with one item only: it is noted and the next one is asked. */
const OF_ONE_ITEM: readonly LabErrorCode[] = ['bad-input', 'too-long', 'empty-question', 'not-found'];
/** Wrong with all of them. */
const OF_ALL: readonly LabErrorCode[] = ['unsupported-graph', 'no-model'];

/**
 * Relevance of each ask, reduced to its groups' curves. Ends with what it has when it is cancelled or the device is lost (`stopped`).
 * @throws LabError 'no-model', 'unsupported-graph', 'bad-input' for an unknown option or a set that is resumed with another list
 */
export async function relevanceSet(lab: SetLab, asks: readonly Ask[], options: RelevanceSetOptions = {}): Promise<RelevanceSet> {
  refuseUnknown('lab.relevanceSet', options, RELEVANCE_SET);
  const { resume, onItem, signal, onProgress, ...asked } = options;
  const rule = asked.rule ?? 'attnlrp';
  const target = asked.target ?? { kind: 'first' };
  if (resume && (resume.rule !== rule || JSON.stringify(resume.target) !== JSON.stringify(target))) throw another('The set was begun with another rule or target.');
  const set: RelevanceSet = { kind: 'relevance-set', rule, target, layers: resume?.layers ?? 0, items: [...(resume?.items ?? [])], ...begin(asks.length, resume) };
  // the first token is all that most targets need of the answer
  const maxTokens = asked.maxTokens ?? (target.kind === 'first' || target.kind === 'gold' ? 1 : undefined);
  return each(lab, set, asks, { resume, signal, onProgress, onItem }, async (index, ask) => {
    const map = await lab.relevance(ask, { ...asked, rule, target, ...(maxTokens ? { maxTokens } : {}), lane: null, signal });
    const item: RelevanceItem = {
      index,
      ask: namedAsk(ask),
      target: map.targets.map((t) => t.text).join(''),
      z: map.z,
      layers: map.layers,
      groups: map.groups,
      notFinite: map.checks.notFinite,
    };
    set.layers = map.layers;
    return { item, provenance: map.provenance };
  });
}

/**
 * A patching sweep of each pair. Ends with what it has when it is cancelled or the device is lost (`stopped`).
 * @throws as `relevanceSet`
 */
export async function patchSet(lab: SetLab, pairs: readonly PatchPair[], options: PatchSetOptions = {}): Promise<PatchSet> {
  refuseUnknown('lab.patchSet', options, PATCH_SET);
  const { resume, onItem, signal, onProgress, ...asked } = options;
  const { groups, layers, match } = asked;
  const wish: NonNullable<PatchSet['wish']> = { ...(groups ? { groups } : {}), ...(layers ? { layers } : {}), ...(match ? { match } : {}) };
  if (resume && JSON.stringify(resume.wish ?? wish) !== JSON.stringify(wish)) throw another('The set was begun with other groups, layers or another match.');
  const set: PatchSet = { kind: 'patch-set', layers: resume?.layers ?? layers ?? [], wish, items: [...(resume?.items ?? [])], ...begin(pairs.length, resume) };
  const cleanAt = (item: PatchItem): boolean => sameAsk(item.cleanAsk, pairs[item.index]?.clean);
  if (resume && !resume.items.every(cleanAt)) throw another('The set was begun with other clean runs.');
  return each(lab, set, pairs.map((pair) => pair.ask), { resume, signal, onProgress, onItem }, async (index, ask) => {
    const swept = await lab.patch(ask, { ...asked, clean: pairs[index].clean, lane: null, signal });
    const { layers, groups, absent, effects, differences, flips, done, clean, corrupted, a, b, contrast } = swept;
    set.layers = layers;
    const item: PatchItem = { index, ask: namedAsk(ask), cleanAsk: namedAsk(pairs[index].clean), a, b, contrast, layers, groups, absent, effects, differences, flips, done, clean, corrupted };
    return { item, provenance: swept.provenance };
  });
}

function begin(total: number, resume: SetState | undefined): SetState {
  if (resume && resume.total !== total) throw another(`The set was begun with ${resume.total} items, and this list has ${total}.`);
  return { total, missed: [...(resume?.missed ?? [])], stopped: null, ms: resume?.ms ?? 0, provenance: resume?.provenance ?? null };
}

async function each<I extends { index: number; ask: Ask }, S extends SetState & { items: I[] }>(
  lab: SetLab,
  set: S & { items: I[] },
  asks: readonly Ask[],
  calls: SetCalls<S>,
  one: (index: number, ask: Ask) => Promise<{ item: I; provenance: Provenance }>,
): Promise<S> {
  const { items } = set;
  const known = new Set([...items, ...set.missed].map(({ index, ask }) => (sameAsk(ask, asks[index]) ? index : -1)));
  if (known.has(-1)) throw another('The set was begun with another list.');
  const started = performance.now() - set.ms;
  const meter = new Meter(calls.onProgress);
  meter.phase('run', asks.length);
  if (known.size > 0) meter.add(known.size, false);
  const stopped = calls.resume?.stopped ?? null;
  let at: number | undefined;
  try {
    if (stopped && LOST.includes(stopped.code)) await lab.recover();
    const before = set.provenance;
    const here = (await lab.model())?.provenance;
    if (before && here && (before.model !== here.model || before.revision !== here.revision || before.dtype !== here.dtype))
      throw another('The set was begun with another model.');
    for (const [index, ask] of asks.entries()) {
      if (known.has(index)) continue;
      if (calls.signal?.aborted) throw new LabError('cancelled', 'The set was stopped; what was done is kept.');
      at = index;
      try {
        const { item, provenance } = await one(index, ask);
        items.push(item);
        set.provenance = provenance;
      } catch (error) {
        const { code, message } = toLabError(error);
        const again = LOST.includes(code) && stopped?.index === index;
        if (!again && !OF_ONE_ITEM.includes(code)) throw error;
        set.missed.push({ index, ask: namedAsk(ask), code, message });
        if (again) await lab.recover();
      }
      set.ms = performance.now() - started;
      meter.add(1);
      calls.onItem?.({ ...set, items: [...items], missed: [...set.missed] });
    }
    meter.finish();
  } catch (error) {
    const { code, message } = toLabError(error);
    if (OF_ALL.includes(code) || code === 'bad-input') throw error;
    set.stopped = { code, message, ...(LOST.includes(code) && at !== undefined ? { index: at } : {}) };
  }
  return set;
}

const another = (why: string): LabError => new LabError('bad-input', why, 'Give the list it was begun with, or begin anew.');
const sameAsk = (a: Ask, b: Ask | undefined): boolean => b !== undefined && JSON.stringify(namedAsk(a)) === JSON.stringify(namedAsk(b));
