/**
 * Loads and probes without end: memory stays where it is, and a worker killed at any moment costs a message and a reload.
 * `npm run soak` runs the full count, and a tenth of it on WebGPU, and prints its figures; the ordinary run is three fifths of the loads with fewer probes, on WASM.
 */
import type { Browser } from 'playwright-core';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { LabClient } from '../../src/lab-client';
import { residentMemory } from '../bench/procfs';
import { launch, serve, visitLab, type Served, type Visit } from '../harness';

const FULL = process.env['LAB_SOAK'] === '1';
const RUNS = FULL ? [{ device: 'wasm', loads: 30 }, { device: 'webgpu', loads: 3 }] : [{ device: 'wasm', loads: 18 }];
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

/**
 * Of the page and its workers, WebAssembly included. The full run asks the browser, which waits a minute for the word of WASM's sleeping
 * threads; the ordinary one what Linux counts for the process.
 */
async function memory(): Promise<number> {
  await visit.page.evaluate(() => (globalThis as { gc?: () => void }).gc?.());
  const resident = FULL ? null : residentMemory();
  if (resident !== null) return resident;
  return visit.page.evaluate(async () => {
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
  expect(figures.length).toBeGreaterThan(1);
  // One wasm heap and one model at a time: later loads must not add to what the first ones took.
  if (FULL) for (const later of figures.slice(1)) expect(later).toBeLessThan(figures[0] * 1.2);
  // What a process gives back it gives back when it likes: up and down, but the lows must not rise.
  else expect(Math.min(...figures.slice(3))).toBeLessThan(Math.min(...figures.slice(0, 3)) * 1.2);
});

test('killed at random points of loading and asking three models: it hits every time, and the page recovers every time', { timeout: 3_600_000 }, async () => {
  const kills = FULL ? 30 : 5;
  const host = `${served.origin}/mirror`;
  /** Goes round the models until it is killed, or once where nothing is to be killed. */
  const doing = (killAt: number | null): Promise<{ outcome: string; events: string[] }> =>
    visit.page.evaluate(
      async ({ host, models, killAt }) => {
        const { own } = window as unknown as { own: LabClient };
        /** Progress and tokens, one by one. */
        const events: string[] = [];
        const event = (what: string): void => {
          // The thread itself, in the midst of whatever it computes: as a browser does that is short of memory.
          if (events.push(what) === killAt) (own as unknown as { worker: Worker }).worker.terminate();
        };
        const round = async (): Promise<void> => {
          for (const name of models) {
            await own.load({ id: `tiny/${name}`, host, dtype: 'fp32' }, { device: 'wasm', onProgress: (p) => event(p.phase) });
            await own.probe({ context: 'Elbe.', question: 'Which river?' }, { maxTokens: 8, onToken: () => event('answering') });
          }
        };
        try {
          do await round();
          while (killAt !== null);
          return { outcome: 'done', events };
        } catch (error) {
          return { outcome: (error as { code: string }).code, events };
        }
      },
      { host, models: MODELS, killAt },
    );
  const answer = (): Promise<number[]> =>
    visit.page.evaluate(
      async ({ host }) => {
        const { own } = window as unknown as { own: LabClient };
        if ((await own.model())?.card.ref.id !== 'tiny/llama') await own.load({ id: 'tiny/llama', host, dtype: 'fp32' }, { device: 'wasm' });
        return (await own.answer({ context: 'Elbe.', question: 'Which river?' }, { maxTokens: 8 })).tokens.map((t) => t.id);
      },
      { host },
    );

  const whole = await doing(null);
  expect(whole.outcome).toBe('done');
  const expected = await answer();
  const stages = [...new Set(whole.events)];
  const hit = new Map<string, number>();
  for (let i = 0; i < kills; i++) {
    // Each stage in turn, at any of its moments in any of the models.
    const moments = whole.events.flatMap((what, at) => (what === stages[i % stages.length] ? [at + 1] : []));
    const { outcome, events } = await doing(moments[Math.floor(Math.random() * moments.length)]);
    const at = events.at(-1) ?? '';
    expect(outcome).toBe('worker-lost');
    hit.set(at, (hit.get(at) ?? 0) + 1);
    expect(await answer()).toEqual(expected);
  }
  console.log(`killed ${kills} times, while: ${[...hit].map(([what, n]) => `${what} ${n}`).join(', ')}; every answer after it was that of an undisturbed run`);
  expect(hit.size).toBeGreaterThan(1);
});
