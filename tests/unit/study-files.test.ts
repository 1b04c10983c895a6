import 'fake-indexeddb/auto';
import { strFromU8, strToU8, unzipSync, zipSync } from 'fflate';
import { beforeAll, describe, expect, it, vi } from 'vitest';
import { aggregate, phasing, rowLanguage, sizeAgainstScore, summarise } from '../../src/study/aggregate';
import { runStudy } from '../../src/study/engine';
import { collect, exportName, exportStudy, sampleLine } from '../../src/study/export';
import { IdbStudyStore } from '../../src/study/idb';
import { addStudy, importStudy, mergeStudy } from '../../src/study/import';
import { csv, methods, summaryCsv, summaryJson } from '../../src/study/report';
import { cells } from '../../src/study/design';
import { scoreCell, substance, type CellResult } from '../../src/study/result';
import { allCells, summaryOf } from '../../src/study/store';
import { design, items, outcome, runner } from './study-fixture';

vi.setConfig({ testTimeout: 60_000, hookTimeout: 60_000 });
const all = items(3, 4);
const versions = { app: '0.1.0', ort: '1.30.0', devices: 'WASM' };
const results = (d = design(all), pool = all): CellResult[] => cells(d, pool).map((c) => scoreCell(d, c, outcome(c), '2025-01-01T00:00:00.000Z'));
let store: IdbStudyStore;
let zip: Uint8Array;
beforeAll(async () => {
  store = await IdbStudyStore.open('files');
  await runStudy(design(all), runner(), store, { items: all }).finished;
  zip = await collect(exportStudy(store, 'study-1', { versions, figures: { 'a b.svg': '<svg/>' } }));
});

describe('aggregation', () => {
  it('has a row per model and pair, in order, with intervals and error counts that add up', () => {
    const s = aggregate(design(all), results());
    expect(s.rows).toHaveLength(10);
    expect(s.rows.map((r) => `${r.model} ${r.contextLanguage}-${r.questionLanguage}`).slice(0, 5)).toEqual(['bundled:a en-en', 'bundled:a en-de', 'bundled:a en-zh', 'bundled:a de-de', 'bundled:a zh-zh']);
    for (const r of s.rows) {
      expect(r.n).toBe(12);
      expect(Object.values(r.errors).reduce((a, b) => a + b)).toBe(12);
      expect(r.f1.low).toBeLessThanOrEqual(r.f1.value);
      expect(r.f1.high).toBeGreaterThanOrEqual(r.f1.value);
    }
    expect(rowLanguage(s.rows[1])).toBe('de');
    expect(s.means.find((m) => m.model === 'bundled:a' && m.scenario === 'en-x')).toMatchObject({ languages: 2, f1: (s.rows[1].f1.value + s.rows[2].f1.value) / 2 });
    const r = s.ratios.find((x) => x.model === 'bundled:a' && x.scenario === 'en-x' && x.language === 'de')!;
    expect(r.ratio.value).toBeCloseTo(s.rows[1].f1.value / s.rows[0].f1.value, 12);
    const m = s.ratios.find((x) => x.model === 'bundled:a' && x.scenario === 'en-x' && x.language === null)!;
    expect(m.ratio.value).toBeCloseTo(s.means[1].f1 / s.rows[0].f1.value, 12);
    expect(s.stability.points).toHaveLength(10);
    expect(s.stability.relation).toMatchObject({ n: 10 });
    expect(sizeAgainstScore(s, 'en-en').relation).toMatchObject({ refused: expect.stringContaining('2 points') as string });
  });
  it('does not depend on the order of cells', () => {
    const r = results();
    expect(aggregate(design(all), [...r].reverse())).toEqual(aggregate(design(all), r));
  });
  it('leaves out what failed and counts what was corrected', () => {
    const r = results().filter((x) => x.model === 'bundled:a' && x.scenario === 'en-en');
    r[0] = { ...r[0], failed: { code: 'too-long', message: '' } };
    r[1] = { ...r[1], corrected: 'gibberish' };
    const [row] = aggregate(design(all), r).rows;
    expect(row).toMatchObject({ n: 11, failed: 1, corrected: 1 });
    expect(row.errors.gibberish).toBe(1);
    expect(aggregate(design(all), [r[0]]).rows[0].f1.value).toBeNaN();
    expect(summaryCsv(aggregate(design(all), [r[0]]))).toContain(',0,1,,,');
  });
  it('measures the oracle against chance', () => {
    const r = results().filter((x) => x.scenario === 'en-en').map((x, i) => ({ ...x, oracle: i % 5 === 0 ? null : { hit: i % 4 !== 0, chance: 0.2, sentences: 5, controlHit: i % 2 ? false : null } }));
    const row = aggregate(design(all), r).rows[0];
    expect(row.oracle).toMatchObject({ control: { value: 0 } });
    expect(row.oracle!.chance).toBeCloseTo(0.2, 12);
    expect(row.oracle!.hit.n).toBe(9);
  });
  it('computes phasing stability within 0..1', () => {
    expect(phasing([{ question: 4, answerSpan: 6, layers: 8 }])).toBeNull();
    expect(phasing(Array.from({ length: 4 }, () => ({ question: 4, answerSpan: 6, layers: 8 })))).toEqual({ stability: 1, ordered: 1, question: 0.5, answerSpan: 0.75, n: 4 });
    expect(phasing([0, 8, 0, 8].map((x) => ({ question: x, answerSpan: 8 - x, layers: 8 })))).toMatchObject({ stability: 0, ordered: 0.5 });
  });
});

describe('the kept summary', () => {
  it('is there until a cell is written, and follows corrections', async () => {
    const s = await IdbStudyStore.open('kept');
    const r = results();
    await s.putStudy(design(all));
    await s.putCells(r.slice(1));
    const summary = await summaryOf(s, 'study-1');
    expect(await s.getSummary('study-1')).toEqual(summary);
    await s.correct('study-1', r[5].id, 'gibberish');
    expect((await s.getSummary('study-1'))?.rows.reduce((n, row) => n + row.corrected, 0)).toBe(1);
    await s.putCell(r[0]);
    expect(await s.getSummary('study-1')).toBeNull();
    await s.putSummary('study-1', summary);
    expect(await s.getSummary('study-1')).toBeNull();
    expect((await summaryOf(s, 'study-1')).cells).toBe(120);
    await expect(summaryOf(s, 'none')).rejects.toThrow('no study none');
  });
  it('opens onto its cells', async () => {
    const row = await store.row('study-1', { model: 'bundled:a', contextLanguage: 'en', questionLanguage: 'de' });
    expect(row.map((r) => r.item).sort()).toEqual(all.map((i) => i.id).sort());
    expect(new Set(row.map((r) => r.questionLanguage))).toEqual(new Set(['de']));
  });
});

describe('export', () => {
  it('is one folder: design, samples, tables, methods, figures', () => {
    const files = unzipSync(zip);
    expect(Object.keys(files).sort()).toEqual(['figures/a-b.svg', 'methods.md', 'samples.jsonl', 'study.json', 'summary.csv', 'summary.json']);
    const lines = strFromU8(files['samples.jsonl']).trim().split('\n').map((l) => JSON.parse(l) as Record<string, unknown>);
    expect(lines).toHaveLength(120);
    expect(Object.keys(lines[0])).toEqual(['doc_id', 'doc', 'target', 'resps', 'filtered_resps', 'filter', 'metrics', 'f1', 'exact_match', 'lab']);
    expect(strFromU8(files['summary.csv']).split('\r\n')).toHaveLength(12);
    expect(JSON.parse(strFromU8(files['summary.json']))).toMatchObject({ cells: 120, failed: 0 });
    expect(strFromU8(files['methods.md'])).toContain('the lab’s own');
    expect(exportName(design(all, { name: 'Ünïcode / study!' }))).toMatch(/^[\p{L}\p{N}-]+\.zip$/u);
  });
  it('gives the same bytes for the same study', async () => {
    expect(await collect(exportStudy(store, 'study-1', { versions, figures: { 'a b.svg': '<svg/>' } }))).toEqual(zip);
  });
  it('writes safe tables', () => {
    expect(csv([['a,b', 'say "x"', '=1+1', '-5', 3, null, NaN, '@x']])).toBe('"a,b","say ""x""",\'=1+1,-5,3,,,\'@x\r\n');
    expect(summaryJson(aggregate(design(all), []))).not.toContain('NaN');
    expect(methods(aggregate(design(all), results()), versions)).toMatchSnapshot();
  });
  it('fails on an unknown study', async () => {
    await expect(collect(exportStudy(store, 'none', { versions }))).rejects.toThrow('no study none');
  });
});

describe('import', () => {
  it('brings everything back', async () => {
    const s = importStudy(zip);
    expect(s.design).toEqual(design(all));
    expect(new Map(s.cells.map((c) => [c.id, c]))).toEqual(new Map((await allCells(store, 'study-1')).map((c) => [c.id, c])));
    const other = await IdbStudyStore.open('back');
    expect(await addStudy(other, s, () => 'new')).toEqual({ id: 'study-1', merged: { added: 120, same: 0, conflicts: [], corrections: 0 } });
    expect(await collect(exportStudy(other, 'study-1', { versions, figures: { 'a b.svg': '<svg/>' } }))).toEqual(zip);
    expect((await addStudy(other, s, () => 'new')).merged).toMatchObject({ added: 0, same: 120 });
    expect((await addStudy(other, { ...s, design: { ...s.design, maxTokens: 99 } }, () => 'new')).id).toBe('new');
    expect(await other.listStudies()).toHaveLength(2);
  });
  it('merges laptops, keeps what is here, lists conflicts, takes corrections over', async () => {
    const half = await IdbStudyStore.open('half');
    const d = design(all, { items: all.slice(0, 6).map((i) => i.id) });
    await runStudy(d, runner(), half, { items: all }).finished;
    const there = importStudy(zip);
    there.cells = there.cells.map((c) => (c.item === 'q1' && c.scenario === 'en-en' ? { ...c, prediction: 'other', squad: { f1: 0, em: 0 } } : c.item === 'q2' ? { ...c, corrected: 'refusal' as const } : c));
    const before = await half.getCell('study-1', 'bundled:a|en|en|q1');
    const merged = await mergeStudy(half, 'study-1', there);
    expect(merged).toMatchObject({ added: 60, same: 58, corrections: 10 });
    expect(merged.conflicts.map((c) => c.id)).toEqual(['bundled:a|en|en|q1', 'bundled:b#q4|en|en|q1']);
    expect(await half.getCell('study-1', 'bundled:a|en|en|q1')).toEqual(before);
    expect((await half.getStudy('study-1'))!.items).toHaveLength(12);
    expect((await half.doneIds('study-1')).size).toBe(120);
    await expect(mergeStudy(half, 'study-1', { ...there, design: { ...there.design, correctF1: 0.7 } })).rejects.toThrow('different F1 thresholds');
    await expect(mergeStudy(half, 'none', there)).rejects.toThrow('no study none');
  });
  it('takes a result where here there was only a failure', async () => {
    const s = await IdbStudyStore.open('failed');
    await s.putStudy(design(all));
    const [r] = results();
    await s.putCell({ ...r, failed: { code: 'too-long', message: '' } });
    expect(await mergeStudy(s, 'study-1', { design: design(all), cells: [r] })).toMatchObject({ added: 1 });
    expect(substance((await s.getCell('study-1', r.id))!)).toBe(substance(r));
  });

  const files = (): Record<string, Uint8Array> => unzipSync(zip);
  const broken = (change: (f: Record<string, Uint8Array>) => void): Uint8Array => {
    const f = files();
    change(f);
    return zipSync(f);
  };
  const line = (n: number, edit: (l: string) => string) => (f: Record<string, Uint8Array>) => {
    const lines = strFromU8(f['samples.jsonl']).split('\n');
    lines[n - 1] = edit(lines[n - 1]);
    f['samples.jsonl'] = strToU8(lines.join('\n'));
  };
  it.each<[string, () => Uint8Array, RegExp]>([
    ['no zip', () => strToU8('hello'), /not a zip/],
    ['a cut zip', () => zip.subarray(0, 3000), /holds no whole|broken/],
    ['no samples', () => broken((f) => delete f['samples.jsonl']), /samples\.jsonl/],
    ['another format', () => broken((f) => (f['study.json'] = strToU8('{"format":"x"}'))), /not the head/],
    ['a later version', () => broken((f) => (f['study.json'] = strToU8(strFromU8(f['study.json']).replace('"version": 1', '"version": 9')))), /format version 9/],
    ['a broken design', () => broken((f) => (f['study.json'] = strToU8(strFromU8(f['study.json']).replace('"languages"', '"tongues"')))), /not whole/],
    ['a broken line', () => broken(line(7, (l) => l.slice(0, -3))), /^samples\.jsonl, line 7: not JSON/],
    ['a line without lab', () => broken(line(3, () => '{}')), /line 3: no "lab" part/],
    ['a score out of range', () => broken(line(3, (l) => l.replace(/"squad":\{"f1":[\d.]+/, '"squad":{"f1":7'))), /line 3: scores/],
    ['a foreign id', () => broken(line(2, (l) => l.replace(/"id":"bundled:a\|/, '"id":"bundled:z|'))), /line 2: the id/],
    ['a line twice', () => broken((f) => (f['samples.jsonl'] = strToU8(strFromU8(f['samples.jsonl']).replace(/^(.*\n)/, '$1$1')))), /line 2: .*second time/],
  ])('refuses %s', (_, make, message) => {
    expect(() => importStudy(make())).toThrow(message);
  });
  it('refuses a bomb while it unpacks, and ignores names with paths', () => {
    expect(() => importStudy(zipSync({ 'samples.jsonl': new Uint8Array(5_000_000), 'study.json': new Uint8Array(1) }), 1_000_000)).toThrow('more than 1 MiB');
    const f = files();
    expect(importStudy(zipSync({ 'folder/study.json': f['study.json'], 'folder/samples.jsonl': f['samples.jsonl'], '../../evil': new Uint8Array(3) })).cells).toHaveLength(120);
  });
});

describe('20,000 cells', () => {
  const many = items(200, 5, ['en', 'de', 'es', 'vi', 'ru']);
  const d = design(many, { id: 'big', languages: ['de', 'es', 'vi', 'ru'], scenarios: ['en-en', 'en-x', 'x-x', 'x-en'] }); // 13 pairs × 2 models × 1000
  it('export as a stream, reopen and sum up in time', async () => {
    // One scored answer under 20,000 names: scoring is not what is timed here.
    const [first] = results();
    const r = cells(d, many).slice(0, 20_000).map((c): CellResult => ({ ...first, study: 'big', id: c.id, model: c.model === 0 ? 'bundled:a' : 'bundled:b#q4', scenario: c.scenario, contextLanguage: c.contextLanguage, questionLanguage: c.questionLanguage, item: c.item.id, paragraph: c.item.paragraph, squad: { f1: (c.index % 7) / 6, em: +(c.index % 7 === 6) } }));
    const memory = new Map(r.map((x) => [x.id, x]));
    expect(memory.size).toBe(20_000);
    const s = await IdbStudyStore.open('big');
    await s.putStudy(d);
    for (let i = 0; i < r.length; i += 2000) await s.putCells(r.slice(i, i + 2000));
    let t = performance.now();
    const done = await s.doneIds('big');
    const keys = performance.now() - t;
    expect(done.size).toBe(20_000);
    t = performance.now();
    const summary = await summaryOf(s, 'big');
    const made = performance.now() - t;
    expect(summary.cells).toBe(20_000);
    t = performance.now();
    expect(await summaryOf(s, 'big')).toEqual(summary);
    const again = performance.now() - t;
    t = performance.now();
    await s.correct('big', r[7].id, 'gibberish');
    const corrected = await summaryOf(s, 'big');
    const mended = performance.now() - t;
    expect(corrected).toEqual(summarise(d, await s.columns('big')));
    t = performance.now();
    let bytes = 0;
    let chunks = 0;
    let largest = 0;
    for await (const c of exportStudy(s, 'big', { versions })) {
      bytes += c.length;
      chunks++;
      largest = Math.max(largest, c.length);
    }
    const out = performance.now() - t;
    console.log(
      `20,000 cells: keys ${keys.toFixed(0)} ms, first summary ${made.toFixed(0)} ms, opened again ${again.toFixed(0)} ms, corrected and summed up ${mended.toFixed(0)} ms (fake IndexedDB); export ${out.toFixed(0)} ms, ${(bytes / 1e6).toFixed(2)} MB in ${chunks} chunks, largest ${(largest / 1e3).toFixed(0)} kB`,
    );
    expect(chunks).toBeGreaterThan(20);
    expect(largest).toBeLessThan(1_000_000);
    expect(again).toBeLessThan(2000);
  }, 60_000);
  it('have short lines', () => {
    expect(sampleLine(results()[0]).length).toBeLessThan(1500);
  });
});
