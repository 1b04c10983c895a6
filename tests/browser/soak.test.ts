/**
 * Loads and probes without end: memory stays where it is, and a worker killed at any moment costs a message and a reload.
 * LAB_SOAK=1 runs the full count, and a tenth of it on WebGPU; the ordinary run is a fifth of the loads, on WASM.
 */
import type { Browser, Worker } from 'playwright-core';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { LabClient } from '../../src/lab-client';
import { launch, serve, visitLab, type Served, type Visit } from '../harness';

const FULL = process.env['LAB_SOAK'] === '1';
const RUNS = FULL ? [{ device: 'wasm', loads: 30 }, { device: 'webgpu', loads: 3 }] : [{ device: 'wasm', loads: 6 }];
const PROBES_PER_LOAD = FULL ? 10 : 4;
/** All of a size: what one of them takes is what the next may take. */
const MODELS = ['llama', 'qwen2', 'smollm'];

let served: Served;
let browser: Browser;
let visit: Visit;
beforeAll(async () => {
  served = await serve();
  browser = await launch();
  visit = await visitLab(browser, served.url);
});
afterAll(async () => {
  await browser?.close();
  await served?.close();
});

/** Of the page and its workers, WebAssembly included. The browser answers after its next garbage collection, which may take half a minute. */
async function memory(): Promise<number> {
  return visit.page.evaluate(async () => {
    (globalThis as { gc?: () => void }).gc?.();
    const measure = (performance as unknown as { measureUserAgentSpecificMemory: () => Promise<{ bytes: number }> }).measureUserAgentSpecificMemory;
    return (await measure.call(performance)).bytes;
  });
}

test.each(RUNS)('$loads loads over three models, with probes, on $device: memory stays flat', { timeout: 3_600_000 }, async ({ device, loads }) => {
  const figures: number[] = [];
  const every = device === 'wasm' ? MODELS.length : 1;
  for (let i = 0; i < loads; i++) {
    await visit.page.evaluate(
      async ({ name, host, probes, device }) => {
        const lab = (window as unknown as { own: LabClient }).own;
        await lab.load({ id: `tiny/${name}`, host, dtype: 'fp32' }, { device: device as 'wasm' | 'webgpu' });
        for (let k = 0; k < probes; k++) await lab.probe({ context: `Elbe ${k} Dresden.`, question: 'Which river?' }, { maxTokens: 2 });
      },
      { name: MODELS[i % MODELS.length], host: `${served.origin}/mirror`, probes: PROBES_PER_LOAD, device },
    );
    if (i % every === every - 1) figures.push(await memory());
  }
  console.log(`${device}: memory after every ${every === 1 ? '' : 'third '}load: ${figures.map((b) => `${(b / 2 ** 20).toFixed(0)} MB`).join(', ')}`);
  // One wasm heap and one model at a time: later loads must not add to the first ones' figure.
  expect(figures.length).toBeGreaterThan(1);
  for (const later of figures.slice(1)) expect(later).toBeLessThan(figures[0] * 1.2);
});

test('killed at random points: the page recovers every time', { timeout: 3_600_000 }, async () => {
  const kills = FULL ? 15 : 3;
  const youngest = (): Worker | undefined => visit.page.workers().filter((w) => w.url().includes('lab.worker')).at(-1);
  for (let i = 0; i < kills; i++) {
    await visit.page.evaluate(
      ({ host }) => {
        const scope = window as unknown as { own: LabClient; outcome: Promise<string> };
        const work = async (): Promise<string> => {
          await scope.own.load({ id: 'tiny/llama', host, dtype: 'fp32' }, { device: 'wasm' });
          await scope.own.probe({ context: 'Elbe.', question: 'Which river?' }, { maxTokens: 60 });
          return 'done';
        };
        scope.outcome = work().catch((error) => (error as { code: string }).code);
      },
      { host: `${served.origin}/mirror` },
    );
    await new Promise((resolve) => setTimeout(resolve, 100 + ((i * 733) % 2500)));
    await youngest()
      ?.evaluate(() => self.close())
      .catch(() => undefined);
    expect(['done', 'worker-lost']).toContain(await visit.page.evaluate(() => (window as unknown as { outcome: Promise<string> }).outcome));
    const text = await visit.page.evaluate(
      async ({ host }) => {
        const lab = (window as unknown as { own: LabClient }).own;
        if (!(await lab.model())) await lab.load({ id: 'tiny/llama', host, dtype: 'fp32' }, { device: 'wasm' });
        return (await lab.answer({ context: 'Elbe.', question: 'Which river?' }, { maxTokens: 2 })).tokens.length;
      },
      { host: `${served.origin}/mirror` },
    );
    expect(text).toBeGreaterThan(0);
  }
});
