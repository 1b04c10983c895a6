/**
 * The forward graph in the form the differentiation works on: topologically sorted, one operator per idea.
 *
 * `canonical` rewrites what would otherwise need a rule of its own: fused skip-norms become a sum and a norm (so that every residual
 * sum is an Add), opset-23 RMSNormalization and RotaryEmbedding become the ones every runtime has. Nothing here changes what the graph
 * computes, but for one thing: activations that a file rounds to 8 bits on the way (DynamicQuantizeLinear) are not rounded. A staircase has no
 * slope; what is differentiated is the model with its weights unpacked.
 */
import { OnnxError } from '../error';
import { growCaches } from '../kernels';
import { ProtoReader } from '../proto';
import type { AttributeValue } from '../write';
import type { OnnxModel, OnnxNode, OnnxTensor } from '../types';

export const MS = 'com.microsoft';
export const F32 = 1;
export const I64 = 7;
export const BOOL = 9;
export const F16 = 10;
export const F64 = 11;
export const BF16 = 16;
export const isFloat = (dtype: number): boolean => dtype === F32 || dtype === F16 || dtype === F64 || dtype === BF16;

export interface GNode {
  op: string;
  domain: string;
  inputs: string[];
  outputs: string[];
  /** The node in the file whose attributes are copied byte for byte; null for nodes made here. */
  origin: OnnxNode | null;
  /** Attributes of nodes made here. */
  made: Record<string, AttributeValue>;
}

export function intAttr(node: GNode, name: string, fallback: number): number {
  const own = node.made[name];
  if (own && 'int' in own) return own.int;
  return node.origin?.attributes.get(name)?.i ?? fallback;
}
export function floatAttr(node: GNode, name: string, fallback: number): number {
  const own = node.made[name];
  if (own && 'float' in own) return own.float;
  return node.origin?.attributes.get(name)?.f ?? fallback;
}
export function intsAttr(node: GNode, name: string): number[] | null {
  const own = node.made[name];
  if (own && 'ints' in own) return own.ints;
  return node.origin?.attributes.get(name)?.ints ?? null;
}
export const stringAttr = (node: GNode, name: string, fallback: string): string => node.origin?.attributes.get(name)?.s ?? fallback;

/** A graph with its constants: initialisers and the tensors of Constant nodes alike. */
export interface Tape {
  model: OnnxModel;
  nodes: GNode[];
  /** Tensor → index of the node that makes it. */
  producer: Map<string, number>;
  constants: Map<string, OnnxTensor>;
  /** int64 tensors made here. */
  ints: Map<string, number[]>;
}

/** An operator (or a shape of graph) for which there is no rule; the reader is told which. */
export class NoGradientError extends OnnxError {
  constructor(
    readonly operator: string,
    why: string,
  ) {
    super('unsupported', `Relevance is not available for this model: ${why}`);
  }
}

export function canonical(model: OnnxModel): Tape {
  const opset = model.opsets.get('') ?? 0;
  if (opset > 0 && opset < 13) throw new NoGradientError('opset', `the file uses opset ${opset}, and the rules start at 13.`);
  growCaches(model);
  const tape: Tape = { model, nodes: [], producer: new Map(), constants: new Map(model.graph.initializers), ints: new Map() };
  const made: GNode[] = [];
  for (const node of model.graph.nodes) {
    if (node.opType === 'Constant') {
      const value = node.attributes.get('value')?.t;
      if (value) tape.constants.set(node.outputs[0], value);
    }
    made.push(...canonicalNode(node, tape));
  }
  tape.nodes = sorted(made);
  tape.nodes.forEach((node, i) => node.outputs.forEach((name) => name && tape.producer.set(name, i)));
  return tape;
}

function canonicalNode(node: OnnxNode, tape: Tape): GNode[] {
  const { opType: op, domain, inputs } = node;
  const same: GNode = { op, domain, inputs: [...inputs], outputs: [...node.outputs], origin: node, made: {} };
  const out = (i: number, tag: string): string => node.outputs[i] || `${node.outputs[0]}/diff.${tag}`;
  if (op === 'SkipSimplifiedLayerNormalization' || op === 'SkipLayerNormalization') {
    const simplified = op === 'SkipSimplifiedLayerNormalization';
    const sum = out(3, 'sum');
    const bias = inputs[simplified ? 3 : 4];
    const nodes: GNode[] = [];
    const first = bias ? `${sum}/unbiased` : sum;
    nodes.push({ op: 'Add', domain: '', inputs: [inputs[0], inputs[1]], outputs: [first], origin: null, made: {} });
    if (bias) nodes.push({ op: 'Add', domain: '', inputs: [first, bias], outputs: [sum], origin: null, made: {} });
    const epsilon = node.attributes.get('epsilon')?.f ?? 1e-5;
    nodes.push(
      simplified
        ? norm('SimplifiedLayerNormalization', [sum, inputs[2]], [node.outputs[0]], epsilon)
        : norm('LayerNormalization', [sum, inputs[2], inputs[3] ?? ''], [node.outputs[0]], epsilon),
    );
    return nodes;
  }
  if (op === 'SimplifiedLayerNormalization' || op === 'RMSNormalization') {
    const axis = node.attributes.get('axis')?.i ?? -1;
    return [norm('SimplifiedLayerNormalization', [...inputs], [node.outputs[0]], node.attributes.get('epsilon')?.f ?? 1e-5, axis)];
  }
  if (op === 'LayerNormalization') {
    const axis = node.attributes.get('axis')?.i ?? -1;
    return [norm(op, [...inputs], [node.outputs[0]], node.attributes.get('epsilon')?.f ?? 1e-5, axis)];
  }
  if (op === 'RotaryEmbedding' && domain === '') {
    // Opset 23 has the places last and may do without them; the contrib operator is the same rotation with them second.
    if (!inputs[3]) throw new NoGradientError(op, 'it uses RotaryEmbedding without positions, and there is no rule for that.');
    const made = Object.fromEntries(['interleaved', 'num_heads', 'rotary_embedding_dim'].map((name) => [name, { int: node.attributes.get(name)?.i ?? 0 }]));
    return [{ op, domain: MS, inputs: [inputs[0], inputs[3], inputs[1], inputs[2]], outputs: [...node.outputs], origin: null, made }];
  }
  if (op === 'DynamicQuantizeLinear') {
    // x, which stands for (x8 − zero) · scale, as it is: its scale is 1.
    tape.ints.set('diff.one', [1]);
    return [plain('Identity', [inputs[0]], node.outputs[0]), plain('Cast', ['diff.one'], node.outputs[1], { to: { int: F32 } })];
  }
  if (op === 'MatMulInteger') {
    // The zero point of the first input went with its rounding; scales are multiplied in by the file's own nodes.
    const [bytes, zero, weights] = ['bytes', 'zero', 'weights'].map((tag) => `${node.outputs[0]}/diff.${tag}`);
    const float = (from: string, to: string): GNode => plain('Cast', [from], to, { to: { int: F32 } });
    const unpacked = inputs[3] ? [float(inputs[1], bytes), float(inputs[3], zero), plain('Sub', [bytes, zero], weights)] : [float(inputs[1], weights)];
    return [...unpacked, plain('MatMul', [inputs[0], weights], node.outputs[0])];
  }
  return [same];
}

const plain = (op: string, inputs: string[], output: string, made: GNode['made'] = {}): GNode => ({ op, domain: '', inputs, outputs: [output], origin: null, made });

function norm(op: string, inputs: string[], outputs: string[], epsilon: number, axis = -1): GNode {
  const made = { axis: { int: axis }, epsilon: { float: epsilon }, stash_type: { int: 1 } };
  while (inputs[inputs.length - 1] === '') inputs.pop();
  return { op, domain: '', inputs, outputs, origin: null, made };
}

/** Files need not list nodes in order; everything after this does. */
function sorted(nodes: GNode[]): GNode[] {
  const producer = new Map<string, number>();
  nodes.forEach((node, i) => node.outputs.forEach((name) => name && producer.set(name, i)));
  const out: GNode[] = [];
  const state = new Uint8Array(nodes.length);
  for (let root = 0; root < nodes.length; root++) {
    const stack = [root];
    while (stack.length > 0) {
      const i = stack[stack.length - 1];
      if (state[i] === 2) {
        stack.pop();
        continue;
      }
      const waiting = nodes[i].inputs.map((name) => producer.get(name)).filter((p): p is number => p !== undefined && state[p] !== 2);
      if (waiting.length === 0) {
        state[i] = 2;
        out.push(nodes[i]);
        stack.pop();
      } else if (state[i] === 1) {
        throw new OnnxError('broken', 'This ONNX graph has a cycle.');
      } else {
        state[i] = 1;
        stack.push(...waiting);
      }
    }
  }
  return out;
}

/** The numbers of a small constant (shapes, axes, epsilons), or null when it is none. */
export function constantValues(tape: Tape, name: string): number[] | null {
  const made = tape.ints.get(name);
  if (made) return made;
  const tensor = tape.constants.get(name);
  if (!tensor) return null;
  const count = tensor.dims.reduce((a, b) => a * b, 1);
  if (count > 256) return null;
  if (tensor.data.kind === 'external') return null;
  if (tensor.data.kind === 'typed') return typedValues(tape.model.bytes, tensor, count);
  const { start, end } = tensor.data.range;
  const view = new DataView(tape.model.bytes.buffer, tape.model.bytes.byteOffset + start, end - start);
  switch (tensor.dataType) {
    case F32:
      return Array.from({ length: count }, (_, i) => view.getFloat32(4 * i, true));
    case F64:
      return Array.from({ length: count }, (_, i) => view.getFloat64(8 * i, true));
    case I64:
      return Array.from({ length: count }, (_, i) => Number(view.getBigInt64(8 * i, true)));
    case 6:
      return Array.from({ length: count }, (_, i) => view.getInt32(4 * i, true));
    case BOOL:
      return Array.from({ length: count }, (_, i) => view.getUint8(i));
    case F16:
      return Array.from({ length: count }, (_, i) => fromHalf(view.getUint16(2 * i, true)));
    default:
      return null;
  }
}

function typedValues(bytes: Uint8Array, tensor: OnnxTensor, count: number): number[] | null {
  const out: number[] = [];
  const r = new ProtoReader(bytes, tensor.range);
  while (r.next()) {
    if (r.field === 5 || r.field === 7) r.ints(out);
    else if (r.field === 4) {
      const view = new DataView(bytes.buffer, bytes.byteOffset + r.start, r.end - r.start);
      for (let at = 0; at + 4 <= view.byteLength; at += 4) out.push(view.getFloat32(at, true));
    }
  }
  if (out.length !== count) return null;
  // float16 values are kept in int32_data as their bits.
  return tensor.dataType === F16 ? out.map(fromHalf) : out;
}

export function fromHalf(bits: number): number {
  const sign = bits & 0x8000 ? -1 : 1;
  const exponent = (bits >> 10) & 0x1f;
  const fraction = bits & 0x3ff;
  if (exponent === 0) return sign * fraction * 2 ** -24;
  if (exponent === 31) return fraction ? NaN : sign * Infinity;
  return sign * (1 + fraction / 1024) * 2 ** (exponent - 15);
}
