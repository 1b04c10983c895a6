/**
 * The bundled post-trained model in a real page: every hidden state and every greedy answer against PyTorch, on both devices, and
 * held-out questions answered in several languages. Goldens: tests/reference/bundled_goldens.py.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Browser } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { LabClient } from '../../src/lab-client';
import type { Answer, Ask, Language } from '../../src/types';
import { launch, serve, visitLab, type Served, type Visit } from '../harness';

interface GoldenCase {
  item: string;
  contextLanguage: Language;
  questionLanguage: Language;
  prompt: string;
  ids: number[];
}
interface Goldens {
  greedy: (GoldenCase & { output: number[]; text: string })[];
  states: (GoldenCase & { shape: [number, number, number] })[];
}
const FOLDER = join(import.meta.dirname, '../fixtures/bundled');
const goldens = JSON.parse(readFileSync(join(FOLDER, 'goldens.json'), 'utf8')) as Goldens;

let served: Served;
let browser: Browser;
beforeAll(async () => {
  served = await serve();
  browser = await launch();
});
afterAll(async () => {
  await browser?.close();
  await served?.close();
});

const ask = (c: GoldenCase): Ask => ({ item: c.item, set: 'world', contextLanguage: c.contextLanguage, questionLanguage: c.questionLanguage });

describe.each(['wasm', 'webgpu'] as const)('%s', (device) => {
  let visit: Visit;
  beforeAll(async () => {
    visit = await visitLab(browser, served.url);
    const loaded = await visit.page.evaluate(
      (device) => (window as unknown as { own: LabClient }).own.load({ id: 'bundled:passage-post', dtype: 'fp32' }, { device }),
      device,
    );
    expect(loaded.device).toBe(device);
    expect(loaded.opaque).toBeNull();
    expect(loaded.selfTest?.passed, JSON.stringify(loaded.selfTest)).toBe(true);
  });
  afterAll(() => visit?.close());

  const states = device === 'wasm' ? goldens.states : goldens.states.slice(0, 2);
  test(`hidden states of ${states.length} prompts`, async () => {
    const seen = await visit.page.evaluate(
      async ({ cases, asks, url }) => {
        const lab = (window as unknown as { own: LabClient }).own;
        const expected = new Float32Array(await (await fetch(url)).arrayBuffer());
        let from = 0;
        const out: { ids: number[]; prompt: string; cosine: number; relative: number; cells: number }[] = [];
        for (let i = 0; i < cases.length; i++) {
          const [layers, tokens, dim] = cases[i].shape;
          const probe = await lab.probe(asks[i], { positions: Array.from({ length: tokens }, (_, p) => p), maxTokens: 1 });
          const got = probe.states as Float32Array;
          let cosine = 1;
          let relative = 0;
          for (let cell = 0; cell < layers * tokens; cell++) {
            let dot = 0;
            let aa = 0;
            let bb = 0;
            let dd = 0;
            for (let d = 0; d < dim; d++) {
              const a = got[cell * dim + d];
              const b = expected[from + cell * dim + d];
              dot += a * b;
              aa += a * a;
              bb += b * b;
              dd += (a - b) ** 2;
            }
            // NaN must fail, so it is kept rather than compared away
            const cos = dot / Math.sqrt(aa * bb);
            cosine = cos < cosine || Number.isNaN(cos) ? cos : cosine;
            relative = Math.max(relative, Math.sqrt(dd / bb));
          }
          from += layers * tokens * dim;
          const prompt = probe.tokens.filter((t) => t.group !== 'answer');
          out.push({ ids: prompt.map((t) => t.id), prompt: probe.prompt, cosine, relative, cells: got.length / dim });
        }
        return out;
      },
      { cases: states, asks: states.map(ask), url: `${served.origin}/fixtures/bundled/states.f32` },
    );
    seen.forEach((s, i) => {
      expect(s.prompt).toBe(goldens.states[i].prompt);
      expect(s.ids).toEqual(goldens.states[i].ids);
      expect(s.cells).toBe(goldens.states[i].shape[0] * goldens.states[i].shape[1]);
      expect(s.cosine).toBeGreaterThanOrEqual(0.99999);
      expect(s.relative).toBeLessThanOrEqual(1e-3);
    });
  });

  const greedy = device === 'wasm' ? goldens.greedy : goldens.greedy.slice(0, 12);
  test(`${greedy.length} answers are PyTorch's, token by token`, async () => {
    const answers = await answerAll(visit, greedy.map(ask), 24);
    answers.forEach((answer, i) => {
      const want = greedy[i].output;
      // PyTorch's output ends with the stop token, the lab's does not
      expect(answer.tokens.map((t) => t.id)).toEqual(want.slice(0, answer.tokens.length));
      expect(answer.text.trim()).toBe(greedy[i].text.trim());
    });
  });
});

test('held-out questions in four languages: at least 70 % exact match, en-en and en-x', async () => {
  const visit = await visitLab(browser, served.url);
  const asks = await visit.page.evaluate(async () => {
    const lab = (window as unknown as { own: LabClient }).own;
    await lab.load({ id: 'bundled:passage-post', dtype: 'fp32' }, { device: 'wasm' });
    const items = (await lab.items('world')).filter((item) => item.tags?.[0] === 'held-out-facts');
    return items.filter((_, i) => i % 6 === 0).map((item) => item.id);
  });
  for (const language of ['en', 'es', 'de', 'ru'] as const) {
    const answers = await answerAll(
      visit,
      asks.map((item): Ask => ({ item, set: 'world', contextLanguage: 'en', questionLanguage: language })),
      16,
    );
    const em = answers.reduce((sum, a) => sum + (a.squad?.em ?? 0), 0) / answers.length;
    console.log(`en-${language}: ${(100 * em).toFixed(1)} % exact match on ${answers.length} held-out questions`);
    expect(em).toBeGreaterThanOrEqual(0.7);
  }
  await visit.close();
});

function answerAll(visit: Visit, asks: Ask[], maxTokens: number): Promise<Answer[]> {
  return visit.page.evaluate(
    async ({ asks, maxTokens }) => {
      const lab = (window as unknown as { own: LabClient }).own;
      const out: Answer[] = [];
      for (const one of asks) out.push(await lab.answer(one, { maxTokens, lane: null }));
      return out;
    },
    { asks, maxTokens },
  );
}
