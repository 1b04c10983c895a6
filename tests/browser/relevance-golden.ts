/**
 * Relevance of a fixture through the lab in a real page, against PyTorch with the same rules (tests/reference/lrp_goldens.py): gradient, AttnLRP
 * and CP-LRP of the difference of two logits.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Page } from 'playwright-core';
import { expect } from 'vitest';
import type { LabClient } from '../../src/lab-client';
import type { RelevanceRule } from '../../src/probe/relevance';

interface Golden {
  ids: number[];
  targets: [row: number, token: number, weight: number][][];
  rules: RelevanceRule[];
  /** [rules, targets, layers + 1, tokens] */
  shape: [number, number, number, number];
  z: number[];
}
const GOLDEN = join(import.meta.dirname, '../fixtures/diff');

const norm = (x: ArrayLike<number>): number => Math.sqrt(Array.from(x).reduce((s, v) => s + v * v, 0));

export interface RelevanceCase {
  name: string;
  dtype: string;
  /** Of the file's name. */
  suffix: string;
  device: 'wasm' | 'webgpu';
  host: string;
  /** The goldens' tokens are its tokens, some of them several times over. */
  text: string;
}

/** Takes the model as it is loaded, where it is this one, as it came. */
export async function equalsPyTorch(page: Page, { name, dtype, suffix, device, host, text }: RelevanceCase): Promise<void> {
  const golden = JSON.parse(readFileSync(join(GOLDEN, `${name}.model${suffix}.json`), 'utf8')) as Golden;
  const raw = readFileSync(join(GOLDEN, `${name}.model${suffix}.f32`));
  const all = new Float32Array(raw.buffer.slice(raw.byteOffset, raw.byteOffset + raw.byteLength));
  const t = golden.targets.length - 1;
  const [[, a], [, b]] = golden.targets[t];
  const seen = await page.evaluate(
    async ({ name, dtype, device, host, text, ids, rules, a, b }) => {
      const lab = (window as unknown as { own: LabClient }).own;
      const here = await lab.model();
      const same = here?.card.ref.id === `tiny/${name}` && here.dtype === dtype && here.device === device && !here.provenance.precise;
      const loaded = same ? here : await lab.load({ id: `tiny/${name}`, host, dtype }, { device });
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
    { name, dtype, device, host, text, ids: golden.ids, rules: golden.rules, a, b },
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
}
