import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import * as ort from 'onnxruntime-web/wasm';
import { describe, expect, it } from 'vitest';
import type { RuleName } from '../../src/onnx/diff';
import { RULES } from '../../src/onnx/diff/backward';
import { vjp } from '../../src/onnx/diff/vjp';
import { readModel } from '../../src/onnx/read';

/** Single operators against PyTorch, whose gradients were checked by finite differences in float64 (tests/reference/op_grads.py). */
interface Plain {
  dims: number[];
  data: number[];
}
interface Case {
  name: string;
  model: string;
  inputs: Record<string, Plain>;
  cotangents: Record<string, Plain>;
  grads: Record<RuleName, Record<string, Plain>>;
}

ort.env.wasm.numThreads = 1;
ort.env.logLevel = 'error';
const cases = JSON.parse(readFileSync(join(__dirname, '../fixtures/diff/ops.json'), 'utf8')) as Case[];
const tensor = ({ dims, data }: Plain) => new ort.Tensor('float32', Float32Array.from(data), dims);

async function gradients(c: Case, rule: RuleName): Promise<Record<string, Float32Array>> {
  const bytes = new Uint8Array(Buffer.from(c.model, 'base64'));
  const backward = vjp(readModel(bytes), Object.keys(c.inputs), Object.keys(c.cotangents), rule);
  const session = await ort.InferenceSession.create(backward, { logSeverityLevel: 3 });
  const feeds: Record<string, ort.Tensor> = {};
  for (const [name, x] of Object.entries(c.inputs)) feeds[name] = tensor(x);
  for (const [name, x] of Object.entries(c.cotangents)) feeds[`cotangent.${name}`] = tensor(x);
  const out = await session.run(feeds);
  await session.release();
  return Object.fromEntries(Object.keys(c.inputs).map((name) => [name, out[`grad.${name}`].data as Float32Array]));
}

describe('vector–Jacobian rules', () => {
  for (const c of cases) {
    for (const rule of Object.keys(c.grads) as RuleName[]) {
      it(`${c.name}, ${rule}`, { timeout: 60_000 }, async () => {
        const got = await gradients(c, rule);
        for (const [name, want] of Object.entries(c.grads[rule])) {
          expect(got[name].length, name).toBe(want.data.length);
          const size = Math.max(1e-6, ...want.data.map(Math.abs));
          const worst = Math.max(...want.data.map((v, i) => Math.abs(v - got[name][i])));
          expect(worst / size, `gradient of ${name}`).toBeLessThan(1e-4);
        }
      });
    }
  }

  it('leaves no operator of the table without a case', () => {
    const tested = new Set(cases.flatMap((c) => readModel(new Uint8Array(Buffer.from(c.model, 'base64'))).graph.nodes.map((n) => n.opType)));
    expect(Object.keys(RULES).filter((op) => !tested.has(op))).toEqual([]);
  });
});
