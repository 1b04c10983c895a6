/** Hidden states and greedy tokens of every fixture, on both devices, against PyTorch (fp32) or native ONNX Runtime (q4). */
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import type { Browser } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { LabClient } from '../../src/lab-client';
import type { LoadedModel } from '../../src/types';
import { launch, serve, visitLab, type Served, type Visit } from '../harness';

const MODELS = join(import.meta.dirname, '../fixtures/models');
/** As in tests/reference/make_fixtures.py. */
const PROMPT = 'The river Elbe flows through Dresden. Which river? Die Elbe fließt. 河';

const SUFFIX = { fp32: '', q4: '_q4', q4f16: '_q4f16', q8: '_quantized' } as const;
type Kind = keyof typeof SUFFIX;
const cases = readdirSync(MODELS).flatMap((name) =>
  (Object.keys(SUFFIX) as Kind[])
    .filter((dtype) => existsSync(join(MODELS, name, `golden${SUFFIX[dtype]}.json`)) && existsSync(join(MODELS, name, `onnx/model${SUFFIX[dtype]}.onnx`)))
    .map((dtype) => ({ name, dtype })),
);
/** The software adapter has no 16-bit floats. The products of integers in q8 files have no WebGPU kernels: there the CPU computes them, and rightly. */
const runs = (device: 'wasm' | 'webgpu') => cases.filter(({ dtype }) => device === 'wasm' || dtype !== 'q4f16');
/** Halves and 8-bit activations are rounded in another order by every build. */
const BOUNDS: Record<Kind, { cosine: number; relative: number }> = {
  fp32: { cosine: 0.99999, relative: 1e-3 },
  q4: { cosine: 0.99999, relative: 1e-3 },
  q4f16: { cosine: 0.9999, relative: 2e-2 },
  q8: { cosine: 0.999, relative: 5e-2 },
};

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

  test.each(runs(device))('$name $dtype: every state as in the reference', async ({ name, dtype }) => {
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
    expect(outcome.cosine).toBeGreaterThanOrEqual(BOUNDS[dtype].cosine);
    expect(outcome.relative).toBeLessThanOrEqual(BOUNDS[dtype].relative);
    // With every instrument silent the logits are those of the untouched file, to the bit.
    expect(outcome.silent).toMatch(/^largest difference 0 on/);
    // The reference's list ends where its own greedy run did; ours may stop earlier at a stop token.
    expect(outcome.greedy).toEqual(outcome.goldenGreedy.slice(0, outcome.greedy.length));
    expect(outcome.greedy.length).toBeGreaterThan(0);
  });
});
