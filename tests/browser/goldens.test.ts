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

const cases = readdirSync(MODELS).flatMap((name) =>
  (['fp32', 'q4'] as const)
    .filter((dtype) => {
      const suffix = dtype === 'fp32' ? '' : `_${dtype}`;
      return existsSync(join(MODELS, name, `golden${suffix}.json`)) && existsSync(join(MODELS, name, `onnx/model${suffix}.onnx`));
    })
    .map((dtype) => ({ name, dtype })),
);

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

  test.each(cases)('$name $dtype: every state as in the reference', async ({ name, dtype }) => {
    const outcome = await visit.page.evaluate(
      async ({ name, dtype, device, host, folder, text }): Promise<Outcome> => {
        const lab = (window as unknown as { own: LabClient }).own;
        const suffix = dtype === 'fp32' ? '' : `_${dtype}`;
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
        return {
          model,
          ids: probe.tokens.filter((t) => t.group !== 'answer').map((t) => t.id),
          goldenIds: golden.ids,
          greedy: probe.answer.tokens.map((t) => t.id),
          goldenGreedy: golden.greedy,
          cosine,
          relative,
          layers: probe.layers.length,
        };
      },
      { name, dtype, device, host: `${served.origin}/mirror`, folder: `${served.origin}/fixtures/models`, text: PROMPT },
    );
    expect(outcome.model.device).toBe(device);
    expect(outcome.model.selfTest?.checks.filter((c) => c.passed === false)).toEqual([]);
    expect(outcome.ids).toEqual(outcome.goldenIds);
    expect(outcome.layers).toBe(outcome.model.layers + 1);
    expect(outcome.cosine).toBeGreaterThanOrEqual(0.99999);
    expect(outcome.relative).toBeLessThanOrEqual(1e-3);
    // The reference's list ends where its own greedy run did; ours may stop earlier at a stop token.
    expect(outcome.greedy).toEqual(outcome.goldenGreedy.slice(0, outcome.greedy.length));
    expect(outcome.greedy.length).toBeGreaterThan(0);
  });
});
