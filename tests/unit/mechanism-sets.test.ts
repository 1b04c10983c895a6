/** Relevance and patching over sets: what is kept, what is counted, what a stop leaves, with a lab that answers from a table. */
import { describe, expect, it } from 'vitest';
import type { Patching, Relevance } from '../../src/lab-mechanism';
import { patchSet, relevanceSet, type SetLab } from '../../src/lab-sets';
import { pairsOf, patchSummary, type PatchPair, type PatchSet } from '../../src/probe/patch-set';
import { patchCurves } from '../../src/probe/patching';
import { depthOf } from '../../src/probe/phases';
import { depthsOf, groupCurves, meanDepth, namedAsk, spread, stabilityByLanguage, summary, type RelevanceItem } from '../../src/probe/relevance-set';
import { LabError } from '../../src/runtime/errors';
import type { Ask, Item, LoadedModel, Progress, Provenance } from '../../src/types';

const provenance = { model: 'm', revision: 'r', dtype: 'fp32' } as Provenance;
const askOf = (id: string, questionLanguage: 'en' | 'de' = 'de'): Ask => ({ item: id, set: 's', contextLanguage: 'en', questionLanguage });

/** Curves over 5 rows; the question is done at `q`, the answer span at `a` (null: absent). */
function itemOf(index: number, q: number, a: number | null, ask = askOf(`i${index}`), size = 1): RelevanceItem {
  const at = (l: number): Float64Array => Float64Array.from({ length: 5 }, (_, k) => (k === l ? size : 0));
  return { index, ask, target: 't', z: 1, layers: 4, groups: { question: at(q), ...(a === null ? {} : { answerSpan: at(a) }) }, notFinite: 0 };
}

describe('means over a set', () => {
  it('spreads are population deviations of what is finite, and say of how many', () => {
    expect(spread([1, 3, NaN])).toEqual({ mean: 2, sd: 1, n: 2 });
    expect(spread([])).toMatchObject({ mean: NaN, sd: NaN, n: 0 });
  });

  it('curves have mean and spread by layer; an absent group lowers n, not the mean', () => {
    const curves = groupCurves([itemOf(0, 1, 3, undefined, 2), itemOf(1, 1, null, undefined, 4)]);
    expect(curves.map((c) => c.group)).toEqual(['answerSpan', 'question']);
    const question = curves[1];
    expect([...question.mean]).toEqual([0, 3, 0, 0, 0]);
    expect([...question.sd]).toEqual([0, 1, 0, 0, 0]);
    expect([...curves[0].n]).toEqual([1, 1, 1, 1, 1]);
    // each by its own sum: sizes no longer count
    expect([...groupCurves([itemOf(0, 1, 3, undefined, 2), itemOf(1, 1, null, undefined, 4)], 'item')[1].sd]).toEqual([0, 0, 0, 0, 0]);
  });

  it('a value that is not finite is in no mean, has no depth, and is counted', () => {
    const broken = itemOf(1, 2, 3);
    broken.groups.question![2] = NaN;
    broken.notFinite = 1;
    const set = { items: [itemOf(0, 2, 3), broken], layers: 4 };
    const s = summary(set);
    expect([...s.curves.find((c) => c.group === 'question')!.n]).toEqual([2, 2, 1, 2, 2]);
    expect(s.depths.map((d) => d.question)).toEqual([2, null]);
    expect(s.all.question).toEqual({ mean: 2, sd: 0, n: 1 });
    expect(s.notFinite).toEqual({ values: 1, items: 1 });
  });

  it('says why a depth is not known, of one map and of many', () => {
    expect([depthOf([0, 1, 3], 0.5), depthOf(null), depthOf([1, NaN]), depthOf([Infinity, 1]), depthOf([0, 0])]).toEqual([2, 'absent', 'not finite', 'not finite', 'no relevance']);
    const broken = itemOf(1, 2, null);
    broken.groups.question![2] = NaN;
    const empty = itemOf(2, 2, 9);
    expect(meanDepth([itemOf(0, 1, 3), broken, itemOf(3, 3, null)], 'question')).toEqual({ mean: 2, sd: 1, n: 2 });
    expect(meanDepth([broken], 'question')).toBe('not finite');
    expect(meanDepth([broken], 'answerSpan')).toBe('absent');
    expect(meanDepth([broken, empty], 'answerSpan')).toBe('no relevance');
  });

  it('what a depth sums does not cancel over the items', () => {
    const [plus, minus] = [itemOf(0, 2, null), itemOf(1, 2, null, undefined, -4)];
    const of = (scale: 'item' | 'absolute') => [...groupCurves([plus, minus], scale)[0].mean];
    expect(of('item')).toEqual([0, 0, 0, 0, 0]);
    expect(of('absolute')).toEqual([0, 0, 1, 0, 0]);
  });

  it('stability is by pair of languages, by the definition', () => {
    const items = [itemOf(0, 1, 3), itemOf(1, 3, 3), itemOf(2, 2, 4, askOf('x', 'en'))];
    const cells = stabilityByLanguage(items, 4);
    expect(cells.map((c) => c.questionLanguage)).toEqual(['de', 'en']);
    // sd of (1, 3)/4 is 0.25, of (3, 3)/4 is 0
    expect(cells[0].stability.stability).toBeCloseTo(0.75, 12);
    expect(cells[0].stability.ordered).toBe(0.5);
    expect(cells[1].stability.stability).toBe(1);
    expect(depthsOf(items, 0.95).map((d) => [d.question, d.answer])).toEqual([[1, 3], [3, 3], [2, 4]]);
  });

  it('flips are set against what could flip', () => {
    const one = (flip: number, top: number, clean = 7) => ({
      layers: [0, 1], groups: [{ group: 'readout' as const, match: 'each' as const }], absent: [], a: { id: 7 },
      effects: Float32Array.of(0, 1), differences: Float32Array.of(0, 1), flips: Uint8Array.of(0, flip), done: Uint8Array.of(1, 1),
      clean: { difference: 1, top: clean }, corrupted: { difference: -1, top },
    });
    // the last two cannot turn: their clean runs begin otherwise, and what turns them all the same is not the clean run's doing
    const [curve] = patchCurves([one(1, 3), one(0, 7), one(0, 3), one(0, 3, 5), one(1, 3, 5)]);
    expect([...curve.flips]).toEqual([0, 1]);
    expect([...curve.flippable]).toEqual([2, 2]);
    expect(curve.met).toEqual({ each: 5 });
  });
});

it('means of a set of sweeps are over the pairs that tell, wherever they are shown', () => {
  const pair = (effect: number, match: 'each' | 'last', clean: number, contrast: 'answers' | 'runner-up' = 'answers') => ({
    index: 0, ask: askOf('i'), cleanAsk: askOf('j'), a: { id: 7, text: 'a' }, b: { id: 3, text: 'b' }, contrast,
    layers: [0], groups: [{ group: 'question' as const, match }], absent: [], effects: Float32Array.of(effect), differences: Float32Array.of(0), flips: Uint8Array.of(0), done: Uint8Array.of(1),
    clean: { difference: clean, top: 7 }, corrupted: { difference: 0, top: 3 },
  });
  const { pairs, leftOut, curves } = patchSummary({ items: [pair(0.5, 'each', 3), pair(1, 'last', 3), pair(0, 'last', -3), pair(40, 'last', 0.1), pair(90, 'each', 5, 'runner-up')] });
  expect([pairs, leftOut, curves[0].mean[0], curves[0].flippable[0]]).toEqual([3, 2, 0.5, 3]);
  expect(curves[0].met).toEqual({ each: 1, last: 2 });
});

describe('pairs', () => {
  const item = (id: string, paragraph: string, answer: string, languages = ['en', 'de']): Item => ({
    id, set: 's', paragraph,
    context: { en: `about ${paragraph}`, de: `über ${paragraph}` },
    question: Object.fromEntries(languages.map((l) => [l, `${id}?`])),
    answer: { en: { text: answer, start: 0 } },
  });
  const items = [item('a', 'p', 'Rome'), item('b', 'p', 'Rome'), item('c', 'p', 'Oslo', ['en']), item('d', 'q', 'Bonn')];
  it('swap questions within a passage, never for one with the same answer, and cross languages on request', () => {
    const ids = (pairs: PatchPair[]) => pairs.map(({ ask, clean }) => [ask, clean].map((x) => `${(namedAsk(x) as { item: string }).item} ${x.questionLanguage}`).join(' ← '));
    expect(ids(pairsOf(items, { contextLanguage: 'en', questionLanguage: 'en' }))).toEqual(['a en ← c en', 'b en ← c en', 'c en ← a en']);
    expect(ids(pairsOf(items, { contextLanguage: 'en', questionLanguage: 'de', cleanLanguage: 'en' }))).toEqual(['a de ← c en', 'b de ← c en']);
    expect(pairsOf(items, { contextLanguage: 'en', questionLanguage: 'de' })).toEqual([]);
  });
});

/** Answers from a table of curves; `fail` says what goes wrong at which item. */
function labOf(fail: Record<string, LabError> = {}): SetLab & { asked: string[]; recovered: number } {
  const lab = {
    asked: [] as string[],
    recovered: 0,
    async relevance(ask: Ask): Promise<Relevance> {
      const { item } = ask as { item: string };
      lab.asked.push(item);
      if (fail[item]) throw fail[item];
      const { groups } = itemOf(0, 1, 3);
      return { targets: [{ id: 1, text: 'T', weight: 1 }], z: 2, layers: 4, groups, checks: { notFinite: 0 }, provenance } as unknown as Relevance;
    },
    async patch(ask: Ask): Promise<Patching> {
      const { item } = ask as { item: string };
      lab.asked.push(item);
      if (fail[item]) throw fail[item];
      return { layers: [0, 1], groups: [], absent: [], effects: new Float32Array(0), provenance, a: { id: 1, text: 'a' }, b: { id: 2, text: 'b' } } as unknown as Patching;
    },
    model: async () => ({ provenance }) as LoadedModel,
    recover: async () => {
      lab.recovered++;
      return null;
    },
  };
  return lab;
}
const asks = ['i0', 'i1', 'i2', 'i3'].map((id) => askOf(id));

describe('a set that is run', () => {
  it('asks each in turn, reports progress that never falls, and shows what it has after each', async () => {
    const lab = labOf();
    const seen: Progress[] = [];
    const sizes: number[] = [];
    const set = await relevanceSet(lab, asks, { onProgress: (p) => seen.push(p), onItem: (s) => sizes.push(s.items.length) });
    expect(lab.asked).toEqual(['i0', 'i1', 'i2', 'i3']);
    expect(set).toMatchObject({ kind: 'relevance-set', rule: 'attnlrp', layers: 4, total: 4, missed: [], stopped: null, provenance });
    expect(sizes).toEqual([1, 2, 3, 4]);
    seen.reduce((before, p) => (expect(p.done).toBeGreaterThanOrEqual(before), p.done), 0);
    expect(seen.at(-1)).toMatchObject({ phase: 'run', done: 4, total: 4 });
  });

  it('an item that cannot be measured is counted with its reason; the others go on', async () => {
    const set = await relevanceSet(labOf({ i1: new LabError('too-long', 'the longest that fits has 40') }), asks);
    expect(set.items.map((i) => i.index)).toEqual([0, 2, 3]);
    expect(set.missed).toEqual([{ index: 1, ask: asks[1], code: 'too-long', message: 'the longest that fits has 40' }]);
    expect(set.stopped).toBeNull();
  });

  it('a device lost half-way keeps what is finished; resuming asks only the rest, of a model loaded anew', async () => {
    const broken = await relevanceSet(labOf({ i2: new LabError('device-lost', 'The device was lost.') }), asks);
    expect(broken.items.map((i) => i.index)).toEqual([0, 1]);
    expect(broken.stopped).toEqual({ code: 'device-lost', message: 'The device was lost.', index: 2 });
    const lab = labOf();
    const whole = await relevanceSet(lab, asks, { resume: broken });
    expect(lab.recovered).toBe(1);
    expect(lab.asked).toEqual(['i2', 'i3']);
    expect(whole.items.map((i) => i.index)).toEqual([0, 1, 2, 3]);
    expect(whole.stopped).toBeNull();
    expect(broken.items).toHaveLength(2);
  });

  it.each(['out-of-memory', 'worker-lost'] as const)('an item that ends the model a second time (%s) is missed, and the others go on', async (code) => {
    const lab = labOf({ i1: new LabError(code, 'It gave out.') });
    const once = await relevanceSet(lab, asks);
    expect([once.items.length, once.missed.length, once.stopped]).toEqual([1, 0, { code, message: 'It gave out.', index: 1 }]);
    const twice = await relevanceSet(lab, asks, { resume: once });
    expect(twice.items.map((i) => i.index)).toEqual([0, 2, 3]);
    expect(twice.missed).toEqual([{ index: 1, ask: asks[1], code, message: 'It gave out.' }]);
    expect(twice.stopped).toBeNull();
    // before it is asked again, and before the next one is
    expect(lab.recovered).toBe(2);
    // another item than the one it ended at is asked once more, as any is
    const elsewhere = await relevanceSet(labOf({ i2: new LabError(code, 'It gave out.') }), asks, { resume: { ...once, stopped: { code, message: '', index: 1 } } });
    expect([elsewhere.missed.length, elsewhere.stopped?.index]).toEqual([0, 2]);
  });

  it('an option that there is not is refused by its name, before anything is asked', async () => {
    const lab = labOf();
    await expect(relevanceSet(lab, asks, { treshold: 0.9 } as object)).rejects.toMatchObject({ code: 'bad-input', message: 'lab.relevanceSet has no option “treshold”.' });
    await expect(patchSet(lab, [], { positions: [3] } as object)).rejects.toMatchObject({ code: 'bad-input', message: 'lab.patchSet has no option “positions”.' });
    expect(lab.asked).toEqual([]);
  });

  it('a cancel keeps what is finished as well', async () => {
    const stop = new AbortController();
    const set = await relevanceSet(labOf(), asks, { signal: stop.signal, onItem: (s) => s.items.length === 2 && stop.abort() });
    expect(set.items).toHaveLength(2);
    expect(set.stopped?.code).toBe('cancelled');
    const lab = labOf();
    expect((await relevanceSet(lab, asks, { resume: set })).items).toHaveLength(4);
    expect(lab.recovered).toBe(0);
  });

  it('another list, rule, target or model is no resumption', async () => {
    const set = await relevanceSet(labOf(), asks.slice(0, 2));
    await expect(relevanceSet(labOf(), asks, { resume: set })).rejects.toMatchObject({ code: 'bad-input' });
    await expect(relevanceSet(labOf(), [asks[1], asks[0]], { resume: set })).rejects.toMatchObject({ code: 'bad-input' });
    await expect(relevanceSet(labOf(), asks.slice(0, 2), { resume: set, rule: 'gradient' })).rejects.toMatchObject({ code: 'bad-input' });
    await expect(relevanceSet(labOf(), asks.slice(0, 2), { resume: { ...set, items: set.items.slice(0, 1), provenance: { ...provenance, model: 'other' } } })).rejects.toMatchObject({ code: 'bad-input' });
  });

  it('a model that has no relevance says so once', async () => {
    await expect(relevanceSet(labOf({ i0: new LabError('unsupported-graph', 'it uses Foo') }), asks)).rejects.toMatchObject({ code: 'unsupported-graph', message: 'it uses Foo' });
  });

  it('pairs are patched in the same way', async () => {
    const pairs = asks.map((ask, i): PatchPair => ({ ask, clean: asks[(i + 1) % 4] }));
    const broken: PatchSet = await patchSet(labOf({ i3: new LabError('worker-lost', 'gone') }), pairs);
    expect(broken.items).toHaveLength(3);
    const lab = labOf();
    const whole = await patchSet(lab, pairs, { resume: broken });
    expect(lab.asked).toEqual(['i3']);
    expect(whole.items.map((i) => i.cleanAsk)).toEqual(pairs.map((p) => p.clean));
    await expect(patchSet(labOf(), pairs.map((p) => ({ ...p, clean: asks[0] })), { resume: broken })).rejects.toMatchObject({ code: 'bad-input' });
    for (const wish of [{ match: 'mean' }, { groups: ['readout'] }, { layers: [0, 1] }] as const) {
      await expect(patchSet(labOf(), pairs, { ...wish, resume: broken } as object)).rejects.toMatchObject({ code: 'bad-input', message: expect.stringContaining('other groups, layers or another match') });
      const same = await patchSet(labOf({ i3: new LabError('worker-lost', 'gone') }), pairs, wish as object);
      expect((await patchSet(labOf(), pairs, { ...wish, resume: same } as object)).items).toHaveLength(4);
    }
  });
});
