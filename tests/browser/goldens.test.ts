/** Hidden states, greedy tokens and relevance of every fixture, on both devices, against PyTorch with the file's own weights (tests/reference/). */
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import type { Browser } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { LabClient } from '../../src/lab-client';
import type { LoadedModel } from '../../src/types';
import { launch, serve, visitLab, type Served, type Visit } from '../harness';
import { equalsPyTorch } from './relevance-golden';

const MODELS = join(import.meta.dirname, '../fixtures/models');
/** As in tests/reference/make_fixtures.py. */
const PROMPT = 'The river Elbe flows through Dresden. Which river? Die Elbe fließt. 河';

const SUFFIX = { fp32: '', fp16: '_fp16', q4: '_q4', q4f16: '_q4f16', q8: '_quantized' } as const;
type Kind = keyof typeof SUFFIX;
const cases = readdirSync(MODELS).flatMap((name) =>
  (Object.keys(SUFFIX) as Kind[])
    .filter((dtype) => existsSync(join(MODELS, name, `golden${SUFFIX[dtype]}.json`)) && existsSync(join(MODELS, name, `onnx/model${SUFFIX[dtype]}.onnx`)))
    .map((dtype) => ({ name, dtype })),
);
/** What a device's kernels cannot compute: norms of query and key inside the attention operator; a cap on its scores. */
const REFUSED = { wasm: { name: 'qwen3-fused', why: 'WebGPU only' }, webgpu: { name: 'gemma2-opset14', why: 'WASM only' } };
/** The software adapter has no 16-bit floats. The products of integers in q8 files have no WebGPU kernels: there the CPU computes them, and rightly. */
const runs = (device: 'wasm' | 'webgpu') => cases.filter(({ name, dtype }) => name !== REFUSED[device].name && (device === 'wasm' || !dtype.includes('16')));
const EXACT = { cosine: 0.99999, relative: 1e-3 };
/** A 16-bit float has 11 bits: every rounding between two operators moves a number by up to 4.9e-4, and a state has passed dozens of them. */
const HALF = { cosine: 0.99999, relative: 4e-3 };
/**
 * A q8 file rounds what goes into each product to 8 bits: where two devices differ in a last bit, a number may fall on the next step, one
 * 255th of the largest away. The CPU's own kernels fall as the reference does.
 */
const STEPS = { cosine: 0.999, relative: 5e-2 };
const boundsOf = (dtype: Kind, device: 'wasm' | 'webgpu'): typeof EXACT => (dtype === 'q8' && device === 'webgpu' ? STEPS : dtype.endsWith('16') ? HALF : EXACT);

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

interface Outcome {
  model: LoadedModel;
  /** What the load's own comparison with the untouched file found. */
  silent: string;
  ids: number[];
  goldenIds: number[];
  greedy: number[];
  goldenGreedy: number[];
  cosine: number;
  relative: number;
  layers: number;
}

describe.each(['wasm', 'webgpu'] as const)('%s', (device) => {
  let visit: Visit;
  beforeAll(async () => {
    visit = await visitLab(browser, served.url);
  });
  afterAll(() => visit?.close());

  describe.each(runs(device))('$name $dtype', ({ name, dtype }) => {
    test('every state as in the reference', async () => {
      const outcome = await visit.page.evaluate(
        async ({ name, dtype, suffix, device, host, folder, text }): Promise<Outcome> => {
          const lab = (window as unknown as { own: LabClient }).own;
          const golden = await (await fetch(`${folder}/${name}/golden${suffix}.json`)).json();
          const expected = new Float32Array(await (await fetch(`${folder}/${name}/golden${suffix}.f32`)).arrayBuffer());
          const model = await lab.load({ id: `tiny/${name}`, host, dtype }, { device, precise: dtype !== 'fp32' });
          const probe = await lab.probe(
            { context: '', question: '', prompt: { kind: 'completion', text } },
            { positions: golden.ids.map((_: number, i: number) => i), maxTokens: golden.greedy.length },
          );
          const states = probe.states as Float32Array;
          const [, , dim] = golden.hidden as number[];
          let cosine = 1;
          let relative = 0;
          for (let at = 0; at < states.length; at += dim) {
            let dot = 0;
            let aa = 0;
            let bb = 0;
            let dd = 0;
            for (let d = at; d < at + dim; d++) {
              dot += states[d] * expected[d];
              aa += states[d] ** 2;
              bb += expected[d] ** 2;
              dd += (states[d] - expected[d]) ** 2;
            }
            cosine = Math.min(cosine, dot / Math.sqrt(aa * bb));
            relative = Math.max(relative, Math.sqrt(dd / bb));
          }
          // In precise mode the file is not as it came: once more as it is.
          const asItCame = dtype === 'fp32' ? model : await lab.load({ id: `tiny/${name}`, host, dtype }, { device });
          return {
            model,
            silent: asItCame.selfTest?.checks.find((c) => c.name === 'instrumented-equals-plain')?.detail ?? '',
            ids: probe.tokens.filter((t) => t.group !== 'answer').map((t) => t.id),
            goldenIds: golden.ids,
            greedy: probe.answer.tokens.map((t) => t.id),
            goldenGreedy: golden.greedy,
            cosine,
            relative,
            layers: probe.layers.length,
          };
        },
        { name, dtype, suffix: SUFFIX[dtype], device, host: `${served.origin}/mirror`, folder: `${served.origin}/fixtures/models`, text: PROMPT },
      );
      expect(outcome.model.device).toBe(device);
      expect(outcome.model.selfTest?.checks.filter((c) => c.passed === false)).toEqual([]);
      expect(outcome.ids).toEqual(outcome.goldenIds);
      expect(outcome.layers).toBe(outcome.model.layers + 1);
      const bounds = boundsOf(dtype, device);
      expect(outcome.cosine).toBeGreaterThanOrEqual(bounds.cosine);
      expect(outcome.relative).toBeLessThanOrEqual(bounds.relative);
      // With every instrument silent the logits are those of the untouched file, to the bit.
      expect(outcome.silent).toMatch(/^largest difference 0 on/);
      if (process.env['STATES_VERBOSE']) console.log(device, name, dtype, 1 - outcome.cosine, outcome.relative);
      expect(outcome.greedy).toEqual(outcome.goldenGreedy);
    });

    // In the model that is loaded by now. On the software adapter a family's 4-bit file stands for both: it has all operators of the other, and those of 4-bit weights.
    const stood = device === 'webgpu' && dtype === 'fp32' && name !== 'smollm' && cases.some((c) => c.name === name && c.dtype === 'q4');
    test.skipIf(stood)('relevance equals PyTorch’s by every rule', () =>
      equalsPyTorch(visit.page, { name, dtype, suffix: SUFFIX[dtype], device, host: `${served.origin}/mirror`, text: PROMPT }),
    );
  });

  test('a file that this device cannot compute is refused, and runs where it can unless this device was asked for', async () => {
    const { name, why } = REFUSED[device];
    const seen = await visit.page.evaluate(
      async ({ name, host, device }) => {
        const lab = (window as unknown as { own: LabClient }).own;
        const ref = { id: `tiny/${name}`, host, dtype: 'q4' };
        const refused = await lab.load(ref, { device }).then(String, (error: { code: string; message: string }) => `${error.code}: ${error.message}`);
        return { refused, elsewhere: device === 'webgpu' ? (await lab.load(ref)).device : 'wasm' };
      },
      { name, device, host: `${served.origin}/mirror` },
    );
    expect(seen.refused).toMatch(/^unsupported-graph: /);
    expect(seen.refused).toContain(why);
    expect(seen.elsewhere).toBe('wasm');
  });
});
