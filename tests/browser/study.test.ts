/** Studies in a real page: shared prefixes change nothing, a killed page loses nothing, two tabs do not meet in one study. */
import { join } from 'node:path';
import type { Browser, Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { LabClient } from '../../src/lab-client';
import type { StudyDesign } from '../../src/study/design';
import { substance, type CellResult } from '../../src/study/result';
import type { StudyRun } from '../../src/study/session';
import type { Device, Item, Language } from '../../src/types';
import { seeded } from '../../src/xmrc/random';
import { launch, serve, visitLab, type Served } from '../harness';
import { startHub, type Hub } from '../hub';

let served: Served;
let hub: Hub;
let browser: Browser;
beforeAll(async () => {
  served = await serve();
  hub = await startHub(join(import.meta.dirname, '../fixtures/models'));
  browser = await launch();
});
afterAll(async () => {
  await browser?.close();
  await hub?.close();
  await served?.close();
});

const TEXTS: Partial<Record<Language, [string, string[], string[]]>> = {
  en: ['The Elbe is long. The Oder is cold. The Rhine is wide.', ['Which river is long?', 'Which river is wide?'], ['Elbe', 'Rhine']],
  de: ['Die Elbe ist lang. Die Oder ist kalt. Der Rhein ist breit.', ['Welcher Fluss ist lang?', 'Welcher Fluss ist breit?'], ['Elbe', 'Rhein']],
  zh: ['易北河很长。奥得河很冷。莱茵河很宽。', ['哪条河很长？', '哪条河很宽？'], ['易北河', '莱茵河']],
};

function items(paragraphs: number): Item[] {
  return Array.from({ length: paragraphs * 2 }, (_, i) => {
    const item: Item = { id: `q${i}`, set: 'rivers', paragraph: `p${i >> 1}`, context: {}, question: {}, answer: {} };
    for (const [l, [context, questions, answers]] of Object.entries(TEXTS) as [Language, [string, string[], string[]]][]) {
      item.context[l] = `${i >> 1}. ${context}`;
      item.question[l] = questions[i % 2];
      const text = answers[i % 2];
      item.answer[l] = { text, start: item.context[l].indexOf(text) };
    }
    return item;
  });
}

const ALL = items(2);
const design = (id: string, change: Partial<StudyDesign> = {}): StudyDesign => ({
  version: 1,
  id,
  name: 'Rivers',
  created: '2025-01-01T00:00:00.000Z',
  models: [{ ref: { id: 'tiny/llama', host: hub.host, dtype: 'fp32' }, title: 'tiny' }],
  set: { name: 'rivers', license: 'CC0-1.0' },
  items: ALL.map((i) => i.id),
  seed: null,
  scenarios: ['en-en', 'en-x', 'x-x'],
  languages: ['de', 'zh'],
  prompt: { kind: 'chat', shots: 0 },
  maxTokens: 6,
  measures: ['answer', 'oracle', 'alignment'],
  correctF1: 0.5,
  ...change,
});

interface Scope {
  own: LabClient;
  run: StudyRun;
}

/** Starts a study in the page and, unless told otherwise, waits for its end. */
function study(page: Page, d: StudyDesign, options: { device: Device; reuse?: boolean; wait?: boolean; items?: Item[] }): Promise<{ state: string; done: number; message: string | null } | { refused: string }> {
  return page.evaluate(
    async ({ d, options, all }) => {
      const scope = window as unknown as Scope;
      const database = d.id;
      try {
        scope.run = await scope.own.study(d, { items: all, device: options.device, reuse: options.reuse, database });
      } catch (e) {
        return { refused: (e as Error).message };
      }
      if (options.wait === false) return scope.run.progress;
      while (scope.run.progress.state === 'running') await new Promise((r) => setTimeout(r, 50));
      return scope.run.progress;
    },
    { d, options, all: options.items ?? ALL },
  );
}

/** What the database holds, in the order of its keys. */
function stored(page: Page, database: string): Promise<CellResult[]> {
  return page.evaluate(
    (database) =>
      new Promise<CellResult[]>((resolve, reject) => {
        const open = indexedDB.open(database);
        open.onerror = () => reject(open.error);
        open.onsuccess = () => {
          if (!open.result.objectStoreNames.contains('cells')) return resolve([]);
          const all = open.result.transaction('cells').objectStore('cells').getAll();
          all.onsuccess = () => (open.result.close(), resolve(all.result as CellResult[]));
        };
      }),
    database,
  );
}

describe.each(['wasm', 'webgpu'] as const)('on %s', (device) => {
  test('a study with shared prefixes answers as one without', async () => {
    const visit = await visitLab(browser, served.url);
    const change = device === 'webgpu' ? { items: ['q0', 'q1'], scenarios: ['en-en', 'en-x'] as StudyDesign['scenarios'], languages: ['de'] as Language[] } : { languages: ['zh'] as Language[], measures: ['answer', 'oracle', 'alignment', 'relevance', 'patching'] as StudyDesign['measures'] };
    const shared = await study(visit.page, design('shared', change), { device });
    expect(shared).toMatchObject({ state: 'done', message: null });
    expect(await study(visit.page, design('whole', change), { device, reuse: false })).toMatchObject({ state: 'done' });
    const a = await stored(visit.page, 'shared');
    const b = await stored(visit.page, 'whole');
    expect(a.length).toBe(device === 'webgpu' ? 4 : 12);
    expect(a.map(substance)).toEqual(b.map(substance));
    expect(a.every((r) => !r.failed && r.device === device && (r.tokenIds?.length ?? 0) > 0)).toBe(true);
    expect(a.every((r) => r.oracle?.sentences === 4 || r.oracle?.sentences === 3)).toBe(true);
    expect(a.filter((r) => r.questionLanguage === 'en').every((r) => r.alignment?.every((c) => Math.abs(c - 1) < 1e-5))).toBe(true);
    expect(a.some((r) => r.questionLanguage !== 'en' && r.alignment?.some((c) => c < 0.999))).toBe(true);
    if (device === 'wasm') {
      expect(a.map((r) => r.patching)).toEqual(b.map((r) => r.patching));
      expect(a.every((r) => r.patching?.layers.length === 4 && r.patching.groups.map((g) => g.group).join() === 'question,answerSpan,readout' && r.patching.other !== r.item)).toBe(true);
      // the readout's last state is all that the logits are made of
      expect(a.every((r) => r.patching!.groups.every((g) => g.group !== 'readout' || Math.abs((g.effects[3] ?? 1) - 1) < 1e-3))).toBe(true);
    }
    if (device === 'wasm') expect(a.every((r) => r.mrd === null || (r.mrd?.layers === 3 && r.mrd.question <= 3)) && a.some((r) => r.mrd)).toBe(true);
    // optional files that a repository lacks are asked for and are no error
    expect(visit.errors.filter((e) => !e.includes('404'))).toEqual([]);
    await visit.close();
  });
});

test('a page that is killed twenty times at random loses no finished cell and changes no result', async () => {
  const visit = await visitLab(browser, served.url);
  const { page } = visit;
  // 3 paragraphs of 2 questions in 5 pairs: 30 cells, on most of which a kill lands. Small ones: the queue and the store know no measures.
  const pool = items(3);
  const change = { items: pool.map((i) => i.id) };
  await study(page, design('calm', change), { device: 'wasm', items: pool });
  const calm = await stored(page, 'calm');
  expect(calm).toHaveLength(30);
  const random = seeded(20);
  const seen = new Map<string, string>();
  const losses: number[] = [];
  for (let kill = 0; kill < 20; kill++) {
    const before = seen.size;
    await study(page, design('killed', change), { device: 'wasm', wait: false, items: pool });
    // After none, one or two more cells, or some moment later: while it loads, runs, stores or scores.
    await page.waitForFunction((n) => (window as unknown as Scope).run.progress.done >= n, Math.min(29, before + Math.floor(random() * 3)), { timeout: 60_000 });
    await page.evaluate((ms) => new Promise((later) => setTimeout(later, ms)), Math.floor(random() * 40));
    const told = await page.evaluate(() => (window as unknown as Scope).run.progress.done);
    await page.reload();
    await page.waitForFunction(() => 'lab' in window);
    await page.evaluate(() => Object.assign(window, { own: (window as unknown as { lab: LabClient }).lab.another() }));
    const now = await stored(page, 'killed');
    // what was reported as done is there, with the very time it was finished at
    expect(now.length).toBeGreaterThanOrEqual(told);
    for (const [id, time] of seen) expect(now.find((r) => r.id === id)?.time).toBe(time);
    for (const r of now) seen.set(r.id, r.time);
    losses.push(now.length - before);
  }
  expect(losses.filter((n) => n > 0).length).toBeGreaterThan(5);
  expect(await study(page, design('killed', change), { device: 'wasm', items: pool })).toMatchObject({ state: 'done', done: 30 });
  const end = await stored(page, 'killed');
  for (const [id, time] of seen) expect(end.find((r) => r.id === id)?.time).toBe(time);
  const told = (r: CellResult): unknown => [substance({ ...r, study: '' }), r.alignment];
  expect(end.map(told)).toEqual(calm.map(told));
  await visit.close();
}, 900_000);

test('the bundled pair gives the same study on WASM and on WebGPU', async () => {
  const visit = await visitLab(browser, served.url);
  const world = (await visit.page.evaluate(() => (window as unknown as Scope).own.items('world'))).slice(0, 2);
  const both = (id: string): StudyDesign =>
    design(id, {
      models: ['passage-base', 'passage-post'].map((name) => ({ ref: { id: `bundled:${name}`, dtype: 'q4' }, title: name })),
      set: { name: 'world', license: 'CC0-1.0' },
      items: world.map((i) => i.id),
      scenarios: ['en-x'],
      languages: ['de'],
      prompt: { shots: 0 },
      precise: true,
      maxTokens: 12,
      // the oracle is compared on a smaller model above
      measures: ['answer', 'alignment'],
    });
  for (const device of ['wasm', 'webgpu'] as const) expect(await study(visit.page, both(device), { device, items: world })).toMatchObject({ state: 'done', done: 4, failed: 0 });
  const [wasm, webgpu] = [await stored(visit.page, 'wasm'), await stored(visit.page, 'webgpu')];
  expect([...wasm, ...webgpu].map((r) => r.device)).toEqual([...Array<Device>(4).fill('wasm'), ...Array<Device>(4).fill('webgpu')]);
  expect(webgpu.map(substance)).toEqual(wasm.map(substance));
  const cosines = (all: CellResult[]): number[] => all.flatMap((r) => r.alignment ?? [NaN]);
  expect(cosines(wasm)).toHaveLength(4 * 9);
  cosines(wasm).forEach((c, i) => expect(Math.abs(c - cosines(webgpu)[i])).toBeLessThan(1e-3));
  expect(wasm.some((r) => r.squad.em === 1)).toBe(true);
  await visit.close();
}, 900_000);

test('a second tab is told that the study runs; pausing, going on and cancelling', async () => {
  const visit = await visitLab(browser, served.url);
  const { page } = visit;
  const once = design('once', { measures: ['answer'] });
  await study(page, once, { device: 'wasm', wait: false });
  await page.evaluate(() => (window as unknown as Scope).run.pause());
  const second = await visit.context.newPage();
  await second.goto(served.url);
  await second.waitForFunction(() => 'lab' in window);
  await second.evaluate(() => Object.assign(window, { own: (window as unknown as { lab: LabClient }).lab.another() }));
  expect(await study(second, once, { device: 'wasm', wait: false })).toEqual({ refused: 'This study is running in another tab.' });
  await page.waitForFunction(() => (window as unknown as Scope).run.progress.state === 'paused');
  await page.evaluate(() => (window as unknown as Scope).run.resume());
  await page.waitForFunction(() => (window as unknown as Scope).run.progress.done >= 3);
  expect(await page.evaluate(async () => ((window as unknown as Scope).run.cancel(), (await (window as unknown as Scope).run.finished).state))).toBe('cancelled');
  // free again for the other tab, which goes on where this one stopped
  expect(await study(second, once, { device: 'wasm' })).toMatchObject({ state: 'done', done: 20 });
  await visit.close();
});

test('the console’s small tools: oracle, score, classify', async () => {
  const visit = await visitLab(browser, served.url);
  const out = await visit.page.evaluate(
    async ({ ref, item }) => {
      const { own } = window as unknown as Scope;
      await own.load(ref, { device: 'wasm' });
      const ask = { item, contextLanguage: 'en', questionLanguage: 'de' } as const;
      return {
        oracle: await own.oracle(ask, { target: 'gold', maxTokens: 6, otherQuestion: 'Which river is cold?' }),
        score: await own.score('the Elbe', 'Elbe', { language: 'en' }),
        classified: await own.classify({ prediction: '', gold: 'Elbe', language: 'en' }),
      };
    },
    { ref: { id: 'tiny/llama', host: hub.host, dtype: 'fp32' }, item: ALL[0] },
  );
  expect(out.oracle).toMatchObject({ gold: expect.any(Array), control: { scores: expect.any(Array) } });
  expect(out.oracle?.whole).toBeLessThan(0);
  expect(out.oracle?.scores.every(Number.isFinite)).toBe(true);
  expect(out.score.squad).toEqual({ f1: 1, em: 1 });
  expect(out.classified.type).toBe('blank');
  await visit.close();
});
