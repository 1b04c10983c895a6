import { existsSync, readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import * as ort from 'onnxruntime-web/wasm';
import { describe, expect, it } from 'vitest';
import { findResidual, labFeeds, prepareModel, readModel } from '../../src/onnx';
import { NoGradientError, OUTSIDE, RELEVANCE_OUTPUTS, SWITCH, differentiate, differentiateWithin, type RuleName } from '../../src/onnx/diff';

/** Whole tiny decoders against PyTorch (tests/reference/lrp_goldens.py): every family of graphs, every rule. */
const MODELS = join(__dirname, '../fixtures/models');
const GOLDEN = join(__dirname, '../fixtures/diff');

interface Golden {
  ids: number[];
  targets: [number, number, number][][];
  rules: RuleName[];
  /** [rules, targets, layers + 1, tokens] */
  shape: [number, number, number, number];
  z: number[];
  /** fp32 files: how far LXT's own map of the first target agrees, or why there is none. */
  lxt?: Partial<Record<RuleName, { cosine: number; error: number } | string>>;
}

ort.env.wasm.numThreads = 1;
ort.env.logLevel = 'error';

const files = readdirSync(GOLDEN)
  .filter((file) => file.endsWith('.json') && existsSync(join(GOLDEN, file.replace(/json$/, 'f32'))))
  .map((file) => file.replace(/\.json$/, ''));

/** Files with an operator for which the CPU has no kernel: tests/browser/goldens.test.ts runs them. */
const onCpu = files.filter((key) => !key.startsWith('qwen3-fused.'));

const configOf = (folder: string) => JSON.parse(readFileSync(join(MODELS, folder, 'config.json'), 'utf8')) as Record<string, number>;
const cacheOf = (config: Record<string, number>) => ({ kvHeads: config.num_key_value_heads, headDim: config.head_dim ?? config.hidden_size / config.num_attention_heads });
const CACHE = { kvHeads: 2, headDim: 16 };

/** The way back in a file of its own, or beside the decoder in the decoder's own file; `run` feeds what either place wants. */
async function open(key: string, rule: RuleName, shared: boolean) {
  const [folder, file] = key.split('.');
  const path = join(MODELS, folder, 'onnx', `${file}.onnx`);
  const bytes = new Uint8Array(readFileSync(path));
  const prepared = prepareModel(bytes, { loop: true, halvesInFloat: true });
  const model = readModel(prepared.plain);
  const config = configOf(folder);
  const options = { rule, cache: cacheOf(config) };
  const externalData: { path: string; data: Uint8Array }[] = [];
  if (existsSync(`${path}_data`)) externalData.push({ path: `${file}.onnx_data`, data: new Uint8Array(readFileSync(`${path}_data`)) });
  if (prepared.selfPath) externalData.push({ path: prepared.selfPath, data: bytes });
  const int = (values: number[], dims: number[]) => new ort.Tensor('int64', BigInt64Array.from(values, BigInt), dims);
  const pasts = (session: ort.InferenceSession) =>
    Object.fromEntries(
      session.inputMetadata.flatMap((port) => {
        if (!port.isTensor || !port.name.startsWith('past')) return [];
        const dims = [1, options.cache.kvHeads, 0, options.cache.headDim];
        return [[port.name, port.type === 'float16' ? new ort.Tensor('float16', new Uint16Array(0), dims) : new ort.Tensor('float32', new Float32Array(0), dims)]];
      }),
    );
  if (!shared) {
    const made = differentiate(model, findResidual(model), options);
    // Found without being told, the layers are the same ones.
    expect(Buffer.compare(differentiate(model, null, options).bytes, made.bytes)).toBe(0);
    const session = await ort.InferenceSession.create(made.bytes, { externalData, logSeverityLevel: 3 });
    const run = (feeds: Record<string, ort.Tensor>) => session.run(feeds);
    return { session, run, prefix: '' };
  }
  const joined = differentiateWithin(prepared.bytes, model, findResidual(model), options)!;
  const session = await ort.InferenceSession.create(joined.bytes, { externalData, logSeverityLevel: 3 });
  const idle: Record<string, ort.Tensor> = { ...pasts(session), [SWITCH]: new ort.Tensor('bool', Uint8Array.of(1), []) };
  for (const [name, dims] of [['input_ids', [1, 1]], ['attention_mask', [1, 1]], ['position_ids', [1, 1]], ['num_logits_to_keep', []]] as const) if (session.inputNames.includes(name)) idle[name] = int([name === 'attention_mask' ? 1 : 0], [...dims]);
  for (const [name, { type, data, dims }] of Object.entries(labFeeds(prepared.lab!, { rows: [0] }))) idle[name] = new ort.Tensor(type, data as never, dims);
  if (prepared.lab!.loop) idle['lab.steps'] = int([0], []);
  const outputs = Object.values(RELEVANCE_OUTPUTS).map((name) => OUTSIDE + name);
  const run = async (feeds: Record<string, ort.Tensor>) => Object.fromEntries(Object.entries(await session.run({ ...idle, ...feeds }, outputs)).map(([name, tensor]) => [name.slice(OUTSIDE.length), tensor]));
  return { session, run, prefix: OUTSIDE };
}

async function run(key: string, rule: RuleName, golden: Golden, shared = false) {
  const { session, run, prefix } = await open(key, rule, shared);
  const n = golden.ids.length;
  const out: { relevance: Float32Array; z: number }[] = [];
  for (const target of golden.targets) {
    const int = (values: number[], dims: number[]) => new ort.Tensor('int64', BigInt64Array.from(values, BigInt), dims);
    const all: Record<string, ort.Tensor> = {
      input_ids: int(golden.ids, [1, n]),
      attention_mask: int(Array<number>(n).fill(1), [1, n]),
      position_ids: int(golden.ids.map((_, i) => i), [1, n]),
      'target.rows': int(target.map((t) => t[0]), [target.length]),
      'target.tokens': int(target.map((t) => t[1]), [target.length]),
      'target.weights': new ort.Tensor('float32', Float32Array.from(target, (t) => t[2]), [target.length]),
    };
    const feeds = Object.fromEntries(Object.entries(all).flatMap(([name, tensor]) => (session.inputNames.includes(prefix + name) ? [[prefix + name, tensor]] : [])));
    const result = await run(feeds);
    out.push({ relevance: result.relevance.data as Float32Array, z: (result.z.data as Float32Array)[0] });
  }
  await session.release();
  return out;
}

const norm = (x: ArrayLike<number>): number => Math.sqrt(Array.from(x).reduce((s, v) => s + v * v, 0));
function compare(a: Float32Array, b: Float32Array): { cosine: number; error: number } {
  let dot = 0;
  const difference = new Float32Array(a.length);
  a.forEach((v, i) => {
    dot += v * b[i];
    difference[i] = v - b[i];
  });
  return { cosine: dot / (norm(a) * norm(b)), error: norm(difference) / norm(b) };
}

describe.each(onCpu)('relevance of %s', (key) => {
  const golden = JSON.parse(readFileSync(join(GOLDEN, `${key}.json`), 'utf8')) as Golden;
  const raw = readFileSync(join(GOLDEN, `${key}.f32`));
  const all = new Float32Array(raw.buffer.slice(raw.byteOffset, raw.byteOffset + raw.byteLength));
  const [, targets, layers, tokens] = golden.shape;
  const size = layers * tokens;

  it.each(golden.rules.map((rule, r) => [rule, r] as const))('%s equals PyTorch', async (rule, r) => {
    const runs = await run(key, rule, golden);
    runs.forEach(({ relevance, z }, t) => {
      const want = all.subarray((r * targets + t) * size, (r * targets + t + 1) * size);
      expect(relevance.length).toBe(size);
      const { cosine, error } = compare(relevance, want);
      const half = /f16|fp16/.test(key);
      if (process.env.DIFF_VERBOSE) console.log(key, rule, t, { cosine, error, z: z - golden.z[t] });
      expect(cosine).toBeGreaterThan(0.9999);
      expect(error).toBeLessThan(1e-2);
      expect(Math.abs(z - golden.z[t])).toBeLessThan(half ? 0.02 : 1e-3);
      // Law: nothing but the target's rows matters at the last layer, exactly.
      const rows = new Set(golden.targets[t].map(([row]) => row));
      for (let i = 0; i < tokens; i++) if (!rows.has(i)) expect(relevance[(layers - 1) * tokens + i] === 0).toBe(true);
      // Law: CP-LRP without biases hands the whole score down to every layer.
      if (rule === 'cp-lrp' && !key.startsWith('qwen2')) {
        for (let l = 0; l < layers; l++) {
          const row = relevance.subarray(l * tokens, (l + 1) * tokens);
          const sum = row.reduce((s, v) => s + v, 0);
          // 16-bit floats round every term by a share of its own size, and where terms cancel that is more than the same share of what is left.
          const size = half ? row.reduce((s, v) => s + Math.abs(v), 0) : Math.abs(z);
          expect(Math.abs(sum - z) / size).toBeLessThan(1e-3);
        }
      }
    });
  }, 120_000);
});

it.each(onCpu)('%s: beside the decoder, over its weights, the map is the same to the last bit', async (key) => {
  const golden = JSON.parse(readFileSync(join(GOLDEN, `${key}.json`), 'utf8')) as Golden;
  const [own, shared] = [await run(key, 'attnlrp', golden), await run(key, 'attnlrp', golden, true)];
  own.forEach((map, t) => {
    expect(shared[t].z).toBe(map.z);
    expect(Buffer.compare(Buffer.from(shared[t].relevance.buffer), Buffer.from(map.relevance.buffer))).toBe(0);
  });
}, 120_000);

it.each(files.filter((key) => key.endsWith('.model')))('the reference of %s agrees with LXT, where LXT knows the family', (key) => {
  const { lxt } = JSON.parse(readFileSync(join(GOLDEN, `${key}.json`), 'utf8')) as Golden;
  for (const rule of ['attnlrp', 'cp-lrp'] as const) {
    const agreement = lxt![rule]!;
    if (/^(phi3|gemma2)/.test(key)) expect(agreement).toMatch(/^LXT does not know/);
    else expect(agreement).toSatisfy(({ cosine, error }: { cosine: number; error: number }) => cosine >= 0.9999 && error <= 1e-2);
  }
});

it('computes with activations that are not rounded, whatever the file says', () => {
  const bytes = new Uint8Array(readFileSync(join(MODELS, 'smollm-optimum/onnx/model_q4.onnx')));
  const levels = (file: Uint8Array) => new Set(readModel(file).graph.nodes.flatMap((node) => (node.opType === 'MatMulNBits' ? [node.attributes.get('accuracy_level')?.i] : [])));
  expect(levels(bytes)).toEqual(new Set([4]));
  expect(levels(differentiate(readModel(bytes), null, { rule: 'attnlrp', cache: CACHE }).bytes)).toEqual(new Set([1]));
});

/** A file with one kind of operator called another name of the same length. */
function renamed(file: string, from: string, to: string): Uint8Array {
  const bytes = readFileSync(join(MODELS, file));
  for (let at = bytes.indexOf(from); at >= 0; at = bytes.indexOf(from, at + 1)) if (bytes[at - 1] === from.length && bytes[at - 2] === 0x22) bytes.write(to, at);
  return new Uint8Array(bytes);
}

it.each([
  ['smollm-optimum/onnx/model_quantized.onnx', 'MatMulInteger', 'QLinearMatMul'],
  ['llama/onnx/model.onnx', 'Sigmoid', 'Hardmax'],
])('names the operator for which there is no rule: %s with %s as %s', (file, from, to) => {
  const model = readModel(renamed(file, from, to));
  expect(() => differentiate(model, null, { rule: 'attnlrp', cache: CACHE })).toThrow(NoGradientError);
  expect(() => differentiate(model, null, { rule: 'attnlrp', cache: CACHE })).toThrow(new RegExp(to));
});

it('unpacks no more of an 8-bit head than the rows of the target', () => {
  const made = readModel(differentiate(readModel(new Uint8Array(readFileSync(join(MODELS, 'smollm-optimum/onnx/model_quantized.onnx')))), null, { rule: 'attnlrp', cache: CACHE }).bytes);
  const head = [...made.graph.initializers.values()].find((t) => t.dims.join() === '96,384')!;
  const readers = made.graph.nodes.filter((node) => node.inputs.includes(head.name)).map((node) => node.opType);
  expect(readers).toEqual(['Gather']);
});
