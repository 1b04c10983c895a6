import 'fake-indexeddb/auto';
import { describe, expect, it, vi } from 'vitest';
import { cells, designProblems, incompatible, pairs, scenarioOf, union } from '../../src/study/design';
import { runStudy, type CellRunner, type StudyProgress } from '../../src/study/engine';
import { IdbStudyStore } from '../../src/study/idb';
import { substance, type CellResult } from '../../src/study/result';
import { allCells, StorageFull, type StudyStore } from '../../src/study/store';
import { seeded } from '../../src/xmrc/random';
import { design, items, outcome, runner } from './study-fixture';

vi.setConfig({ testTimeout: 60_000 });
let names = 0;
const fresh = () => IdbStudyStore.open(`t${names++}`);
const all = items(3, 4);
const contents = async (store: StudyStore, id = 'study-1') => new Map((await allCells(store, id)).map((r) => [r.id, substance(r)]));

describe('a design', () => {
  it('names scenarios', () => {
    expect([scenarioOf('en', 'en'), scenarioOf('en', 'de'), scenarioOf('de', 'de'), scenarioOf('de', 'en'), scenarioOf('de', 'zh')]).toEqual(['en-en', 'en-x', 'x-x', 'x-en', 'x-y']);
    expect(pairs({ scenarios: ['x-y'], languages: ['de', 'zh', 'th'] })).toHaveLength(6);
    expect(pairs({ scenarios: ['en-en', 'en-x', 'x-x', 'x-en', 'x-y'], languages: ['de', 'en', 'zh'] })).toHaveLength(9);
  });
  it('enumerates the same cells in the same order, neighbours sharing model, context language and paragraph', () => {
    const c = cells(design(all), all);
    expect(c).toHaveLength(2 * 5 * 12);
    expect(new Set(c.map((x) => x.id)).size).toBe(c.length);
    expect(c.map((x) => x.id)).toEqual(cells(design(all), [...all].reverse()).map((x) => x.id));
    const groups = c.map((x) => `${x.model}|${x.contextLanguage}|${x.item.paragraph}`);
    expect(groups.filter((g, i) => g !== groups[i - 1])).toHaveLength(new Set(groups).size);
    expect(c[0].id).toBe('bundled:a|en|en|q0');
    expect(c.at(-1)!.id).toBe('bundled:b#q4|zh|zh|q11');
  });
  it('leaves out what an item lacks, and refuses unknown ids', () => {
    const some = items(1, 2);
    delete some[0].question.de;
    expect(cells(design(some, { scenarios: ['en-x'], languages: ['de'] }), some)).toHaveLength(2);
    expect(() => cells(design(some), [])).toThrow('no item q0');
  });
  it('says what is wrong', () => {
    expect(designProblems(design(all))).toEqual([]);
    expect(designProblems(design([], { models: [], scenarios: ['x-x'], languages: [], correctF1: 0, maxTokens: 0 }))).toHaveLength(5);
    expect(() => runStudy(design([]), runner(), {} as StudyStore, { items: [] })).toThrow('at least one item');
    expect(incompatible(design(all), design(all, { maxTokens: 32 }))).toContain('16 and 32');
    expect(incompatible(design(all), design(all, { precise: true }))).toContain('precise');
    expect(incompatible(design(all), design(all.slice(1), { id: 'other', languages: ['ru'] }))).toBeNull();
    expect(union(design(all, { languages: ['de'] }), design(all, { languages: ['ru'], seed: 2 }))).toMatchObject({ languages: ['de', 'ru'], seed: null });
  });
});

describe('the queue', () => {
  it('runs every cell once, loads each model once and each context once, and stores each result', async () => {
    const store = await fresh();
    const log: string[] = [];
    const seen: StudyProgress[] = [];
    const end = await runStudy(design(all), runner(log), store, { items: all, onProgress: (p) => seen.push(p) }).finished;
    expect(end).toMatchObject({ state: 'done', done: 120, total: 120, failed: 0, remainingSeconds: 0 });
    expect(log.filter((l) => l.startsWith('model'))).toEqual(['model A', 'model B']);
    expect(log.filter((l) => l.startsWith('prefix'))).toHaveLength(2 * 3 * 3);
    expect(await contents(store)).toHaveProperty('size', 120);
    for (let i = 1; i < seen.length; i++) {
      expect(seen[i].done).toBeGreaterThanOrEqual(seen[i - 1].done);
      expect(seen[i].total).toBe(120);
    }
    expect(await store.listStudies()).toMatchObject([{ design: { id: 'study-1' }, done: 120 }]);
  });

  it('pauses after the cell under way, resumes, and cancels at once', async () => {
    const store = await fresh();
    let handle: ReturnType<typeof runStudy>;
    const slow: CellRunner = {
      ...runner(),
      run: async (c, _, signal) => {
        if (c.index === 5) handle.pause();
        if (c.index === 9) {
          setTimeout(() => handle.cancel(), 1);
          await new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason as Error)));
        }
        return outcome(c);
      },
    };
    const states: string[] = [];
    handle = runStudy(design(all), slow, store, {
      items: all,
      onProgress: (p) => {
        if (p.state !== states.at(-1)) states.push(p.state);
        if (p.state === 'paused') setTimeout(() => handle.resume(), 1);
      },
    });
    expect(await handle.finished).toMatchObject({ state: 'cancelled', done: 9 });
    expect(states).toEqual(['running', 'paused', 'running', 'cancelled']);
    expect((await store.doneIds('study-1')).size).toBe(9);
    const stopped = await runStudy(design(all), runner(), store, { items: all, signal: AbortSignal.abort() }).finished;
    expect(stopped.state).toBe('cancelled');
  });

  it('killed at 20 random points: no finished cell lost, none run twice, no result changed', async () => {
    const whole = await fresh();
    await runStudy(design(all), runner(), whole, { items: all }).finished;
    const expected = await contents(whole);
    const random = seeded(20);
    const name = `kill`;
    const again: string[] = [];
    const confirmed = new Set<string>();
    for (let kill = 0; kill < 20; kill++) {
      const inner = await IdbStudyStore.open(name);
      for (const id of confirmed) expect(await inner.getCell('study-1', id)).not.toBeNull();
      // Dies in the middle of something: while a cell runs, before a write, or after a write that nobody heard of.
      const at = 1 + Math.floor(random() * 8);
      const how = (['run', 'before', 'after'] as const)[Math.floor(random() * 3)];
      let n = 0;
      const never = new Promise<never>(() => undefined);
      await new Promise<void>((dead) => {
        const dying: CellRunner = {
          ...runner(),
          run: (c) => {
            if (++n === at && how === 'run') {
              dead();
              return never;
            }
            if (confirmed.has(c.id)) again.push(c.id);
            return Promise.resolve(outcome(c));
          },
        };
        const store: StudyStore = Object.assign(Object.create(inner) as StudyStore, {
          putCell: async (r: CellResult) => {
            if (n === at && how === 'before') {
              dead();
              return never;
            }
            await inner.putCell(r);
            if (n === at && how === 'after') {
              dead();
              return never;
            }
            confirmed.add(r.id);
          },
        });
        runStudy(design(all), dying, store, { items: all }).finished.then(() => dead(), () => dead());
      });
      inner.close();
    }
    expect(confirmed.size).toBeGreaterThan(20);
    const store = await IdbStudyStore.open(name);
    const left: string[] = [];
    await runStudy(design(all), { ...runner(), run: (c) => (left.push(c.id), Promise.resolve(outcome(c))) }, store, { items: all }).finished;
    expect(await contents(store)).toEqual(expected);
    expect(again).toEqual([]);
    expect(left.filter((id) => confirmed.has(id))).toEqual([]);
  });

  it('pauses when storage is full, says what to do, and loses nothing on resume', async () => {
    const store = await fresh();
    let refusals = 2;
    const ran: string[] = [];
    const tight: StudyStore = Object.assign(Object.create(store) as StudyStore, {
      putCell: (r: CellResult) => (r.item === 'q1' && refusals-- > 0 ? Promise.reject(new StorageFull()) : store.putCell(r)),
    });
    const messages: string[] = [];
    const handle = runStudy(design(all), runner(ran), tight, {
      items: all,
      onProgress: (p) => {
        if (p.state === 'paused' && p.message) {
          messages.push(p.message);
          setTimeout(() => handle.resume(), 1);
        }
      },
    });
    expect(await handle.finished).toMatchObject({ state: 'done', done: 120 });
    expect(messages).toHaveLength(2);
    expect(messages[0]).toContain('Export and delete');
    const cellsRun = ran.filter((l) => l.includes('|'));
    expect(cellsRun).toHaveLength(120);
    expect(new Set(cellsRun).size).toBe(120);
  });

  it('turns the browser\'s own quota error into that message', async () => {
    const store = await fresh();
    const db = (store as unknown as { db: { transaction: unknown } }).db;
    db.transaction = () => {
      throw new DOMException('full', 'QuotaExceededError');
    };
    await expect(store.putCell({ study: 's', id: 'c' } as CellResult)).rejects.toThrow(StorageFull);
  });

  it('records what is the cell\'s own fault and goes on; pauses for what is not, and loads the model anew', async () => {
    const store = await fresh();
    const log: string[] = [];
    let lost = 1;
    const troubled: CellRunner = {
      ...runner(log),
      run: (c) => {
        if (c.item.id === 'q2') return Promise.reject(Object.assign(new Error('too long'), { code: 'too-long' }));
        if (c.index === 20 && lost-- > 0) return Promise.reject(Object.assign(new Error('The device went away.'), { code: 'device-lost', hint: 'Load again.' }));
        return Promise.resolve(outcome(c));
      },
    };
    const messages: (string | null)[] = [];
    const handle = runStudy(design(all), troubled, store, {
      items: all,
      onProgress: (p) => {
        if (p.state === 'paused') {
          messages.push(p.message);
          setTimeout(() => handle.resume(), 1);
        }
      },
    });
    expect(await handle.finished).toMatchObject({ state: 'done', done: 120, failed: 10 });
    expect(messages).toEqual(['The device went away. Load again.']);
    expect(log.filter((l) => l === 'model A')).toHaveLength(2);
    const again = await runStudy(design(all), runner(), store, { items: all }).finished;
    expect(again).toMatchObject({ state: 'done', done: 120 });
    expect((await allCells(store, 'study-1')).filter((r) => r.failed)).toHaveLength(10);
    await runStudy(design(all), runner(), store, { items: all, retryFailed: true }).finished;
    expect((await allCells(store, 'study-1')).filter((r) => r.failed)).toHaveLength(0);
  });

  it('tells rate and remaining time without the pauses', async () => {
    const store = await fresh();
    let clock = 0;
    const timed: CellRunner = { ...runner(), run: (c) => ((clock += 500), Promise.resolve(outcome(c))) };
    const handle = runStudy(design(all), timed, store, { items: all, now: () => clock });
    const rates: (number | null)[] = [];
    await new Promise<void>((resolve) => {
      const timer = setInterval(() => {
        rates.push(handle.progress.rate);
        if (handle.progress.state === 'done') {
          clearInterval(timer);
          resolve();
        }
      }, 1);
    });
    expect(rates.at(-1)).toBe(2);
  });
});

describe('corrections', () => {
  it('stand beside the detector\'s word and can be taken back', async () => {
    const store = await fresh();
    await runStudy(design(all), runner(), store, { items: all }).finished;
    const [first] = await allCells(store, 'study-1');
    const other = first.error.type === 'content' ? 'language' : 'content';
    await store.correct('study-1', first.id, other);
    expect(await store.getCell('study-1', first.id)).toMatchObject({ corrected: other, error: first.error });
    await store.correct('study-1', first.id, null);
    expect(await store.getCell('study-1', first.id)).toEqual(first);
    await expect(store.correct('study-1', 'nothing', null)).rejects.toThrow('no finished cell');
    await store.deleteStudy('study-1');
    expect(await store.listStudies()).toEqual([]);
    expect((await store.doneIds('study-1')).size).toBe(0);
  });
});
