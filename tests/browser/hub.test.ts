/** Loading from a hub that misbehaves: every fault ends in a finished load or a clear message, and nothing corrupt is kept. */
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Browser } from 'playwright-core';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import type { LabClient } from '../../src/lab-client';
import type { LoadOptions, LoadedModel, ModelRef, Progress, StorageReport } from '../../src/types';
import { startHub, type Hub } from '../hub';
import { keepingLogits, scatterWeights, withoutCache } from '../scatter';
import { launch, serve, visitLab, type Served, type Visit } from '../harness';

const MODELS = join(import.meta.dirname, '../fixtures/models');
const GRAPH = 'onnx/model.onnx';

let served: Served;
let browser: Browser;
let hub: Hub;
let visit: Visit;
beforeAll(async () => {
  served = await serve();
  hub = await startHub(MODELS);
  browser = await launch({ webgpu: 'off' });
});
afterAll(async () => {
  await browser?.close();
  await hub?.close();
  await served?.close();
});
beforeEach(async () => {
  hub.reset();
  visit = await visitLab(browser, served.url);
});
afterEach(() => visit.close());

interface Outcome {
  model: LoadedModel | null;
  error: { code: string; message: string; hint: string } | null;
  progress: Progress[];
  storage: StorageReport;
}

/** Loads in the page; `cancelAt`: aborts once so many bytes have come. */
function load(ref: Partial<ModelRef> = {}, options: LoadOptions = {}, cancelAt?: number): Promise<Outcome> {
  return visit.page.evaluate(
    async ({ ref, options, cancelAt }) => {
      const lab = (window as unknown as { own: LabClient }).own;
      const progress: Progress[] = [];
      const controller = new AbortController();
      let model: LoadedModel | null = null;
      let error: Outcome['error'] = null;
      try {
        model = await lab.load(ref, {
          device: 'wasm',
          ...options,
          signal: controller.signal,
          onProgress: (p) => {
            progress.push(p);
            if (cancelAt !== undefined && p.phase === 'download' && p.done >= cancelAt) controller.abort();
          },
        });
      } catch (e) {
        const { code, message, hint } = e as Outcome['error'] & object;
        error = { code, message, hint };
      }
      return { model, error, progress, storage: await lab.storage() };
    },
    { ref: { id: 'tiny/llama', host: hub.host, dtype: 'fp32', ...ref } as ModelRef, options, cancelAt },
  );
}

const stored = (): Promise<StorageReport> => visit.page.evaluate(() => (window as unknown as { own: LabClient }).own.storage());

const works = (outcome: Outcome): void => {
  expect(outcome.error).toBeNull();
  expect(outcome.model?.selfTest?.passed).toBe(true);
};
const graphSha = createHash('sha256').update(readFileSync(join(MODELS, 'llama', GRAPH))).digest('hex');

describe('a hub that works', () => {
  test('pins the commit, checks the hash, keeps the files, and reports one monotone bar', async () => {
    const first = await load();
    works(first);
    expect(first.model?.provenance.revision).toMatch(/^[0-9a-f]{40}$/);
    expect(first.model?.provenance.files.find((f) => f.path === GRAPH)?.sha256).toBe(graphSha);
    const bar = first.progress.filter((p) => p.phase === 'download');
    expect(bar.every((p, i) => i === 0 || p.done >= bar[i - 1].done)).toBe(true);
    expect(new Set(bar.map((p) => p.total)).size).toBe(1);
    expect(bar.at(-1)?.done).toBe(bar.at(-1)?.total);
    expect(first.storage.files.length).toBeGreaterThan(3);
    expect(first.storage.files.every((f) => f.complete)).toBe(true);

    hub.log.length = 0;
    works(await load());
    expect(hub.log.filter((line) => line.includes('/resolve/') || line.includes('/blob/'))).toEqual([]);
  });

  test('a plain mirror without the API works, and keeps nothing that could change behind its name', async () => {
    hub.api(false);
    const outcome = await load();
    works(outcome);
    expect(outcome.storage.files).toEqual([]);
  });

  test.each([
    ['a hub that is down', async () => (hub.fault('api', { kind: 'status', status: 503 }, 99), hub.fault('*', { kind: 'status', status: 503 }, 99))],
    ['no network at all', () => visit.context.setOffline(true)],
  ])('with %s, what was loaded before still loads: as it was asked for, and as it was found', async (_, breakIt) => {
    const first = await load();
    works(first);
    await breakIt();
    works(await load());
    works(await load(first.model?.ref));
    // Its worker gone, the next question brings the pinned model back.
    const tokens = await visit.page.evaluate(async () => {
      const lab = (window as unknown as { own: LabClient }).own;
      lab.terminate();
      return (await lab.answer({ context: 'Elbe.', question: 'Which river?' }, { maxTokens: 2 })).tokens.length;
    });
    expect(tokens).toBeGreaterThan(0);
  });

  test('offline, a mirror without the API still has what was loaded by its commit; a name that may move has not', async () => {
    hub.api(false);
    const commit = createHash('sha1').update('tiny/llama').digest('hex');
    works(await load({ revision: commit }));
    await visit.context.setOffline(true);
    works(await load({ revision: commit }));
    expect((await load()).error).toMatchObject({ code: 'network', message: expect.stringMatching(/the list of files of tiny\/llama/) as string });
  });

  test('a slow one is waited for', async () => {
    hub.fault(GRAPH, { kind: 'slow', bytes: 40_000 });
    const outcome = await load();
    works(outcome);
    expect(outcome.progress.filter((p) => p.phase === 'download').length).toBeGreaterThan(2);
  });

  test('one stored file can be deleted, and all', async () => {
    const { storage } = await load();
    const left = await visit.page.evaluate(async (url) => (window as unknown as { own: LabClient }).own.deleteStored(url), storage.files[0].url);
    expect(left.files.length).toBe(storage.files.length - 1);
    // The page's own files and what the hub said of the model are kept, listed and deleted too.
    await expect.poll(async () => (await stored()).caches.map((c) => c.of).sort(), { timeout: 30_000 }).toEqual(['hubs', 'page']);
    const { caches: kept } = await stored();
    expect(kept.every((c) => c.entries > 0 && c.bytes > 0)).toBe(true);
    expect(kept.find((c) => c.of === 'page')?.bytes).toBeGreaterThan(2 ** 20);
    // The page may still be keeping files of its own: what it keeps after a deletion is there until the next.
    const none = () => visit.page.evaluate(async () => [(await (window as unknown as { own: LabClient }).own.deleteStored()).files.length, ...(await caches.keys())]);
    await expect.poll(none, { timeout: 30_000 }).toEqual([0]);
  });

  test('deleting everything during a download deletes the rest, says what stayed, and harms nothing', async () => {
    works(await load({ id: 'tiny/qwen2' }));
    hub.fault(GRAPH, { kind: 'slow', bytes: 20_000 });
    const said = await visit.page.evaluate(async (host) => {
      const lab = (window as unknown as { own: LabClient }).own;
      let deleting: Promise<string> | null = null;
      await lab.load(
        { id: 'tiny/llama', host, dtype: 'fp32' },
        { device: 'wasm', onProgress: (p) => void (p.done > 200_000 && (deleting ??= lab.deleteStored().then(() => 'deleted', (e) => (e as Error).message))) },
      );
      return deleting;
    }, hub.host);
    expect(said).toMatch(/^One file is being downloaded/);
    // The model that was loaded before is gone; the file that was on its way came whole, and is used.
    const { files } = await stored();
    expect(files.map((f) => [f.url.endsWith(GRAPH), f.complete])).toEqual([[true, true]]);
    hub.log.length = 0;
    works(await load());
    expect(hub.log.some((line) => line.endsWith(GRAPH))).toBe(false);
  });
});

describe('weights that lie', () => {
  /** What the model writes, whichever way its weights are kept. */
  const written = () =>
    visit.page.evaluate(async () => (await (window as unknown as { own: LabClient }).own.answer({ context: 'Elbe.', question: 'Which river?' }, { maxTokens: 6 })).tokens.map((t) => t.id));
  const original = (path: string) => readFileSync(join(MODELS, 'smollm', path));

  test.each([
    ['in three chunks', 3, 0],
    ['in two chunks and in the graph itself', 2, 3],
    ['in one file and in the graph itself', 1, 2],
  ])('%s: the same model', async (_name, chunks, inside) => {
    works(await load({ id: 'tiny/smollm' }));
    const expected = await written();
    const { graph, files } = scatterWeights(original(GRAPH), original(`${GRAPH}_data`), 'model.onnx_data', chunks, inside);
    expect(Object.keys(files).length).toBe(chunks);
    const small = ['config.json', 'generation_config.json', 'tokenizer.json', 'tokenizer_config.json'];
    hub.repository(`tiny/scattered-${chunks}-${inside}`, {
      ...Object.fromEntries(small.map((path) => [path, original(path)])),
      [GRAPH]: graph,
      ...Object.fromEntries(Object.entries(files).map(([name, bytes]) => [`onnx/${name}`, bytes])),
    });
    const outcome = await load({ id: `tiny/scattered-${chunks}-${inside}` });
    works(outcome);
    expect(outcome.model?.provenance.files.filter((f) => /onnx_data/.test(f.path)).length).toBe(chunks);
    expect(await written()).toEqual(expected);
    // Every chunk is kept, and the next load asks for none.
    hub.log.length = 0;
    works(await load({ id: `tiny/scattered-${chunks}-${inside}` }));
    expect(hub.log.filter((line) => /\/(resolve|blob)\//.test(line))).toEqual([]);
  });

  test.each([
    ['in chunks, on a mirror', 'model.onnx_data', 3, false],
    ['as other makers name them, on a mirror', 'model.onnx.data', 1, false],
    ['under a name of their own, on a mirror', 'weights.bin', 1, false],
    ['under names of their own, on a hub', 'weights.bin', 2, true],
  ])('%s: found by what the graph says', async (_name, name, chunks, api) => {
    const { graph, files } = scatterWeights(original(GRAPH), original(`${GRAPH}_data`), name, chunks, 0);
    const id = `tiny/named-${name}-${chunks}-${api}`;
    const small = ['config.json', 'generation_config.json', 'tokenizer.json', 'tokenizer_config.json'];
    hub.repository(id, {
      ...Object.fromEntries(small.map((path) => [path, original(path)])),
      [GRAPH]: graph,
      ...Object.fromEntries(Object.entries(files).map(([file, bytes]) => [`onnx/${file}`, bytes])),
    });
    hub.api(api);
    const outcome = await load({ id });
    works(outcome);
    const weights = outcome.model?.provenance.files.filter((f) => Object.keys(files).some((file) => f.path === `onnx/${file}`));
    expect(weights?.reduce((sum, f) => sum + f.bytes, 0)).toBe(original(`${GRAPH}_data`).length);
    // What is claimed beforehand is right, or nothing is.
    const [option] = await visit.page.evaluate((ref) => (window as unknown as { own: LabClient }).own.options(ref, { device: 'wasm' }), { id, host: hub.host });
    expect([null, graph.length + original(`${GRAPH}_data`).length]).toContain(option.bytes);
  });

  test('a graph that is told how many logits to compute says what the one that computes all of them says', async () => {
    works(await load({ id: 'tiny/smollm' }));
    const expected = await written();
    const small = ['config.json', 'generation_config.json', 'tokenizer.json', 'tokenizer_config.json', `${GRAPH}_data`];
    hub.repository('tiny/keeping', { ...Object.fromEntries(small.map((path) => [path, original(path)])), [GRAPH]: keepingLogits(original(GRAPH)) });
    const outcome = await load({ id: 'tiny/keeping' });
    works(outcome);
    expect(outcome.model?.opaque).toBeNull();
    // The untouched file was asked for its last row only, ours for all of them, of which the lab takes one.
    expect(outcome.model?.selfTest?.checks.find((c) => c.name === 'instrumented-equals-plain')).toMatchObject({ passed: true, detail: expect.stringMatching(/^largest difference 0 on/) as string });
    expect(await written()).toEqual(expected);
  });

  test('a chunk that is missing is named', async () => {
    const { graph, files } = scatterWeights(original(GRAPH), original(`${GRAPH}_data`), 'model.onnx_data', 3, 0);
    hub.repository('tiny/gap', {
      ...Object.fromEntries(['config.json', 'tokenizer.json', 'tokenizer_config.json'].map((path) => [path, original(path)])),
      [GRAPH]: graph,
      'onnx/model.onnx_data': files['model.onnx_data'],
    });
    const { error } = await load({ id: 'tiny/gap' });
    expect(error?.code).toBe('not-found');
    expect(error?.message).toMatch(/model\.onnx_data_[12]/);
  });
});

describe('what is no decoder', () => {
  const llama = (path: string) => readFileSync(join(MODELS, 'llama', path));
  const onnx = (): string[] => hub.log.filter((line) => line.includes('.onnx'));

  test('a classifier is refused by its config: nothing large is fetched', async () => {
    const config = { ...(JSON.parse(llama('config.json').toString()) as object), model_type: 'roberta', architectures: ['RobertaForSequenceClassification'] };
    hub.repository('tiny/classifier', { 'config.json': Buffer.from(JSON.stringify(config)), 'tokenizer.json': llama('tokenizer.json'), [GRAPH]: llama(GRAPH) });
    const { error } = await load({ id: 'tiny/classifier' });
    expect(error).toMatchObject({ code: 'unsupported-graph', message: expect.stringContaining('RobertaForSequenceClassification') as string, hint: expect.stringMatching(/CausalLM/) as string });
    expect(onnx()).toEqual([]);
  });

  test('a graph without a cache is refused before its weights are fetched', async () => {
    const graph = withoutCache(readFileSync(join(MODELS, 'smollm', GRAPH)));
    const small = ['config.json', 'tokenizer.json', 'tokenizer_config.json'];
    hub.repository('tiny/cacheless', { ...Object.fromEntries(small.map((p) => [p, readFileSync(join(MODELS, 'smollm', p))])), [GRAPH]: graph, [`${GRAPH}_data`]: readFileSync(join(MODELS, 'smollm', `${GRAPH}_data`)) });
    expect((await load({ id: 'tiny/cacheless' })).error).toMatchObject({ code: 'unsupported-graph', message: expect.stringMatching(/no key\/value cache/) as string });
    expect(onnx().some((line) => line.includes('_data'))).toBe(false);
  });
});

describe('faults that pass', () => {
  test('500 twice, then it works', async () => {
    hub.fault(GRAPH, { kind: 'status', status: 500 }, 2);
    works(await load());
  });

  test('429 with Retry-After is waited for', async () => {
    hub.fault(GRAPH, { kind: 'status', status: 429, retryAfter: 1 });
    works(await load());
  });

  test('a connection cut in the middle goes on where it stopped', async () => {
    hub.fault(GRAPH, { kind: 'cut', after: 300_000 });
    works(await load());
    const ranges = hub.log.filter((line) => line.includes('bytes=')).map((line) => Number(/bytes=(\d+)/.exec(line)?.[1]));
    expect(Math.max(...ranges)).toBeGreaterThan(100_000);
  });

  test('a cancelled download goes on after a reload of the page', async () => {
    hub.fault(GRAPH, { kind: 'slow', bytes: 20_000 });
    const cut = await load({}, {}, 300_000);
    expect(cut.error?.code).toBe('cancelled');
    expect(cut.storage.files.find((f) => f.url.endsWith(GRAPH))).toMatchObject({ complete: false });
    await visit.page.reload();
    await visit.page.waitForFunction(() => 'lab' in window);
    await visit.page.evaluate(() => void ((window as unknown as { own: unknown }).own = (window as unknown as { lab: LabClient }).lab.another()));
    hub.log.length = 0;
    works(await load());
    expect(hub.log.some((line) => /blob.* bytes=[1-9]/.test(line))).toBe(true);
  });
});

describe('a full disk', () => {
  // With a byte in all there is no room for the folder, whatever else the page keeps; 200 kB, where the page has not filled them
  // itself, end within the graph's file.
  test.each([1, 200_000])('of %i bytes: the load goes on in memory and says so; nothing half is kept', async (quotaSize) => {
    const session = await visit.context.newCDPSession(visit.page);
    await session.send('Storage.overrideQuotaForOrigin', { origin: served.origin, quotaSize });
    const outcome = await load();
    works(outcome);
    expect(outcome.progress.some((p) => p.note?.includes('storage'))).toBe(true);
    expect(outcome.storage.files.some((f) => f.url.endsWith(GRAPH) && f.complete)).toBe(false);
    await session.send('Storage.overrideQuotaForOrigin', { origin: served.origin });
    works(await load());
  });
});

describe('faults that stay', () => {
  const persistent = 99;
  test.each([
    ['404', GRAPH, { kind: 'status', status: 404 }, 'not-found'],
    ['401', GRAPH, { kind: 'status', status: 401 }, 'gated'],
    ['403', GRAPH, { kind: 'status', status: 403 }, 'gated'],
    ['500', GRAPH, { kind: 'status', status: 500 }, 'network'],
    ['a web page', GRAPH, { kind: 'web-page' }, 'broken-file'],
    ['a web page in place of JSON', 'tokenizer.json', { kind: 'web-page' }, 'broken-file'],
    ['a wrong length', GRAPH, { kind: 'wrong-length' }, 'broken-file'],
    ['a wrong hash', GRAPH, { kind: 'wrong-content' }, 'broken-file'],
    ['cuts without end', GRAPH, { kind: 'cut', after: 1000 }, 'network'],
  ] as const)('%s: a clear message, nothing corrupt kept, and the next load works', async (_name, path, fault, code) => {
    hub.fault(path, fault, persistent);
    const outcome = await load();
    expect(outcome.error?.code).toBe(code);
    expect(outcome.error?.message.length).toBeGreaterThan(10);
    expect(outcome.error?.hint).not.toBe('');
    expect(outcome.storage.files.some((f) => f.complete && f.url.endsWith(path))).toBe(false);
    hub.reset();
    works(await load());
  });

  test('a private repository: not told from one that is not there, and read with a token', async () => {
    hub.require('secret');
    expect((await load()).error).toMatchObject({ code: 'not-found', message: expect.stringMatching(/has no model tiny\/llama, or it is private/) as string, hint: expect.stringMatching(/token/) as string });
    await visit.page.evaluate((host) => (window as unknown as { own: LabClient }).own.setToken(host, 'secret'), hub.host);
    works(await load());
    expect(JSON.stringify(await visit.page.evaluate(() => ({ ...localStorage, ...sessionStorage })))).not.toContain('secret');
  });

  test('a gated repository: refused without a token, read with it, and the token goes to that host only, not to where it sends one', async () => {
    hub.require('secret', 'gated');
    expect((await load()).error).toMatchObject({ code: 'gated', hint: expect.stringMatching(/licence.*token/) as string });
    await visit.page.evaluate((host) => (window as unknown as { own: LabClient }).own.setToken(host, 'secret'), hub.host);
    hub.fault(GRAPH, { kind: 'cut', after: 300_000 });
    works(await load());
    expect(new Set(hub.trusted.map((url) => new URL(url).origin))).toEqual(new Set([hub.host]));
    // The blob host is of another origin, and is asked for the rest of what was cut all the same.
    expect(hub.log.some((line) => /\/blob\/.* bytes=[1-9]/.test(line))).toBe(true);
  });

  test('a revision or a repository that does not exist', async () => {
    expect((await load({ revision: 'no-such-revision' })).error).toMatchObject({ code: 'not-found', message: expect.stringMatching(/no such revision/) as string });
    expect((await load({ id: 'tiny/nothing' })).error).toMatchObject({ code: 'not-found', message: expect.stringMatching(/has no model tiny\/nothing, or it is private/) as string });
  });

  test('a host that does not answer', async () => {
    expect((await load({ host: 'http://127.0.0.1:9' })).error?.code).toBe('network');
  });
});
