/** Relevance and patching over many items in a record: what is written is what is read, what does not fit is said, means stand in the table. */
import { describe, expect, it } from 'vitest';
import type { PatchSet } from '../../src/probe/patch-set';
import { patchCurves } from '../../src/probe/patching';
import { summary, type RelevanceItem, type RelevanceSet } from '../../src/probe/relevance-set';
import { parseCsv } from '../../src/share/csv';
import { exportRecord } from '../../src/share/of-record';
import { joinRecord, makeRecord, packRecord, splitRecord, unpackRecord, type LabRecord } from '../../src/share/record';
import type { Ask } from '../../src/types';
import { probe } from '../fixtures/share/probe';

const ask = (id: string, questionLanguage: 'de' | 'th'): Ask => ({ item: id, set: 'world', contextLanguage: 'en', questionLanguage });
const item = (index: number, questionLanguage: 'de' | 'th', depth: number): RelevanceItem => ({
  index, ask: ask(`i${index}`, questionLanguage), target: 'Rom', z: 3, layers: 2, notFinite: index === 1 ? 1 : 0,
  groups: { question: Float64Array.from({ length: 3 }, (_, l) => (l === depth ? index + 1 : 0)), answerSpan: Float64Array.of(0, index === 1 ? NaN : 1, 2) },
});
const maps = (): RelevanceSet => ({
  kind: 'relevance-set', rule: 'cp-lrp', target: { kind: 'first' }, layers: 2, items: [item(0, 'de', 1), item(1, 'th', 0)], total: 3,
  missed: [{ index: 2, ask: ask('i2', 'de'), code: 'too-long', message: 'too long' }], stopped: null, ms: 12, provenance: probe().provenance,
});
const sweeps = (): PatchSet => ({
  kind: 'patch-set', layers: [0, 2], wish: { layers: [0, 2], match: 'mean' }, total: 2, missed: [], stopped: { code: 'device-lost', message: 'Stopped.', index: 1 }, ms: 7, provenance: null,
  items: [{
    index: 0, ask: ask('i0', 'de'), cleanAsk: ask('i1', 'de'), a: { id: 1, text: 'a' }, b: { id: 2, text: 'b' }, contrast: 'answers', layers: [0, 2],
    groups: [{ group: 'question', match: 'last' }, { group: 'readout', match: 'each' }], absent: ['answerSpan'],
    effects: Float32Array.of(0.5, NaN, 0, 1), differences: Float32Array.of(1, 2, 3, 4), flips: Uint8Array.of(1, 0, 0, 1), done: Uint8Array.of(1, 1, 1, 1),
    clean: { difference: 4, top: 1 }, corrupted: { difference: 1, top: 2 },
  }, {
    index: 1, ask: ask('i1', 'th'), cleanAsk: ask('i0', 'th'), a: { id: 1, text: 'a' }, b: { id: 2, text: 'b' }, contrast: 'answers', layers: [0, 2],
    groups: [], absent: ['question', 'readout'], effects: new Float32Array(0), differences: new Float32Array(0), flips: new Uint8Array(0), done: new Uint8Array(0),
    clean: { difference: 1, top: 1 }, corrupted: { difference: NaN, top: -1 },
  }],
});
const record = (): LabRecord =>
  makeRecord([{ slot: 'A', probe: probe() }], { created: '2025-03-01T12:00:00.000Z', sets: [{ slot: 'A', model: 'Post', set: maps() }, { slot: 'B', model: 'Base', set: sweeps() }] });

/** The record with one thing changed in its JSON. */
function changed(change: (json: { sets: { set: Record<string, unknown> & { items: Record<string, unknown>[] } }[] }) => void) {
  const { json, arrays } = splitRecord(record());
  const copy = JSON.parse(JSON.stringify(json)) as Parameters<typeof change>[0];
  change(copy);
  return joinRecord(copy, arrays);
}

it('depths in the table are at the threshold that was chosen', () => {
  const item: RelevanceItem = { index: 0, ask: ask('i0', 'de'), target: 'Rom', z: 3, layers: 2, notFinite: 0, groups: { question: Float64Array.of(6, 3, 1), answerSpan: Float64Array.of(0, 0, 1) } };
  const set: RelevanceSet = { ...maps(), items: [item] };
  const rows = parseCsv(new TextDecoder().decode(exportRecord(makeRecord([{ slot: 'A', probe: probe() }], { sets: [{ slot: 'A', model: 'Post', set }], view: { threshold: 0.6 } }), 'csv').bytes));
  expect(rows.filter((r) => r[5] === 'MRD at 60 %, in layers: mean').map((r) => [r[6], r[7]])).toEqual([['question', '0'], ['answerSpan', '2']]);
  expect(rows.some((r) => r[5].includes('95 %'))).toBe(false);
});

describe('sets in records', () => {
  it('come back whole, and so do their means, depths, stability and flips', () => {
    const read = unpackRecord(packRecord(record()));
    expect(read).toEqual({ ok: true, value: record(), remarks: [] });
    if (!read.ok) return;
    const [a, b] = read.value.sets!.map((s) => s.set);
    expect(summary(a as RelevanceSet)).toEqual(summary(maps()));
    expect(patchCurves((b as PatchSet).items)).toEqual(patchCurves(sweeps().items));
    expect(splitRecord(record()).arrays.get('sets.1.set.items.0.effects')?.shape).toEqual([2, 2]);
  });
  it('are left out where nothing was taken over many items', () => {
    expect(makeRecord([{ slot: 'A', probe: probe() }], { sets: [] })).not.toHaveProperty('sets');
  });
  it('are refused where they are of another kind or do not fit together', () => {
    expect(changed(() => undefined).ok).toBe(true);
    expect(changed((r) => (r.sets[0].set.rule = 'magic'))).toMatchObject({ ok: false, message: expect.stringContaining('rule') });
    expect(changed((r) => (r.sets[0].set.kind = 'other'))).toMatchObject({ ok: false, message: expect.stringContaining('kind') });
    expect(changed((r) => (r.sets[0].set.items[0].layers = 5))).toMatchObject({ ok: false, message: expect.stringContaining('not [layers + 1]') });
    expect(changed((r) => (r.sets[1].set.items[0].groups = []))).toMatchObject({ ok: false, message: expect.stringContaining('not [groups, layers]') });
    expect(changed((r) => (r.sets[1].set.items[0].cleanAsk = null))).toMatchObject({ ok: false, message: expect.stringContaining('cleanAsk') });
  });
  it('stand in the table with mean and spread by layer, depths, stability and flips', () => {
    const rows = parseCsv(new TextDecoder().decode(exportRecord(record(), 'csv').bytes));
    const of = (measure: string, what: string): string[] => rows.filter((r) => r[5] === measure && r[6] === what).map((r) => `${r[0]} ${r[3]} ${r[4]} ${r[7]}`.trim());
    expect(of('relevance over 2 items: mean', 'question')).toEqual(['A  0 1', 'A  1 0.5', 'A  2 0']);
    expect(of('relevance over 2 items: sd', 'question')).toEqual(['A  0 1', 'A  1 0.5', 'A  2 0']);
    expect(of('MRD at 95 %, in layers: mean', 'question')).toEqual(['A   0.5', 'A de  1', 'A th  0']);
    // the second item has no finite depth of its answer span
    expect(of('phasing stability', '')).toEqual(['A   1', 'A de  1', 'A th  NaN']);
    // the second pair has nothing that could be shared out
    expect(of('patching effect over 1 item: mean', 'question')).toEqual(['B de 0 0.5', 'B de 2 NaN']);
    expect(of('patching over 1 item: flips', 'readout')).toEqual(['B de 0 0', 'B de 2 1']);
    expect(of('patching over 1 item: groups met by “last”', 'question')).toEqual(['B de  1']);
    expect(of('patching over 1 item: groups met by “each”', 'readout')).toEqual(['B de  1']);
  });
});
