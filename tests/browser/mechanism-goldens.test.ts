/**
 * Relevance of every fixture family, through the lab in a real page, on both devices, against PyTorch with the same rules
 * (tests/reference/lrp_goldens.py): gradient, AttnLRP and CP-LRP of the difference of two logits.
 */
import { existsSync, readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import type { Browser } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { LabClient } from '../../src/lab-client';
import type { RelevanceRule } from '../../src/probe/relevance';
import { launch, serve, visitLab, type Served, type Visit } from '../harness';

interface Golden {
  ids: number[];
  targets: [row: number, token: number, weight: number][][];
  rules: RelevanceRule[];
  /** [rules, targets, layers + 1, tokens] */
  shape: [number, number, number, number];
  z: number[];
}
const GOLDEN = join(import.meta.dirname, '../fixtures/diff');
/** As in tests/reference/make_fixtures.py: the goldens' tokens are its tokens, some of them several times over. */
const PROMPT = 'The river Elbe flows through Dresden. Which river? Die Elbe fließt. 河';
const DTYPES: Record<string, string> = { model: 'fp32', model_fp16: 'fp16', model_q4: 'q4', model_q4f16: 'q4f16', model_quantized: 'q8' };

const cases = readdirSync(GOLDEN)
  .filter((file) => file.endsWith('.json') && existsSync(join(GOLDEN, file.replace(/json$/, 'f32'))))
  .map((file) => {
    const [name, graph] = file.split('.');
    return { name, graph, dtype: DTYPES[graph] };
  });

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

  test.for(cases)('$name $dtype equals PyTorch by every rule', { timeout: 300_000 }, async ({ name, graph, dtype }, { skip }) => {
    skip(name === (device === 'wasm' ? 'qwen3-fused' : 'gemma2-opset14'), 'this device’s attention kernel does not do what the file asks for');
    skip(dtype.endsWith('16') && !halves, 'this adapter has no 16-bit floats');
    skip(device === 'webgpu' && dtype === 'fp32' && name !== 'smollm' && cases.some((c) => c.name === name && c.dtype === 'q4'), 'on the software adapter the 4-bit file stands for both: it has all operators of this one, and those of 4-bit weights');
    const golden = JSON.parse(readFileSync(join(GOLDEN, `${name}.${graph}.json`), 'utf8')) as Golden;
    const raw = readFileSync(join(GOLDEN, `${name}.${graph}.f32`));
    const all = new Float32Array(raw.buffer.slice(raw.byteOffset, raw.byteOffset + raw.byteLength));
    const t = golden.targets.length - 1;
    const [[, a], [, b]] = golden.targets[t];
    const seen = await visit.page.evaluate(
      async ({ name, dtype, device, host, text, ids, rules, a, b }) => {
        const lab = (window as unknown as { own: LabClient }).own;
        const loaded = await lab.load({ id: `tiny/${name}`, host, dtype }, { device });
        const { tokens } = await lab.prompt({ context: '', question: '', prompt: { kind: 'completion', text } });
        const words = new Map(tokens.map((token) => [token.id, token.text]));
        const ask = { context: '', question: '', prompt: { kind: 'completion' as const, text: ids.map((id) => words.get(id) ?? '?').join('') } };
        const maps: { rule: RelevanceRule; relevance: number[]; z: number; ids: number[] }[] = [];
        const map = async (rule: RelevanceRule, weights: 'own' | 'shared') => {
          const made = await lab.relevance(ask, { rule, target: { kind: 'difference', a, b }, weights });
          maps.push({ rule, relevance: [...made.relevance], z: made.z, ids: made.tokens.map((token) => token.id) });
        };
        // On the software adapter every session is dear: there each rule is asked for in one place only.
        for (const rule of device === 'wasm' ? rules : rules.slice(0, 1)) await map(rule, 'own');
        // Once more over the decoder's own weights, which must leave the decoder what it was.
        const plain = { ...ask, prompt: { ...ask.prompt, text: `${ask.prompt.text} ` } };
        const answers = [await lab.answer(ask, { maxTokens: 3 }), await lab.answer(plain, { maxTokens: 3 })];
        for (const rule of rules.slice(1)) await map(rule, 'shared');
        // Asked for other lengths: answers are remembered.
        answers.push(await lab.answer(ask, { maxTokens: 4 }), await lab.answer(plain, { maxTokens: 4 }));
        return { device: loaded.device, maps, answers: answers.map((answer) => answer.tokens.slice(0, 3).map(({ id }) => id)) };
      },
      { name, dtype, device, host: `${served.origin}/mirror`, text: PROMPT, ids: golden.ids, rules: golden.rules, a, b },
    );
    expect(seen.device).toBe(device);
    const [, targets, rows, tokens] = golden.shape;
    const size = rows * tokens;
    expect(seen.answers.slice(2)).toEqual(seen.answers.slice(0, 2));
    expect(new Set(seen.maps.map(({ rule }) => rule))).toEqual(new Set(golden.rules));
    seen.maps.forEach(({ rule, relevance, z, ids }) => {
      const r = golden.rules.indexOf(rule);
      expect(ids).toEqual(golden.ids);
      const want = all.subarray((r * targets + t) * size, (r * targets + t + 1) * size);
      expect(relevance).toHaveLength(size);
      const dot = relevance.reduce((s, v, i) => s + v * want[i], 0);
      const cosine = dot / (norm(relevance) * norm(want));
      const error = norm(relevance.map((v, i) => v - want[i])) / norm(want);
      if (process.env['DIFF_VERBOSE']) console.log(device, name, dtype, rule, cosine.toFixed(7), error.toExponential(2), (z - golden.z[t]).toExponential(1));
      expect(cosine, rule).toBeGreaterThanOrEqual(0.9999);
      expect(error, rule).toBeLessThanOrEqual(1e-2);
      expect(Math.abs(z - golden.z[t])).toBeLessThanOrEqual(/16$/.test(dtype) ? 0.05 : 2e-3);
    });
  });
});
