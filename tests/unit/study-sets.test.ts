import 'fake-indexeddb/auto';
import { describe, expect, it, vi } from 'vitest';
import { contexts, extrapolate } from '../../src/study/calibrate';
import { cellRequest } from '../../src/study/cell';
import { cells } from '../../src/study/design';
import { openSession, type CellLab } from '../../src/study/session';
import { keep, readSet, SetStore } from '../../src/study/sets';
import { IdbStudyStore } from '../../src/study/idb';
import { LabError } from '../../src/runtime/errors';
import type { LoadedModel } from '../../src/types';
import { design, items, outcome } from './study-fixture';

const squad = (q: string, a: string): string =>
  JSON.stringify({ version: '1.1', data: [{ title: 't', paragraphs: [{ context: `x ${a} y`, qas: [{ id: '1', question: q, answers: [{ text: a, answer_start: 2 }] }] }] }] });
const file = (name: string, text: string): File => new File([text], name);

describe('sets that a reader brings', () => {
  it('joins files of one set by the language in their names, and keeps them', async () => {
    const set = await readSet([file('mine.en.json', squad('Who?', 'Ann')), file('mine.de.json', squad('Wer?', 'Anne'))]);
    expect(set).toMatchObject({ name: 'mine', languages: ['en', 'de'], items: [{ answer: { de: { text: 'Anne', start: 2 } } }] });
    const store = await SetStore.open('sets-test');
    const kept = await keep(set, 'dropped');
    await store.put(kept);
    expect(await store.names()).toEqual(['mine']);
    expect(await store.get('mine')).toEqual(kept);
    expect(kept.sha256).toMatch(/^[0-9a-f]{64}$/);
  });
  it('reads MLQA’s pairs of files', async () => {
    const set = await readSet([file('test-context-en-question-de.json', squad('Wer?', 'Ann')), file('test-context-en-question-es.json', squad('¿Quién?', 'Ann'))]);
    expect(set.items[0].question).toEqual({ de: 'Wer?', es: '¿Quién?' });
  });
  it.each([
    ['no file', [], /none/],
    ['a name without a language', [file('a.json', '{}'), file('b.json', '{}')], /a\.json: its name does not say/],
    ['two files of one language', [file('a.de.json', squad('q', 'a')), file('b.de.json', squad('q', 'a'))], /a second file for de/],
    ['broken JSON', [file('a.en.json', '{'), file('a.de.json', squad('q', 'a'))], /^a\.en, line 1: not JSON/],
    ['a wrong offset', [file('a.en.json', squad('q', 'a')), file('a.de.json', squad('q', 'b').replace('"answer_start":2', '"answer_start":3'))], /^a\.de, line 1, id 1: answer_start 3 points at " "/],
    ['a duplicate id', [file('a.de.json', squad('q', 'b').replace(/("qas":\[)(.*?\}\]\})/, '$1$2,$2'))], /id 1: this id stands here a second time/],
    ['files of different sets', [file('a.en.json', squad('q', 'a')), file('a.de.json', squad('q', 'b').replace('"id":"1"', '"id":"2"'))], /a\.de, id 1: not parallel with a\.en/],
    ['what no file is', [file('a.json', '\u0000\u0001PNG')], /line 1: not JSON/],
  ])('refuses %s', async (_, files, message) => {
    await expect(readSet(files)).rejects.toThrow(message);
  });
});

describe('harmless oddities of files', () => {
  it('accepts mixed line endings and a byte order mark', async () => {
    const lines = JSON.stringify(JSON.parse(squad('q', 'a')), null, 1).split('\n');
    const mixed = '\ufeff' + lines.map((l, i) => l + (i % 2 ? '\r\n' : '\n')).join('');
    expect((await readSet([file('a.en.json', mixed), file('a.de.json', squad('q', 'b'))])).items).toHaveLength(1);
  });
  it('reads a file of 200 MB, and refuses one larger than it can hold before it is read', async () => {
    const paragraph = (i: number): string =>
      JSON.stringify({ context: `x ${i} ${'abcdefgh '.repeat(22_222)}`, qas: [{ id: `q${i}`, question: 'q', answers: [{ text: `${i}`, answer_start: 2 }] }] });
    const parts = ['{"data":[{"title":"t","paragraphs":[', ...Array.from({ length: 1000 }, (_, i) => (i ? ',' : '') + paragraph(i)), ']}]}'];
    const large = new File(parts, 'large.en.json');
    expect(large.size).toBeGreaterThan(200e6);
    const started = performance.now();
    expect((await readSet([large])).items).toHaveLength(1000);
    console.log(`${(large.size / 1e6).toFixed(0)} MB read and checked in ${(performance.now() - started).toFixed(0)} ms`);
    const larger = Object.defineProperties(file('larger.json', '{}'), { size: { value: 300e6 }, text: { value: () => Promise.reject(new Error('it was read')) } });
    await expect(readSet([larger])).rejects.toThrow('larger.json: 300 MB; at most 250 MB are read');
  }, 60_000);
});

describe('a cell on its way', () => {
  it('carries its own texts only, and its paragraph’s questions where the oracle wants them', () => {
    const all = items(2, 2);
    const d = design(all, { measures: ['answer', 'oracle'] });
    const cell = cells(d, all).find((c) => c.contextLanguage === 'en' && c.questionLanguage === 'zh')!;
    const request = cellRequest(cell, all.slice(0, 2), d);
    expect(Object.keys(request.cell.item.context)).toEqual(['en']);
    expect(Object.keys(request.cell.item.question)).toEqual(['zh', 'en']);
    expect(request.siblings.map((s) => [Object.keys(s.question), s.id])).toEqual([[['zh'], 'q0'], [['zh'], 'q1']]);
    expect(request.design.items).toEqual([]);
    expect(cellRequest(cell, all, { ...d, measures: ['answer'] }).siblings).toEqual([]);
  });
});

describe('the estimate', () => {
  it('counts contexts and tells the first cell on one from the others', () => {
    const all = items(2, 3);
    const d = design(all);
    expect(contexts(cells(d, all), 0).length).toBe(6);
    expect(extrapolate([500, 100, 120], 60, 6)).toEqual({ cellMs: 110, contextMs: 390, seconds: (110 * 60 + 390 * 6) / 1000 });
    expect(extrapolate([500], 10, 2)).toEqual({ cellMs: 500, contextMs: 0, seconds: 5 });
  });
});

describe('a session', () => {
  it('brings a lost worker back once per cell, and pauses when that does not help', async () => {
    const all = items(1, 2);
    const d = design(all, { id: 'lost', scenarios: ['en-en'], models: [design(all).models[0]] });
    const log: string[] = [];
    let fail = 1;
    const lab: CellLab = {
      load: () => (log.push('load'), Promise.resolve({} as LoadedModel)),
      cell: ({ cell }) => (fail-- > 0 ? Promise.reject(new LabError('worker-lost', 'gone')) : Promise.resolve(outcome({ ...cell, item: all[0] }))),
      terminate: () => void log.push('end'),
    };
    const store = await IdbStudyStore.open('session-test');
    const run = await openSession(d, lab, store, { items: all });
    expect(await run.finished).toMatchObject({ state: 'done', done: 2, failed: 0 });
    expect(log).toEqual(['load', 'load', 'end']);
    expect((await run.results()).cells).toBe(2);

    fail = 2;
    const paused = await openSession({ ...d, id: 'lost-2' }, lab, store, { items: all });
    await vi.waitFor(() => expect(paused.progress).toMatchObject({ state: 'paused', message: 'gone' }));
    paused.resume();
    expect(await paused.finished).toMatchObject({ state: 'done', done: 2 });
  });
});
