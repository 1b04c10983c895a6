/** A study in which one of the models failed its self-test: said of its cells, its tables, its pictures and its methods, and of no other model's. */
import 'fake-indexeddb/auto';
import { expect, it } from 'vitest';
import { aggregate, distrusted } from '../../src/study/aggregate';
import { runStudy } from '../../src/study/engine';
import { methods, summaryCsv } from '../../src/study/report';
import { labRunner, type CellLab } from '../../src/study/session';
import { IdbStudyStore } from '../../src/study/idb';
import { allCells } from '../../src/study/store';
import type { LoadedModel } from '../../src/types';
import { figuresOf } from '../../src/ui/study/export-figures';
import { design, items } from './study-fixture';

const all = items(2, 2);
const study = design(all, { scenarios: ['en-en', 'en-x'], languages: ['de'] });

/** Model A failed its test, model B passed. */
const lab: CellLab = {
  load: async (ref) => ({ selfTest: { passed: ref.id !== 'bundled:a', checks: [] } }) as unknown as LoadedModel,
  cell: async () => ({ prediction: '1', stop: 'eos', promptTokens: 20, tokens: 3, ms: 5, device: 'wasm' }),
  terminate: () => undefined,
};

it('carries the label from the load to everything that is read of it', async () => {
  const store = await IdbStudyStore.open(`self-test-${crypto.randomUUID()}`);
  await runStudy(study, labRunner(lab, all), store, { items: all }).finished;
  const results = await allCells(store, study.id);
  expect(results.length).toBe(16);
  for (const r of results) expect(r.selfTestFailed).toBe(r.model.includes('bundled:a') ? true : undefined);

  const summary = aggregate(study, results);
  expect(distrusted(summary)).toEqual(['A']);
  expect(methods(summary, { app: '1', ort: '1', devices: 'WASM' })).toMatch(/^A failed its self-test/);
  const [head, ...lines] = summaryCsv(summary).trim().split('\r\n').map((line) => line.split(','));
  const at = head.indexOf('self_test_failed');
  expect(lines.map((l) => [l[0].startsWith('bundled:a'), l[at]])).toEqual(lines.map((l) => [l[0].startsWith('bundled:a'), l[0].startsWith('bundled:a') ? '1' : '0']));

  const figures = figuresOf(summary);
  expect(figures['en-x-f1.svg']).toMatch(/class="caution"[^>]*>A failed its self-test/);
  expect(figures['en-x-errors-A.svg']).toContain('A failed its self-test');
  expect(figures['en-x-errors-B.svg']).not.toContain('self-test');
});

it('says nothing of a study whose models passed', async () => {
  const store = await IdbStudyStore.open(`self-test-${crypto.randomUUID()}`);
  await runStudy(study, labRunner({ ...lab, load: async () => ({ selfTest: null }) as unknown as LoadedModel }, all), store, { items: all }).finished;
  const results = await allCells(store, study.id);
  expect(distrusted(aggregate(study, results))).toEqual([]);
});
