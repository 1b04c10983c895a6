/** What a study measures by layer: patching and alignment from a cell to columns, rows, tables, text and back. */
import 'fake-indexeddb/auto';
import { strFromU8, strToU8, unzipSync, zipSync } from 'fflate';
import { describe, expect, it } from 'vitest';
import { aggregate, summarise } from '../../src/study/aggregate';
import { cellRequest, otherItem } from '../../src/study/cell';
import { StudyColumns } from '../../src/study/columns';
import { cells } from '../../src/study/design';
import { collect, exportStudy } from '../../src/study/export';
import { IdbStudyStore } from '../../src/study/idb';
import { importStudy } from '../../src/study/import';
import { summarisePatching, type PatchingSummary } from '../../src/study/patching';
import { layersCsv, methods, summaryCsv } from '../../src/study/report';
import { failedCell, scoreCell, type CellResult } from '../../src/study/result';
import { strongest } from '../../src/study/rows';
import { allCells, summaryOf } from '../../src/study/store';
import { design, items, outcome } from './study-fixture';

const all = items(2, 3);
const d = design(all, { scenarios: ['en-en', 'en-x'], languages: ['de'], measures: ['answer', 'alignment', 'patching'] });
const patching = (i: number): PatchingSummary => ({
  other: 'q0',
  contrast: 'answers',
  layers: [0, 1, 2],
  groups: [
    { group: 'question', match: i === 0 ? 'each' : 'last', effects: [0, 0.5 + i / 10, 0.25], flips: i % 2 ? [1] : [] },
    { group: 'readout', match: 'each', effects: [0, 0, i === 1 ? null : 1], flips: [2] },
  ],
});
/** The last cell of each row has neither: its paragraph had no other question, its item no English one. */
const results = (): CellResult[] =>
  cells(d, all).map((c) => {
    const i = all.findIndex((x) => x.id === c.item.id);
    return scoreCell(d, c, { ...outcome(c), alignment: i === 5 ? null : [0.1, 0.2, i / 10], patching: i === 5 ? null : patching(i) }, '2025-01-01T00:00:00.000Z');
  });

describe('patching in a cell', () => {
  it('keeps effect and flips by group and layer, four digits, null where nothing was defined', () => {
    const sweep = {
      layers: [0, 4, 8],
      groups: [{ group: 'question' as const, match: 'last' as const }, { group: 'readout' as const, match: 'each' as const }],
      effects: Float32Array.of(0, 0.123456, NaN, 0, 0.5, 1),
      flips: Uint8Array.of(0, 1, 0, 0, 1, 1),
    };
    expect(summarisePatching(sweep, 'q7', 'runner-up')).toEqual({
      other: 'q7',
      contrast: 'runner-up',
      layers: [0, 4, 8],
      groups: [
        { group: 'question', match: 'last', effects: [0, 0.1235, null], flips: [4] },
        { group: 'readout', match: 'each', effects: [0, 0.5, 1], flips: [4, 8] },
      ],
    });
    // 24 layers, three groups: still a short line
    const wide = { layers: Array.from({ length: 25 }, (_, l) => l), groups: (['question', 'answerSpan', 'readout'] as const).map((group) => ({ group, match: 'last' as const })), effects: new Float32Array(75).fill(0.12345), flips: new Uint8Array(75).fill(1) };
    expect(JSON.stringify(summarisePatching(wide, 'q1', 'answers')).length).toBeLessThan(1200);
  });
  it('asks the next question of the paragraph that has another answer, in the cell’s language', () => {
    // The fixture's answers all stand at one place of their own contexts.
    const same = structuredClone(all.slice(0, 3));
    same.forEach((item, i) => (item.answer.en = { text: `${i}`, start: i }));
    const own = same.slice();
    const [cell] = cells({ ...d, items: own.map((i) => i.id) }, own);
    expect(otherItem(cell, own)?.id).toBe('q1');
    expect(otherItem(cell, own.slice(0, 1))).toBeNull();
    same[1] = { ...own[1], answer: own[0].answer };
    expect(otherItem(cell, same)?.id).toBe('q2');
    const german = { ...cell, questionLanguage: 'de' as const };
    same[2] = { ...own[2], question: { en: 'What?' } };
    expect(otherItem(german, same)).toBeNull();
    expect(cellRequest(cell, all.slice(0, 3), d).siblings).toHaveLength(3);
  });
});

describe('rows', () => {
  const [row] = aggregate(d, results()).rows;
  it('have the mean, the spread, n and flips by group and layer', () => {
    const question = row.patching.find((c) => c.group === 'question')!;
    expect(question).toMatchObject({ layers: [0, 1, 2], match: null, n: [5, 5, 5] });
    expect(question.mean[1]).toBeCloseTo(0.7, 12);
    expect(question.sd[1]).toBeCloseTo(Math.sqrt(0.02), 12);
    expect(question.flips).toEqual([0, 0.4, 0]);
    expect(row.patching.find((c) => c.group === 'readout')).toMatchObject({ match: 'each', n: [5, 5, 4], flips: [0, 0, 1] });
    expect(question.median[1]).toBeCloseTo(0.7, 12);
    expect(strongest(question)).toMatchObject({ layer: 1, n: 5, flips: 0.4 });
    expect(strongest({ ...question, median: [NaN, NaN, NaN] })).toBeNull();
    expect(row.alignment!.mean[2]).toBeCloseTo(0.2, 12);
    expect(row.alignment!.n).toEqual([5, 5, 5]);
  });
  it('are the same whatever the order of the cells, and say nothing where nothing was measured', () => {
    expect(aggregate(d, results().reverse())).toEqual(aggregate(d, results()));
    const bare = aggregate(d, results().map(({ patching: _, alignment: __, ...r }) => r));
    expect(bare.rows[0]).toMatchObject({ patching: [], alignment: null });
    expect(layersCsv(bare)).toBeNull();
  });
  it('stand in the tables and in the methods text', () => {
    const s = aggregate(d, results());
    const [head, first] = summaryCsv(s).split('\r\n').map((l) => l.split(','));
    const at = (name: string): string => first[head.indexOf(name)];
    expect([at('patch_question_strongest_layer'), at('patch_question_strongest_effect'), at('patch_question_strongest_flips'), at('patch_answer_span_strongest_layer')]).toEqual(['1', '0.7', '0.4', '']);
    const lines = layersCsv(s)!.trim().split('\r\n');
    expect(lines).toHaveLength(1 + s.rows.length * 9);
    expect(lines).toContain('bundled:a,en-en,en,en,patching_effect,question,1,0.7,0.7,0.141421,5,0.4');
    expect(lines).toContain('bundled:a,en-x,en,de,question_alignment,question,2,0.2,0.2,0.141421,5,');
    const text = methods(s, { app: '1', ort: '2', devices: 'WASM' });
    expect(text).toContain('Patching (the lab’s own form)');
    expect(text).toContain('Question alignment (the lab’s own)');
  });
});

describe('columns', () => {
  it('hold a cell once, its latest form', () => {
    const columns = new StudyColumns();
    const [first, ...rest] = results();
    for (const r of [first, ...rest, { ...first, corrected: 'refusal' as const, patching: null }]) columns.put(r);
    expect(columns.cells).toBe(results().length);
    const row = summarise(d, columns).rows[0];
    expect(row.corrected).toBe(1);
    expect(row.patching[0].n[0]).toBe(4);
  });
  it('are brought up to date from what was written since, and end as if built at once', async () => {
    const store = await IdbStudyStore.open('columns');
    const r = results();
    await store.putStudy(d);
    await store.putCells(r.slice(0, 9));
    expect((await store.columns(d.id)).cells).toBe(9);
    let read = 0;
    const batches = store.batches.bind(store);
    store.batches = (id) => (read++, batches(id));
    await store.putCells(r.slice(9));
    await store.correct(d.id, r[2].id, 'gibberish');
    const fresh = await store.columns(d.id);
    expect(read).toBe(0);
    const whole = r.map((x, i) => (i === 2 ? { ...x, corrected: 'gibberish' as const } : x));
    expect(summarise(d, fresh)).toEqual(aggregate(d, whole));
    expect(summarise(d, await store.columns(d.id))).toEqual(aggregate(d, whole));
    await store.deleteStudy(d.id);
    expect((await store.columns(d.id)).cells).toBe(0);
  });
  it('never let a summary be kept that misses a correction made meanwhile', async () => {
    const store = await IdbStudyStore.open('columns-stale');
    const r = results();
    await store.putStudy(d);
    await store.putCells(r);
    const late = summarise(d, await store.columns(d.id));
    await store.correct(d.id, r[0].id, 'gibberish');
    await store.putSummary(d.id, late);
    expect(await store.getSummary(d.id)).toBeNull();
    expect((await summaryOf(store, d.id)).rows[0].corrected).toBe(1);
    expect((await store.getSummary(d.id))?.rows[0].corrected).toBe(1);
  });
  it('leave a kept summary true through corrections: it equals all cells summed up anew', async () => {
    const store = await IdbStudyStore.open('columns-recount');
    const r = results();
    r[4] = failedCell(d, cells(d, all)[4], { code: 'too-long', message: 'too long' }, r[4].time);
    await store.putStudy(d);
    await store.putCells(r);
    const before = await summaryOf(store, d.id);
    const [a, b, failed] = [r[0].id, r[r.length - 1].id, r[4].id];
    for (const [id, type] of [[a, 'gibberish'], [b, 'refusal'], [a, 'language'], [b, null], [failed, 'refusal']] as const) {
      await store.correct(d.id, id, type);
      const kept = await store.getSummary(d.id);
      expect(kept).toEqual(summarise(d, await store.columns(d.id)));
      expect(kept).toEqual(aggregate(d, await allCells(store, d.id)));
    }
    const after = (await store.getSummary(d.id))!;
    expect([before, after].map((s) => s.rows.map((row) => row.corrected))).toEqual([[0, 0, 0, 0], [1, 0, 0, 0]]);
    expect(after.rows[0].errors).not.toEqual(before.rows[0].errors);
  });
  it('are made for studies that an earlier version of the lab stored', async () => {
    const r = results();
    await new Promise<void>((resolve, reject) => {
      const open = indexedDB.open('columns-old', 1);
      open.onupgradeneeded = () => {
        open.result.createObjectStore('studies', { keyPath: 'id' }).put(d);
        const old = open.result.createObjectStore('cells', { keyPath: ['study', 'id'] });
        for (const cell of r) old.put(cell);
        open.result.createObjectStore('summaries').put({ cells: r.length, rows: [] }, d.id);
      };
      open.onerror = () => reject(open.error);
      open.onsuccess = () => (open.result.close(), resolve());
    });
    const store = await IdbStudyStore.open('columns-old');
    expect(await store.listStudies()).toMatchObject([{ design: { id: d.id }, done: r.length }]);
    expect(await summaryOf(store, d.id)).toEqual(aggregate(d, r));
  });
});

describe('files', () => {
  it('take the layers out and bring them back; a broken measure is refused by its line', async () => {
    const store = await IdbStudyStore.open('layers-files');
    await store.putStudy(d);
    await store.putCells(results());
    const zip = await collect(exportStudy(store, d.id, { versions: { app: '1', ort: '2', devices: 'WASM' } }));
    const files = unzipSync(zip);
    expect(strFromU8(files['layers.csv'])).toBe(layersCsv(aggregate(d, results())));
    expect(new Map(importStudy(zip).cells.map((c) => [c.id, c.patching]))).toEqual(new Map(results().map((c) => [c.id, c.patching])));
    const damaged = (from: string, to: string): Uint8Array => zipSync({ ...files, 'samples.jsonl': strToU8(strFromU8(files['samples.jsonl']).replace(from, to)) });
    expect(() => importStudy(damaged('"effects":[0,', '"effects":["0",'))).toThrow(/line 1: the measure patching/);
    expect(() => importStudy(damaged('"alignment":[0.1', '"alignment":[null'))).toThrow(/the measure alignment/);
  });
});
