/**
 * Random Llama-shaped models as onnxruntime-genai's builder writes them, of any size, without Python: only speed is measured
 * on them. Weights are streamed to the file, so that half a gigabyte of them is never held.
 */
import { closeSync, openSync, writeSync } from 'node:fs';
import { ProtoWriter, varint } from '../../src/onnx/proto';
import { FLOAT, INT64, writeNode, writeTensor, writeValueInfo, type AttributeValue } from '../../src/onnx/write';

export interface Shape {
  layers: number;
  width: number;
  heads: number;
  kvHeads: number;
  headDim: number;
  inner: number;
  vocab: number;
  positions: number;
}

/** The bundled models' shape, for a tree that does not have them yet. */
export const PASSAGE: Shape = { layers: 8, width: 160, heads: 5, kvHeads: 5, headDim: 32, inner: 384, vocab: 7680, positions: 512 };
export const SMOLLM2_135M: Shape = { layers: 30, width: 576, heads: 9, kvHeads: 3, headDim: 64, inner: 1536, vocab: 49152, positions: 2048 };
/** About 400 MB in 32-bit floats. */
export const FOUR_HUNDRED: Shape = { ...SMOLLM2_135M, layers: 28, vocab: 1024 };
/** Qwen2.5-0.5B's blocks with a small vocabulary. */
export const WIDE: Shape = { layers: 24, width: 896, heads: 14, kvHeads: 2, headDim: 64, inner: 4864, vocab: 8192, positions: 1024 };

const UINT8 = 2;
const INT32 = 6;
const BLOCK = 32;

/** A piece of the file: bytes as they are, or so many bytes of noise. */
type Piece = Uint8Array | { noise: Uint8Array; length: number; offset: number };
const lengthOf = (piece: Piece): number => piece.length;

/** Writes one self-contained .onnx file and returns its size. */
export function writeModel(path: string, shape: Shape, dtype: 'fp32' | 'q4'): number {
  const g = new RandomGraph(shape, dtype);
  const graph = g.pieces();
  const length = graph.reduce((sum, piece) => sum + lengthOf(piece), 0);
  const head = new ProtoWriter().uint(1, 10).string(2, 'bench').raw(Uint8Array.of((7 << 3) | 2)).raw(varint(length)).done();
  const opsets = new ProtoWriter()
    .bytes(8, new ProtoWriter().uint(2, 22).done())
    .bytes(8, new ProtoWriter().string(1, 'com.microsoft').uint(2, 1).done())
    .done();
  const file = openSync(path, 'w');
  let size = 0;
  for (const piece of [head, ...graph, opsets]) size += writePiece(file, piece);
  closeSync(file);
  return size;
}

function writePiece(file: number, piece: Piece): number {
  if (piece instanceof Uint8Array) return writeSync(file, piece);
  const { noise, length, offset } = piece;
  for (let done = 0; done < length; ) {
    const from = (offset + done) % noise.length;
    done += writeSync(file, noise, from, Math.min(noise.length - from, length - done));
  }
  return length;
}

class RandomGraph {
  private readonly nodes: Uint8Array[] = [];
  private readonly weights: Piece[] = [];
  private readonly random = generator(12345);
  /** Both a prime number of blocks long, so that no two tensors repeat in step. */
  private readonly floats = new Uint8Array(Float32Array.from({ length: 999_983 }, () => (this.random() - 0.5) * 0.07).buffer);
  private readonly nibbles = Uint8Array.from({ length: 999_983 }, () => this.random() * 256);

  constructor(
    private readonly s: Shape,
    private readonly dtype: 'fp32' | 'q4',
  ) {}

  pieces(): Piece[] {
    const { s } = this;
    this.mask();
    this.noise('embed', FLOAT, [s.vocab, s.width]);
    this.node('Gather', ['embed', 'input_ids'], ['h.0']);
    this.rotary();
    this.ones('norm.0');
    this.node('SimplifiedLayerNormalization', ['h.0', 'norm.0'], ['normed.0'], { epsilon: { float: 1e-5 }, axis: { int: -1 }, stash_type: { int: 1 } });
    for (let l = 0; l < s.layers; l++) this.block(l);
    this.product(`normed.${s.layers}`, 'lm_head', s.width, s.vocab, 'logits');

    const w = new ProtoWriter();
    for (const node of this.nodes) w.bytes(1, node);
    w.string(2, 'main');
    const ports = new ProtoWriter();
    const ids = ['batch_size', 'sequence_length'];
    ports.bytes(11, writeValueInfo('input_ids', INT64, ids)).bytes(11, writeValueInfo('attention_mask', INT64, ['batch_size', 'total_sequence_length']));
    ports.bytes(12, writeValueInfo('logits', FLOAT, [...ids, s.vocab]));
    for (let l = 0; l < s.layers; l++)
      for (const part of ['key', 'value']) {
        const cache = (length: string): (string | number)[] => ['batch_size', s.kvHeads, length, s.headDim];
        ports.bytes(11, writeValueInfo(`past_key_values.${l}.${part}`, FLOAT, cache('past_sequence_length')));
        ports.bytes(12, writeValueInfo(`present.${l}.${part}`, FLOAT, cache('total_sequence_length')));
      }
    return [w.done(), ...this.weights, ports.done()];
  }

  private block(l: number): void {
    const { s } = this;
    const at = `layers.${l}`;
    const q = s.heads * s.headDim;
    const kv = s.kvHeads * s.headDim;
    this.product(`normed.${l}`, `${at}.qkv`, s.width, q + 2 * kv, `${at}.qkv_out`);
    this.node(
      'GroupQueryAttention',
      [`${at}.qkv_out`, '', '', `past_key_values.${l}.key`, `past_key_values.${l}.value`, 'seqlens_k', 'total_length', 'cos_cache', 'sin_cache'],
      [`${at}.attn`, `present.${l}.key`, `present.${l}.value`],
      {
        num_heads: { int: s.heads },
        kv_num_heads: { int: s.kvHeads },
        scale: { float: s.headDim ** -0.5 },
        local_window_size: { int: -1 },
        softcap: { float: 0 },
        do_rotary: { int: 1 },
        rotary_interleaved: { int: 0 },
      },
      'com.microsoft',
    );
    this.product(`${at}.attn`, `${at}.o`, q, s.width, `${at}.o_out`);
    this.skipNorm(`h.${l}`, `${at}.o_out`, `${at}.post_norm`, `${at}.mlp_in`, `${at}.middle`);
    this.product(`${at}.mlp_in`, `${at}.gate`, s.width, s.inner, `${at}.gate_out`);
    this.product(`${at}.mlp_in`, `${at}.up`, s.width, s.inner, `${at}.up_out`);
    this.node('Sigmoid', [`${at}.gate_out`], [`${at}.sigmoid`]);
    this.node('Mul', [`${at}.gate_out`, `${at}.sigmoid`], [`${at}.silu`]);
    this.node('Mul', [`${at}.silu`, `${at}.up_out`], [`${at}.mixed`]);
    this.product(`${at}.mixed`, `${at}.down`, s.inner, s.width, `${at}.down_out`);
    this.skipNorm(`${at}.middle`, `${at}.down_out`, `norm.${l + 1}`, `normed.${l + 1}`, l + 1 < s.layers ? `h.${l + 1}` : null);
  }

  private skipNorm(skip: string, input: string, weight: string, normed: string, sum: string | null): void {
    this.ones(weight);
    const outputs = sum === null ? [normed] : [normed, '', '', sum];
    this.node('SkipSimplifiedLayerNormalization', [skip, input, weight], outputs, { epsilon: { float: 1e-5 } }, 'com.microsoft');
  }

  /** How the builder turns the attention mask into GroupQueryAttention's two lengths. */
  private mask(): void {
    const constant = (name: string, dims: number[]): void => {
      this.nodes.push(writeNode({ opType: 'Constant', inputs: [], outputs: [name], attributes: { value: { tensor: writeTensor(name, INT64, dims, BigInt64Array.of(1n)) } } }));
    };
    constant('one_1d', [1]);
    constant('one', []);
    this.node('ReduceSum', ['attention_mask', 'one_1d'], ['mask_sum'], { keepdims: { int: 0 } });
    this.node('Sub', ['mask_sum', 'one_1d'], ['seqlens_64']);
    this.node('Cast', ['seqlens_64'], ['seqlens_k'], { to: { int: INT32 } });
    this.node('Shape', ['attention_mask'], ['mask_shape']);
    this.node('Gather', ['mask_shape', 'one'], ['total_64'], { axis: { int: 0 } });
    this.node('Cast', ['total_64'], ['total_length'], { to: { int: INT32 } });
  }

  private rotary(): void {
    const { positions, headDim } = this.s;
    const half = headDim / 2;
    const angle = (i: number): number => Math.floor(i / half) * 10000 ** (-(i % half) / half);
    for (const [name, f] of [['cos_cache', Math.cos], ['sin_cache', Math.sin]] as const)
      this.tensor(writeTensor(name, FLOAT, [positions, half], Float32Array.from({ length: positions * half }, (_, i) => f(angle(i)))));
  }

  private product(input: string, weight: string, from: number, to: number, output: string): void {
    if (this.dtype === 'fp32') {
      this.noise(weight, FLOAT, [from, to]);
      this.node('MatMul', [input, weight], [output]);
      return;
    }
    const blocks = from / BLOCK;
    this.noise(`${weight}_Q4`, UINT8, [to, blocks, BLOCK / 2]);
    this.tensor(writeTensor(`${weight}_scales`, FLOAT, [to, blocks], new Float32Array(to * blocks).fill(0.0045)));
    const attributes = { K: { int: from }, N: { int: to }, accuracy_level: { int: 4 }, bits: { int: 4 }, block_size: { int: BLOCK } };
    this.node('MatMulNBits', [input, `${weight}_Q4`, `${weight}_scales`], [output], attributes, 'com.microsoft');
  }

  private node(opType: string, inputs: string[], outputs: string[], attributes: Record<string, AttributeValue> = {}, domain?: string): void {
    const node = writeNode({ opType, inputs, outputs, attributes, ...(domain ? { domain } : {}) });
    // Named like no tensor; of a field that is there twice the last one counts.
    this.nodes.push(new ProtoWriter().raw(node).string(3, `node_${this.nodes.length}`).done());
  }

  private ones(name: string): void {
    this.tensor(writeTensor(name, FLOAT, [this.s.width], new Float32Array(this.s.width).fill(1)));
  }

  private tensor(proto: Uint8Array): void {
    this.weights.push(new ProtoWriter().bytes(5, proto).done());
  }

  private noise(name: string, type: number, dims: number[]): void {
    const length = dims.reduce((a, b) => a * b) * (type === FLOAT ? 4 : 1);
    const w = new ProtoWriter();
    for (const d of dims) w.int(1, d);
    const header = w.uint(2, type).string(8, name).raw(Uint8Array.of((9 << 3) | 2)).raw(varint(length)).done();
    const noise = type === FLOAT ? this.floats : this.nibbles;
    const offset = Math.floor(this.random() * 999_983) * (type === FLOAT ? 4 : 1);
    this.weights.push(new ProtoWriter().raw(Uint8Array.of((5 << 3) | 2)).raw(varint(header.length + length)).raw(header).done(), { noise, length, offset });
  }
}

/** mulberry32: the same model on every run. */
function generator(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}
