/**
 * Relevance of the bundled pair, plain and quantised, on both devices, against PyTorch with the shipped files' own weights
 * (tests/reference/bundled_lrp_goldens.py): made anew whenever the models are.
 */
import { readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import type { Browser } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { LabClient } from '../../src/lab-client';
import type { RelevanceRule } from '../../src/probe/relevance';
import { launch, serve, visitLab, type Served, type Visit } from '../harness';

interface Golden {
  model: string;
  dtype: string;
  rules: RelevanceRule[];
  prompts: { text: string; ids: number[]; a: number; b: number; z: number; layers: number }[];
}
const FOLDER = join(import.meta.dirname, '../fixtures/diff/bundled');
const cases = readdirSync(FOLDER).flatMap((file) => (file.endsWith('.json') ? [file.replace(/\.json$/, '')] : []));

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

const norm = (x: ArrayLike<number>): number => Math.sqrt(Array.from(x).reduce((s, v) => s + v * v, 0));

describe.each(['wasm', 'webgpu'] as const)('%s', (device) => {
  let visit: Visit;
  let halves = true;
  beforeAll(async () => {
    visit = await visitLab(browser, served.url);
    halves = device === 'wasm' || (await visit.page.evaluate(async () => (await (window as unknown as { own: LabClient }).own.capabilities()).shaderF16));
  });
  afterAll(() => visit?.close());

  test.each(cases)('%s equals PyTorch by every rule', async (key) => {
    const golden = JSON.parse(readFileSync(join(FOLDER, `${key}.json`), 'utf8')) as Golden;
    if (/16$/.test(golden.dtype) && !halves) return console.log(`skipped: ${key}: this adapter has no 16-bit floats`);
    const raw = readFileSync(join(FOLDER, `${key}.f32`));
    const all = new Float32Array(raw.buffer.slice(raw.byteOffset, raw.byteOffset + raw.byteLength));
    // on the software adapter one prompt is enough of waiting
    const prompts = device === 'wasm' ? golden.prompts : golden.prompts.slice(0, 1);
    const seen = await visit.page.evaluate(
      async ({ golden, prompts, device }) => {
        const lab = (window as unknown as { own: LabClient }).own;
        await lab.load({ id: `bundled:${golden.model}`, dtype: golden.dtype }, { device });
        const maps: { relevance: number[]; z: number; ids: number[] }[] = [];
        for (const { text, a, b } of prompts)
          for (const rule of golden.rules) {
            const map = await lab.relevance({ context: '', question: '', prompt: { kind: 'completion', text } }, { rule, target: { kind: 'difference', a, b } });
            maps.push({ relevance: [...map.relevance], z: map.z, ids: map.tokens.map((token) => token.id) });
          }
        return maps;
      },
      { golden, prompts, device },
    );
    let at = 0;
    seen.forEach(({ relevance, z, ids }, i) => {
      const prompt = prompts[Math.floor(i / golden.rules.length)];
      const rule = golden.rules[i % golden.rules.length];
      expect(ids).toEqual(prompt.ids);
      const want = all.subarray(at, (at += (prompt.layers + 1) * prompt.ids.length));
      expect(relevance).toHaveLength(want.length);
      const dot = relevance.reduce((s, v, k) => s + v * want[k], 0);
      const cosine = dot / (norm(relevance) * norm(want));
      const error = norm(relevance.map((v, k) => v - want[k])) / norm(want);
      if (process.env['DIFF_VERBOSE']) console.log(device, key, rule, cosine.toFixed(7), error.toExponential(2), (z - prompt.z).toExponential(1));
      expect(cosine, rule).toBeGreaterThanOrEqual(0.9999);
      expect(error, rule).toBeLessThanOrEqual(1e-2);
      expect(Math.abs(z - prompt.z), rule).toBeLessThanOrEqual(5e-3);
    });
  }, 300_000);
});
