/** Relevance and patching over sets: what is kept, what is counted, what a stop leaves, with a lab that answers from a table. */
import { describe, expect, it } from 'vitest';
import type { Patching, Relevance } from '../../src/lab-mechanism';
import { patchSet, relevanceSet, type SetLab } from '../../src/lab-sets';
import { pairsOf, type PatchPair, type PatchSet } from '../../src/probe/patch-set';
import { patchCurves } from '../../src/probe/patching';
import { depthsOf, groupCurves, namedAsk, spread, stabilityByLanguage, summary, type RelevanceItem } from '../../src/probe/relevance-set';
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
    const one = (flip: number, top: number) => ({
      layers: [0, 1], groups: [{ group: 'readout' as const, match: 'each' as const }], absent: [], a: { id: 7 },
      effects: Float32Array.of(0, 1), differences: Float32Array.of(0, 1), flips: Uint8Array.of(0, flip), done: Uint8Array.of(1, 1),
      clean: { difference: 1, top: 7 }, corrupted: { difference: -1, top },
    });
    const [curve] = patchCurves([one(1, 3), one(0, 7), one(0, 3)]);
    expect([...curve.flips]).toEqual([0, 1]);
    expect([...curve.flippable]).toEqual([2, 2]);
  });
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
    expect(broken.stopped).toEqual({ code: 'device-lost', message: 'The device was lost.' });
    const lab = labOf();
    const whole = await relevanceSet(lab, asks, { resume: broken });
    expect(lab.recovered).toBe(1);
    expect(lab.asked).toEqual(['i2', 'i3']);
    expect(whole.items.map((i) => i.index)).toEqual([0, 1, 2, 3]);
    expect(whole.stopped).toBeNull();
    expect(broken.items).toHaveLength(2);
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
  });
});
