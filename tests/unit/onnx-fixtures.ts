/** Runs fixture models in onnxruntime-web's WASM build under Node: the same binary the page uses without WebGPU. */
import { existsSync, readFileSync, readdirSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import * as ort from 'onnxruntime-web/wasm';
import type { LabTensor, OnnxValueInfo } from '../../src/onnx';

export const MODELS = fileURLToPath(new URL('../fixtures/models/', import.meta.url));
const dist = dirname(createRequire(import.meta.url).resolve('onnxruntime-web/wasm'));
ort.env.wasm.wasmPaths = pathToFileURL(dist).href + '/';
ort.env.wasm.numThreads = 1;
ort.env.logLevel = 'error';

export interface Golden {
  ids: number[];
  greedy: number[];
  /** [L+1, n, dim] */
  hidden: { dims: number[]; data: Float32Array };
  /** [1, vocab], of the last position */
  logits: { dims: number[]; data: Float32Array };
  /**
   * [L+1, vocab], fp32 files only: logits of the last row when h[l] at the middle position is replaced by h[l] of position 1
   * (of the middle row for l = L, which nothing after it sees).
   */
  patched: { dims: number[]; data: Float32Array } | null;
}

export interface Fixture {
  /** folder/file, e.g. `llama/model_q4`. */
  name: string;
  config: { num_hidden_layers: number; hidden_size: number; num_key_value_heads: number; head_dim?: number; num_attention_heads: number };
  bytes: Uint8Array;
  /** Files beside the model. */
  external: { path: string; data: Uint8Array }[];
  golden: Golden;
}

/** Files with an operator for which the CPU has no kernel. */
export const WEBGPU_ONLY = new Set(['qwen3-fused/model_q4']);

export function fixtureNames(): string[] {
  return readdirSync(MODELS)
    .filter((folder) => existsSync(join(MODELS, folder, 'onnx')))
    .flatMap((folder) => readdirSync(join(MODELS, folder, 'onnx')).flatMap((f) => (f.endsWith('.onnx') ? [`${folder}/${f.slice(0, -5)}`] : [])));
}

export function fixture(name: string): Fixture {
  const [folder, file] = name.split('/');
  const at = join(MODELS, folder);
  const dtype = file.replace(/^model_?/, '');
  const suffix = existsSync(join(at, `golden_${dtype}.json`)) ? `_${dtype}` : '';
  const meta = JSON.parse(readFileSync(join(at, `golden${suffix}.json`), 'utf8')) as { ids: number[]; greedy: number[]; hidden: number[]; logits: number[]; patched?: number[] };
  const floats = new Float32Array(new Uint8Array(readFileSync(join(at, `golden${suffix}.f32`))).buffer);
  let taken = 0;
  const take = (dims: number[]) => {
    const size = dims.reduce((a, b) => a * b);
    return { dims, data: floats.subarray(taken, (taken += size)) };
  };
  const data = join(at, 'onnx', `${file}.onnx_data`);
  return {
    name,
    config: JSON.parse(readFileSync(join(at, 'config.json'), 'utf8')) as Fixture['config'],
    bytes: new Uint8Array(readFileSync(join(at, 'onnx', `${file}.onnx`))),
    external: existsSync(data) ? [{ path: `${file}.onnx_data`, data: new Uint8Array(readFileSync(data)) }] : [],
    golden: {
      ids: meta.ids,
      greedy: meta.greedy,
      hidden: take(meta.hidden),
      logits: take(meta.logits),
      patched: meta.patched && suffix === '' && dtype === '' ? take(meta.patched) : null,
    },
  };
}

export type Session = ort.InferenceSession;
export type Outputs = Record<string, ort.Tensor>;

export function open(bytes: Uint8Array, external: { path: string; data: Uint8Array }[]): Promise<Session> {
  return ort.InferenceSession.create(bytes, { executionProviders: ['wasm'], externalData: external, logSeverityLevel: 3 });
}

/** One run: `ids` after `past` (zero-length at first), with whatever lab feeds the session takes. */
export function run(session: Session, model: Fixture, inputs: OnnxValueInfo[], ids: number[], lab: Record<string, LabTensor> = {}, past?: Outputs): Promise<Outputs> {
  const int64 = (values: number[]) => new ort.Tensor('int64', BigInt64Array.from(values, BigInt), [1, values.length]);
  const { num_key_value_heads: heads, num_attention_heads, hidden_size, head_dim = hidden_size / num_attention_heads } = model.config;
  const before = past ? past['present.0.key'].dims[2] : 0;
  const feeds: Outputs = {};
  for (const { name, elemType } of inputs) {
    if (name === 'input_ids') feeds[name] = int64(ids);
    else if (name === 'attention_mask') feeds[name] = int64(Array<number>(before + ids.length).fill(1));
    else if (name === 'position_ids') feeds[name] = int64(ids.map((_, i) => before + i));
    else if (past) feeds[name] = past[name.replace('past_key_values', 'present')];
    else feeds[name] = elemType === 10 ? new ort.Tensor('float16', new Uint16Array(0), [1, heads, 0, head_dim]) : new ort.Tensor('float32', new Float32Array(0), [1, heads, 0, head_dim]);
  }
  for (const [name, { type, data, dims }] of Object.entries(lab)) feeds[name] = new ort.Tensor(type, data as Float32Array, dims);
  return session.run(feeds);
}

export function floats(tensor: ort.Tensor): Float32Array {
  if (tensor.type === 'float32') return tensor.data as Float32Array;
  if (tensor.type !== 'float16') throw new Error(`not floats: ${tensor.type}`);
  const raw = tensor.data as unknown as { buffer: ArrayBuffer; byteOffset: number; length: number };
  return Float32Array.from(new Uint16Array(raw.buffer, raw.byteOffset, raw.length), half);
}

function half(h: number): number {
  const sign = h & 0x8000 ? -1 : 1;
  const exponent = (h >> 10) & 31;
  const fraction = h & 1023;
  if (exponent === 0) return sign * fraction * 2 ** -24;
  if (exponent === 31) return fraction ? NaN : sign * Infinity;
  return sign * (1 + fraction / 1024) * 2 ** (exponent - 15);
}

export function cosine(a: Float32Array, b: Float32Array): number {
  let ab = 0, aa = 0, bb = 0;
  for (let i = 0; i < a.length; i++) {
    ab += a[i] * b[i];
    aa += a[i] * a[i];
    bb += b[i] * b[i];
  }
  return ab / Math.sqrt(aa * bb);
}

export function maxDifference(a: ArrayLike<number>, b: ArrayLike<number>): number {
  if (a.length !== b.length) return Infinity;
  let max = 0;
  for (let i = 0; i < a.length; i++) max = Math.max(max, Math.abs(a[i] - b[i]));
  return max;
}
