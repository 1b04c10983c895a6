/** The facade in a real page: asking, probing, giving way, and every kind of bad input. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Browser } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { LabClient } from '../../src/lab-client';
import type { Answer, Ask, LoadOptions, LoadedModel, ModelRef, Probe, ProbeOptions } from '../../src/types';
import { launch, serve, visitLab, type Served, type Visit } from '../harness';
import { GraphEdit, readModel } from '../../src/onnx';
import { startHub, type Hub } from '../hub';

const MODELS = join(import.meta.dirname, '../fixtures/models');
const llama = (path: string): Buffer => readFileSync(join(MODELS, 'llama', path));
const CONTEXT = 'Die Elbe fließt durch Dresden. 河流穿过城市。';
const ASK: Ask = { context: CONTEXT, question: 'Which river? नदी', contextLanguage: 'de', answer: { text: 'Dresden', start: 22 } };

let served: Served;
let hub: Hub;
let browser: Browser;
beforeAll(async () => {
  served = await serve();
  hub = await startHub(MODELS);
  browser = await launch();
});
afterAll(async () => {
  await browser?.close();
  await hub?.close();
  await served?.close();
});

type Failure = { code: string; message: string; hint: string };
const outcomeOf = <T>(value: T | Failure): { value: T | null; error: Failure | null } =>
  typeof value === 'object' && value !== null && 'code' in value && 'hint' in value ? { value: null, error: value as Failure } : { value: value as T, error: null };

async function load(visit: Visit, ref: Partial<ModelRef> = {}, options: LoadOptions = { device: 'wasm' }): Promise<{ value: LoadedModel | null; error: Failure | null }> {
  return outcomeOf(
    await visit.page.evaluate(
      async ({ ref, options }) => {
        try {
          return await (window as unknown as { own: LabClient }).own.load(ref, options);
        } catch (e) {
          const { code, message, hint } = e as Failure;
          return { code, message, hint };
        }
      },
      { ref: { id: 'tiny/llama', host: hub.host, dtype: 'fp32', ...ref } as ModelRef, options },
    ),
  );
}

async function answer(visit: Visit, ask: Ask, maxTokens = 6): Promise<{ value: (Answer & { streamed: string }) | null; error: Failure | null }> {
  return outcomeOf(
    await visit.page.evaluate(
      async ({ ask, maxTokens }) => {
        let streamed = '';
        try {
          const result = await (window as unknown as { own: LabClient }).own.answer(ask, { maxTokens, onToken: (t) => void (streamed += t.text) });
          return { ...result, streamed };
        } catch (e) {
          const { code, message, hint } = e as Failure;
          return { code, message, hint };
        }
      },
      { ask, maxTokens },
    ),
  );
}

type Summary = Omit<Probe, 'states' | 'means'> & { stateCount: number; means: Record<string, number>; finite: boolean };
async function probe(visit: Visit, ask: Ask, options: ProbeOptions = {}): Promise<{ value: Summary | null; error: Failure | null }> {
  return outcomeOf(
    await visit.page.evaluate(
      async ({ ask, options }) => {
        try {
          const result = await (window as unknown as { own: LabClient }).own.probe(ask, { maxTokens: 4, ...options });
          const { states, means, ...rest } = structuredClone(result);
          return {
            ...rest,
            stateCount: states?.length ?? 0,
            finite: states?.every(Number.isFinite) ?? true,
            means: Object.fromEntries(Object.entries(means).map(([group, mean]) => [group, mean.length])),
          };
        } catch (e) {
          const { code, message, hint } = e as Failure;
          return { code, message, hint };
        }
      },
      { ask, options },
    ),
  );
}

describe.each(['wasm', 'webgpu'] as const)('asking and looking inside on %s', (device) => {
  let visit: Visit;
  beforeAll(async () => {
    visit = await visitLab(browser, served.url);
    expect((await load(visit, {}, { device })).error).toBeNull();
  });
  afterAll(() => visit?.close());

  test('an answer streams what it returns, with scores and times', async () => {
    const { value, error } = await answer(visit, ASK);
    expect(error).toBeNull();
    expect(value).toMatchObject({ gold: 'Dresden', squad: { f1: expect.any(Number) }, languageAware: { em: expect.any(Number) } });
    expect(value?.text).toBe(value?.streamed);
    expect(value?.timing.prefillMs).toBeGreaterThan(0);
  });

  test('a probe has every group, layer and position, and is a plain record', async () => {
    const { value, error } = await probe(visit, ASK);
    expect(error).toBeNull();
    const result = value as Summary;
    const prompt = result.tokens.filter((t) => t.group !== 'answer');
    expect(prompt.map((t) => t.text).join('')).toBe(result.prompt);
    const groups = new Set(result.tokens.map((t) => t.group));
    for (const group of ['template', 'context', 'answerSpan', 'question', 'readout', 'answer'] as const) {
      expect(groups).toContain(group);
      expect(result.means[group]).toBe(result.layers.length * result.dim);
    }
    const span = result.tokens.filter((t) => t.group === 'answerSpan');
    expect(span.map((t) => t.text).join('')).toContain('Dresden');
    expect(result.stateCount).toBe(result.layers.length * result.tokens.length * result.dim);
    expect(result.finite).toBe(true);
    expect(result.lens.map((c) => c.layer)).toEqual(result.layers);
    for (const cell of result.lens) {
      expect(cell.top).toHaveLength(5);
      expect(cell.top.every((t) => t.p > 0 && t.p <= 1 && !t.text.includes('\uFFFD'))).toBe(true);
      expect(cell.followed.map((f) => f.id)).toEqual(result.followed.map((f) => f.id));
    }
    // What the last layer reads at the readout is what the model says.
    expect(result.lens.at(-1)?.top[0].id).toBe(result.answer.tokens[0].id);
    expect(result.lens.at(-1)?.followed.find((f) => f.id === result.answer.tokens[0].id)?.rank).toBe(0);
    expect(result.provenance).toMatchObject({ device, selfTest: { passed: true }, model: expect.stringContaining('tiny/llama') });
  });

  test('positions, layers, lens positions and top-k are what was asked for', async () => {
    const { value } = await probe(visit, ASK, { positions: ['question', 'readout'], layers: [0, 3], lensPositions: [1, 2], topK: 2, generate: false, follow: [7] });
    const result = value as Summary;
    expect(result.layers).toEqual([0, 3]);
    expect(result.positions.every((p) => ['question', 'readout'].includes(result.tokens[p].group))).toBe(true);
    expect(result.stateCount).toBe(2 * result.positions.length * result.dim);
    expect(result.lens.map((c) => [c.layer, c.position])).toEqual([[0, 1], [0, 2], [3, 1], [3, 2]]);
    expect(result.lens[0].top).toHaveLength(2);
    expect(result.followed.map((f) => f.role)).toEqual(['gold', 'pinned']);
    expect(result.answer.text).toBe('');
  });
});

test('on request, both devices are compared layer by layer', async () => {
  const visit = await visitLab(browser, served.url);
  try {
    expect((await load(visit)).error).toBeNull();
    const result = await visit.page.evaluate(() => (window as unknown as { own: LabClient }).own.compareDevices());
    const check = result.checks.find((c) => c.name === 'webgpu-equals-wasm');
    expect(check).toMatchObject({ passed: true, detail: expect.stringMatching(/worst cosine 1\.0000|worst cosine 0\.9999/) });
    expect((await answer(visit, ASK)).error).toBeNull();
  } finally {
    await visit.close();
  }
});

describe('bad input', () => {
  let visit: Visit;
  beforeAll(async () => {
    visit = await visitLab(browser, served.url);
  });
  afterAll(() => visit?.close());
  const usable = async (): Promise<void> => {
    expect((await load(visit)).error).toBeNull();
    expect((await answer(visit, ASK)).error).toBeNull();
  };

  test('no model', async () => {
    expect((await answer(visit, ASK)).error?.code).toBe('no-model');
  });

  test('an empty question, a prompt longer than the window, positions that do not exist', async () => {
    await usable();
    expect((await answer(visit, { ...ASK, question: '  ' })).error).toMatchObject({ code: 'empty-question', hint: expect.stringMatching(/./) });
    expect((await answer(visit, { ...ASK, context: 'Elbe '.repeat(500) })).error).toMatchObject({ code: 'too-long', message: expect.stringContaining('256') });
    expect((await probe(visit, ASK, { layers: [9] })).error?.code).toBe('bad-input');
    expect((await probe(visit, ASK, { positions: [99999] })).error?.code).toBe('bad-input');
    expect((await probe(visit, { item: 'none', set: 'world', contextLanguage: 'en', questionLanguage: 'de' })).error?.code).toBe('not-found');
    expect((await answer(visit, ASK)).error).toBeNull();
  });

  test.each([
    ['not ONNX at all', Buffer.from('this is no graph, only words'.repeat(400)), 'broken-file'],
    ['a truncated graph', llama('onnx/model.onnx').subarray(0, 400_000), 'broken-file'],
    ['an empty file', Buffer.alloc(0), 'broken-file'],
  ])('%s', async (name, graph, code) => {
    const id = `tiny/${name.replaceAll(' ', '-')}`;
    const small = Object.fromEntries(['config.json', 'tokenizer.json', 'tokenizer_config.json', 'generation_config.json'].map((p) => [p, llama(p)]));
    hub.repository(id, { ...small, 'onnx/model.onnx': graph });
    const { error } = await load(visit, { id });
    expect(error).toMatchObject({ code, hint: expect.stringMatching(/./) });
    await usable();
  });

  test('a layer count that the config contradicts: it answers, but says that it cannot look inside', async () => {
    const config = JSON.parse(llama('config.json').toString()) as object;
    const files = Object.fromEntries(['tokenizer.json', 'tokenizer_config.json', 'generation_config.json', 'onnx/model.onnx'].map((p) => [p, llama(p)]));
    hub.repository('tiny/contradiction', { ...files, 'config.json': Buffer.from(JSON.stringify({ ...config, num_hidden_layers: 7 })) });
    const { value } = await load(visit, { id: 'tiny/contradiction' });
    expect(value?.opaque).toMatch(/./);
    expect((await answer(visit, ASK)).error).toBeNull();
    expect((await probe(visit, ASK)).error?.code).toBe('unsupported-graph');
    await usable();
  });

  test('an encoder', async () => {
    hub.repository('tiny/encoder', { 'config.json': Buffer.from('{"model_type":"t5","is_encoder_decoder":true}'), 'tokenizer.json': llama('tokenizer.json'), 'onnx/model.onnx': llama('onnx/model.onnx') });
    expect((await load(visit, { id: 'tiny/encoder' })).error?.code).toBe('unsupported-graph');
  });

  test('a kind of file that is not there, and a device that refuses', async () => {
    expect((await load(visit, { dtype: 'bnb4' })).error).toMatchObject({ code: 'not-found', hint: expect.stringContaining('fp32') });
    await visit.page.evaluate(() => (window as unknown as { own: LabClient }).own.refuseWebGPU('The browser refused.'));
    expect((await load(visit, {}, { device: 'webgpu' })).error).toMatchObject({ code: 'unsupported-device', message: expect.stringContaining('refused') });
    const { value } = await load(visit, {}, {});
    expect(value).toMatchObject({ device: 'wasm', deviceReason: 'The browser refused.' });
    await visit.page.evaluate(() => (window as unknown as { own: LabClient }).own.refuseWebGPU(null));
  });

  test('16-bit files on an adapter without 16-bit floats are refused before any download', async () => {
    hub.log.length = 0;
    expect((await load(visit, { dtype: 'q4f16' }, { device: 'webgpu' })).error).toMatchObject({ code: 'unsupported-device', message: expect.stringContaining('shader-f16') });
    expect(hub.log.some((line) => line.includes('.onnx'))).toBe(false);
  });
});

test('a weight that no buffer of the adapter holds: refused by the config, or once the graph is read, never after its weights have come', async () => {
  const visit = await visitLab(browser, served.url);
  try {
    // An adapter that gives less than the fixtures' tables of words take: 384 words of 64 floats.
    await visit.page.evaluate(() => (window as unknown as { own: LabClient }).own.sets());
    const worker = visit.page.workers().filter((w) => w.url().includes('lab.worker')).at(-1);
    await worker?.evaluate(() => {
      const { get } = Object.getOwnPropertyDescriptor(GPUAdapter.prototype, 'limits') as { get: () => GPUSupportedLimits };
      Object.defineProperty(GPUAdapter.prototype, 'limits', {
        get(this: GPUAdapter) {
          const limits = get.call(this);
          return new Proxy(limits, { get: (_, name) => (name === 'maxBufferSize' ? 16_000 : Reflect.get(limits, name, limits)) });
        },
      });
    });
    const weights = (): string[] => hub.log.filter((line) => /\.onnx(_data)?$/.test(line));
    hub.log.length = 0;
    expect((await load(visit, {}, { device: 'webgpu' })).error).toMatchObject({ code: 'unsupported-device', message: expect.stringMatching(/fp32.*table of words takes 1 MiB.*at most 1 MiB in one piece/) as string, hint: expect.stringMatching(/q4/) as string });
    expect(weights()).toEqual([]);
    // How this kind keeps its table only the graph tells; its weights lie beside it.
    const gemma = { id: 'tiny/gemma3-script', dtype: 'q4' };
    const { error } = await load(visit, gemma, { device: 'webgpu' });
    expect(error).toMatchObject({ code: 'unsupported-device', message: expect.stringMatching(/^The weight \S+ takes/) as string, hint: expect.stringMatching(/WASM/) as string });
    expect(weights().filter((line) => line.includes('_data'))).toEqual([]);
    expect((await load(visit, gemma)).error).toBeNull();
  } finally {
    await visit.close();
  }
});

describe('giving way and coming back', () => {
  let visit: Visit;
  beforeAll(async () => {
    visit = await visitLab(browser, served.url);
    expect((await load(visit)).error).toBeNull();
  });
  afterAll(() => visit?.close());

  test('the latest answer wins; studies give way to nobody', async () => {
    const codes = await visit.page.evaluate(async (ask) => {
      const lab = (window as unknown as { own: LabClient }).own;
      const results = await Promise.allSettled([
        lab.answer(ask, { maxTokens: 40 }),
        lab.answer({ ...ask, question: 'b?' } as Ask, { maxTokens: 3, lane: null }),
        lab.answer({ ...ask, question: 'c?' } as Ask, { maxTokens: 3 }),
      ]);
      return results.map((r) => (r.status === 'fulfilled' ? 'ok' : (r.reason as Failure).code));
    }, ASK);
    expect(codes).toEqual(['superseded', 'ok', 'ok']);
  });

  test('a signal cancels, and so does cancel()', async () => {
    const codes = await visit.page.evaluate(async (ask) => {
      const lab = (window as unknown as { own: LabClient }).own;
      const code = (p: Promise<unknown>): Promise<string> => p.then(() => 'ok', (e) => (e as Failure).code);
      const controller = new AbortController();
      // so many, one after the other, that it comes in the midst of them however fast one is
      const many = (word: string, calls: object): Promise<string[]> =>
        Promise.all(Array.from({ length: 40 }, (_, i) => code(lab.answer({ ...ask, question: `${word} ${i}?` } as Ask, { maxTokens: 200, lane: null, ...calls }))));
      const byCancel = await many('d', { onToken: () => lab.cancel() });
      const bySignal = await many('e', { signal: controller.signal, onToken: () => controller.abort() });
      const ends = [byCancel, bySignal].map((codes) => (codes.every((c) => c === 'ok' || c === 'cancelled') ? codes.at(-1) : codes.join()));
      return [...ends, await code(lab.answer(ask, { maxTokens: 3 }))];
    }, ASK);
    expect(codes).toEqual(['cancelled', 'cancelled', 'ok']);
  });

  test('a worker killed in the middle of an answer: said, and the next question brings the model back', async () => {
    await visit.page.evaluate((ask) => {
      const scope = window as unknown as { own: LabClient; killed: Promise<string[]>; lost: string };
      scope.own.on('lost', (error) => void (scope.lost = error.code));
      // so many, one after the other, that it is killed in the midst of them however fast it is
      const each = (_: unknown, i: number) => scope.own.answer({ ...ask, question: `f${i}?` } as Ask, { maxTokens: 200, lane: null }).then(() => 'ok', (e) => (e as Failure).code);
      scope.killed = Promise.all(Array.from({ length: 100 }, each));
    }, ASK);
    // The youngest worker whose script is the lab's: this page's interface has one, too.
    const worker = visit.page.workers().filter((w) => w.url().includes('lab.worker')).at(-1);
    await worker?.evaluate(() => self.close());
    const ends = await visit.page.evaluate(() => (window as unknown as { killed: Promise<string[]> }).killed);
    expect(ends.at(-1)).toBe('worker-lost');
    expect(ends.filter((end) => end !== 'ok' && end !== 'worker-lost')).toEqual([]);
    expect(await visit.page.evaluate(() => (window as unknown as { lost: string }).lost)).toBe('worker-lost');
    expect((await answer(visit, ASK)).error).toBeNull();
  });
});

describe('a load that fails after its session was built', () => {
  const workers = (visit: Visit) => visit.page.workers().filter((w) => w.url().includes('lab.worker'));

  test('its graphics device gone in the middle: said, and the next load has another one', async () => {
    const visit = await visitLab(browser, served.url);
    try {
      await visit.page.evaluate(() => (window as unknown as { own: LabClient }).own.capabilities());
      await workers(visit)
        .at(-1)
        ?.evaluate(() => {
          const devices: GPUDevice[] = [];
          const { requestDevice } = GPUAdapter.prototype;
          GPUAdapter.prototype.requestDevice = async function (descriptor) {
            const device = await requestDevice.call(this, descriptor);
            devices.push(device);
            return device;
          };
          const post = self.postMessage.bind(self) as (message: unknown, ...rest: unknown[]) => void;
          Object.assign(self, {
            postMessage: (message: { progress?: { phase: string } }, ...rest: unknown[]) => {
              if (message.progress?.phase === 'warm-up') for (const device of devices) device.destroy();
              post(message, ...rest);
            },
          });
        });
      expect((await load(visit, {}, { device: 'webgpu' })).error).toMatchObject({ code: 'device-lost', hint: expect.stringMatching(/again/) as string });
      expect((await load(visit, {}, { device: 'webgpu' })).error).toBeNull();
      expect((await answer(visit, ASK)).error).toBeNull();
    } finally {
      await visit.close();
    }
  });

  test('the memory it took is given back with its worker; one that fails before costs none', async () => {
    const visit = await visitLab(browser, served.url);
    try {
      const own = async (): Promise<string> => {
        const worker = workers(visit).at(-1);
        return (await worker?.evaluate(() => ((self as unknown as { mark?: string }).mark ??= crypto.randomUUID()))) ?? '';
      };
      await visit.page.evaluate(() => (window as unknown as { own: LabClient }).own.capabilities());
      const first = await own();
      expect((await load(visit, { dtype: 'bnb4' })).error?.code).toBe('not-found');
      await load(visit, { id: 'tiny/nothing' });
      expect(await own()).toBe(first);
      const edit = new GraphEdit(readModel(llama('onnx/model.onnx')));
      edit.node({ opType: 'NoSuchOperator', inputs: ['input_ids'], outputs: ['nothing'] });
      hub.repository('tiny/unbuildable', { ...Object.fromEntries(['config.json', 'tokenizer.json', 'tokenizer_config.json'].map((p) => [p, llama(p)])), 'onnx/model.onnx': Buffer.from(edit.build()) });
      expect((await load(visit, { id: 'tiny/unbuildable' })).error?.code).toBe('unsupported-graph');
      expect((await load(visit)).error).toBeNull();
      expect(await own()).not.toBe(first);
    } finally {
      await visit.close();
    }
  });
});

describe('without the server’s help', () => {
  test('no isolation headers: one thread, and it works; nothing is asked of another host', async () => {
    const bare = await serve({ isolated: false });
    const visit = await visitLab(browser, bare.url);
    try {
      expect(await visit.page.evaluate(() => (window as unknown as { own: LabClient }).own.capabilities())).toMatchObject({ crossOriginIsolated: false, threads: 1 });
      expect((await load(visit, { host: `${bare.origin}/mirror` })).error).toBeNull();
      expect((await answer(visit, ASK)).error).toBeNull();
      expect(visit.foreign.filter((url) => !url.startsWith(hub.host))).toEqual([]);
    } finally {
      await visit.close();
      await bare.close();
    }
  });

  test('what was loaded once loads again without a network', async () => {
    const visit = await visitLab(browser, served.url);
    try {
      await visit.page.evaluate(() => navigator.serviceWorker.ready);
      expect((await load(visit)).error).toBeNull();
      // The copies are made after the load, beside whatever comes next.
      const allKept = (): Promise<boolean> =>
        visit.page.evaluate(async () => {
          const cache = (await caches.keys()).find((name) => name.startsWith('lab-shell-'));
          const kept = cache === undefined ? [] : (await (await caches.open(cache)).keys()).map((request) => request.url);
          const seen = performance.getEntriesByType('resource').map((e) => e as PerformanceResourceTiming);
          const own = seen.filter((e) => e.responseStatus === 200 && e.name.startsWith(location.origin + location.pathname));
          return kept.some((url) => url.endsWith('.wasm')) && own.every((e) => kept.includes(e.name));
        });
      await expect.poll(allKept, { timeout: 60_000, interval: 500 }).toBe(true);
      await visit.context.setOffline(true);
      await visit.page.reload();
      await visit.page.waitForFunction(() => 'lab' in window, undefined, { timeout: 60_000 });
      await visit.page.evaluate(() => void ((window as unknown as { own: unknown }).own = (window as unknown as { lab: LabClient }).lab.another()));
      expect((await load(visit)).error).toBeNull();
      expect((await answer(visit, ASK)).error).toBeNull();
    } finally {
      await visit.close();
    }
  });

  test('a dropped folder', async () => {
    const visit = await visitLab(browser, served.url);
    try {
      const result = await visit.page.evaluate(async (base) => {
        const lab = (window as unknown as { own: LabClient }).own;
        const names = ['config.json', 'generation_config.json', 'tokenizer.json', 'tokenizer_config.json', 'onnx/model.onnx'];
        const files = await Promise.all(
          names.map(async (name) => {
            const file = new File([await (await fetch(base + name)).blob()], name.split('/').pop() as string);
            Object.defineProperty(file, 'webkitRelativePath', { value: `my-model/${name}` });
            return file;
          }),
        );
        const ref = await lab.addFiles(files);
        const model = await lab.load(ref, { device: 'wasm' });
        return { model, text: (await lab.answer({ context: 'a', question: 'b?' }, { maxTokens: 3 })).text };
      }, `${served.origin}/fixtures/models/llama/`);
      expect(result.model.selfTest?.passed).toBe(true);
    } finally {
      await visit.close();
    }
  });
});
