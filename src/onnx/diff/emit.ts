/**
 * Collects the nodes of the model being written. Weights of the forward file are declared, never copied: a second graph over the
 * same bytes. Small tensors (shapes, norm weights) are copied, because shape inference reads them before external data is there.
 */
import { preciseNode } from '../precise';
import { ProtoWriter } from '../proto';
import type { ByteRange, OnnxTensor } from '../types';
import { rewireNode, writeExternalTensor, writeNode, writeTensor, writeValueInfo, type AttributeValue } from '../write';
import { F16, F32, F64, I64, MS, isFloat, type GNode, type Tape } from './ir';

const KEEP_INSIDE = 1024;
/** TensorProto.DataType of the packed views on quantised bytes. */
export const UINT4 = 21;
export const UINT8 = 2;

export type Attributes = Record<string, AttributeValue>;

export class Emitter {
  private readonly nodes: Uint8Array[] = [];
  private readonly tensors: Uint8Array[] = [];
  private readonly inputs: Uint8Array[] = [];
  private readonly outputs: Uint8Array[] = [];
  private readonly declared = new Set<string>();
  private readonly pool = new Map<string, string>();
  private readonly emitted = new Set<GNode>();
  private counter = 0;
  /** Bytes the session needs beside the forward file's own (zero points the file leaves implicit). */
  private extra = 0;
  usesSelf = false;
  nodeCount = 0;

  constructor(
    readonly tape: Tape,
    /** Under which path the forward file itself is given to the session, when weights are inside it. */
    readonly selfPath: string,
    readonly extraPath: string,
  ) {}

  fresh(tag: string): string {
    return `diff.${this.counter++}.${tag}`;
  }

  /** One node, one output. */
  op(opType: string, inputs: string[], attributes: Attributes = {}, domain = ''): string {
    return this.ops(opType, inputs, 1, attributes, domain)[0];
  }

  ops(opType: string, inputs: string[], count: number, attributes: Attributes = {}, domain = ''): string[] {
    const outputs = Array.from({ length: count }, () => this.fresh(opType));
    this.node(opType, inputs, outputs, attributes, domain);
    return outputs;
  }

  node(opType: string, inputs: string[], outputs: string[], attributes: Attributes = {}, domain = ''): void {
    inputs.forEach((name) => this.declare(name));
    this.nodes.push(writeNode({ opType, inputs, outputs, attributes, domain: domain || undefined }));
    this.nodeCount++;
  }

  /**
   * A node of the forward graph under other wires. Quantised products that round their activations are told not to: the rounding has no
   * derivative, and every device rounds in its own way (1.4 % between maps of a Qwen 3 on two of them).
   */
  clone(node: GNode, inputs: string[], outputs: string[]): void {
    if (!node.origin) return this.node(node.op, inputs, outputs, node.made, node.domain);
    inputs.forEach((name) => this.declare(name));
    const wires = { inputs: (_: string, i: number) => inputs[i], outputs: (_: string, i: number) => outputs[i], name: outputs.find(Boolean) };
    const { bytes } = this.tape.model;
    const precise = preciseNode(bytes, node.origin);
    this.nodes.push(precise ? rewireNode(precise, { ...node.origin, range: { start: 0, end: precise.length } }, wires) : rewireNode(bytes, node.origin, wires));
    this.nodeCount++;
  }

  /** Makes sure a tensor of the forward graph exists here, with everything it is computed from; returns its name. */
  forward(name: string): string {
    const { producer, nodes } = this.tape;
    const stack: string[] = [name];
    while (stack.length > 0) {
      const at = producer.get(stack[stack.length - 1]);
      const node = at === undefined ? undefined : nodes[at];
      if (!node || this.emitted.has(node)) {
        stack.pop();
        continue;
      }
      const waiting = node.inputs.filter((input) => {
        const p = producer.get(input);
        return input !== '' && p !== undefined && !this.emitted.has(nodes[p]);
      });
      if (waiting.length > 0) {
        stack.push(...waiting);
        continue;
      }
      this.emitted.add(node);
      this.clone(node, node.inputs, node.outputs);
      stack.pop();
    }
    this.declare(name);
    return name;
  }

  private declare(name: string): void {
    if (name === '' || this.declared.has(name)) return;
    this.declared.add(name);
    const values = this.tape.ints.get(name);
    if (values) {
      this.tensors.push(writeTensor(name, I64, [values.length], BigInt64Array.from(values, BigInt)));
      return;
    }
    const tensor = this.tape.model.graph.initializers.get(name);
    if (tensor) this.tensors.push(this.header(tensor));
  }

  private header(tensor: OnnxTensor): Uint8Array {
    const { bytes } = this.tape.model;
    if (tensor.data.kind === 'raw' && tensor.data.range.end - tensor.data.range.start >= KEEP_INSIDE) {
      this.usesSelf = true;
      return writeExternalTensor(tensor.name, tensor.dataType, tensor.dims, this.selfPath, tensor.data.range);
    }
    return bytes.subarray(tensor.range.start, tensor.range.end);
  }

  /** A second tensor over the bytes of an initialiser, with another type or shape. */
  view(tensor: OnnxTensor, dataType: number, dims: number[]): string {
    const name = `diff.view.${dataType}.${dims.join('x')}.${tensor.name}`;
    if (this.declared.has(name)) return name;
    this.declared.add(name);
    const { data } = tensor;
    if (data.kind === 'external') {
      this.tensors.push(writeExternalTensor(name, dataType, dims, data.location, { start: data.offset, end: data.offset + data.length }));
    } else if (data.kind === 'raw') {
      if (data.range.end - data.range.start >= KEEP_INSIDE) {
        this.usesSelf = true;
        this.tensors.push(writeExternalTensor(name, dataType, dims, this.selfPath, data.range));
      } else this.tensors.push(rawTensor(name, dataType, dims, this.bytesOf(data.range)));
    } else {
      throw new Error(`${tensor.name}: packed weights kept as numbers`);
    }
    return name;
  }

  bytesOf(range: ByteRange): Uint8Array {
    return this.tape.model.bytes.subarray(range.start, range.end);
  }

  /** A tensor of `length` equal bytes in the extra file; all of them share its beginning. */
  filled(dataType: number, dims: number[], length: number): string {
    const name = `diff.filled.${dataType}.${dims.join('x')}`;
    if (this.declared.has(name)) return name;
    this.declared.add(name);
    this.extra = Math.max(this.extra, length);
    this.tensors.push(writeExternalTensor(name, dataType, dims, this.extraPath, { start: 0, end: length }));
    return name;
  }

  /** int64 constants; equal ones share a tensor. */
  ints(values: number[], scalar = false): string {
    const key = `i${scalar ? 's' : ''}${values.join('_')}`;
    return this.pooled(key, (name) => writeTensor(name, I64, scalar ? [] : [values.length], BigInt64Array.from(values, BigInt)));
  }

  /** A scalar of a float type. */
  scalar(value: number, dtype: number): string {
    return this.pooled(`f${dtype}_${value}`, (name) => {
      if (dtype === F32) return writeTensor(name, F32, [], Float32Array.of(value));
      if (dtype === F64) return rawTensor(name, F64, [], new Uint8Array(Float64Array.of(value).buffer));
      if (dtype === F16) return rawTensor(name, F16, [], new Uint8Array(Uint16Array.of(toHalf(value)).buffer));
      throw new Error(`no scalar of type ${dtype}`);
    });
  }

  private pooled(key: string, make: (name: string) => Uint8Array): string {
    let name = this.pool.get(key);
    if (!name) {
      name = `diff.const.${key}`;
      this.pool.set(key, name);
      this.declared.add(name);
      this.tensors.push(make(name));
    }
    return name;
  }

  input(name: string, elemType: number, shape: (number | string | null)[]): string {
    this.declared.add(name);
    this.inputs.push(writeValueInfo(name, elemType, shape));
    return name;
  }
  output(name: string, elemType?: number, shape?: (number | string | null)[]): void {
    this.outputs.push(writeValueInfo(name, elemType, shape));
  }

  // Arithmetic by name: rules read like formulas.
  add = (a: string, b: string): string => this.op('Add', [a, b]);
  sub = (a: string, b: string): string => this.op('Sub', [a, b]);
  mul = (a: string, b: string): string => this.op('Mul', [a, b]);
  div = (a: string, b: string): string => this.op('Div', [a, b]);
  neg = (a: string): string => this.op('Neg', [a]);
  matmul = (a: string, b: string): string => this.op('MatMul', [a, b]);
  transpose = (a: string, perm: number[]): string => this.op('Transpose', [a], { perm: { ints: perm } });
  reshape = (a: string, shape: number[]): string => this.op('Reshape', [a, this.ints(shape)]);
  sum = (a: string, axes: number[], keep = true): string => this.op('ReduceSum', [a, this.ints(axes)], { keepdims: { int: keep ? 1 : 0 } });
  mean = (a: string, axes: number[]): string => this.op('ReduceMean', [a, this.ints(axes)], { keepdims: { int: 1 } });
  softmax = (a: string): string => this.op('Softmax', [a], { axis: { int: -1 } });
  scale = (a: string, by: number, dtype: number): string => (by === 1 ? a : this.mul(a, this.scalar(by, dtype)));
  cast = (a: string, from: number, to: number): string => (from === to || from === 0 ? a : this.op('Cast', [a], { to: { int: to } }));

  build(): { bytes: Uint8Array; extra: Uint8Array | null } {
    const { model } = this.tape;
    const graph = new ProtoWriter();
    for (const node of this.nodes) graph.bytes(1, node);
    graph.string(2, 'backward');
    for (const tensor of this.tensors) graph.bytes(5, tensor);
    for (const input of this.inputs) graph.bytes(11, input);
    for (const output of this.outputs) graph.bytes(12, output);
    // Blockwise DequantizeLinear needs opset 21; what older files mean differently is rewritten in ir.ts.
    const opsets = new Map(model.opsets).set('', Math.max(21, model.opsets.get('') ?? 0));
    if (!opsets.has(MS)) opsets.set(MS, 1);
    const w = new ProtoWriter().uint(1, Math.max(10, model.irVersion)).string(2, 'differentiate');
    w.bytes(7, graph.done());
    for (const [domain, version] of opsets) w.bytes(8, new ProtoWriter().string(1, domain).uint(2, version).done());
    // Two packed zero points of 8 in every byte.
    return { bytes: w.done(), extra: this.extra > 0 ? new Uint8Array(this.extra).fill(0x88) : null };
  }
}

export function rawTensor(name: string, dataType: number, dims: number[], raw: Uint8Array): Uint8Array {
  const w = new ProtoWriter();
  for (const d of dims) w.int(1, d);
  return w.uint(2, dataType).string(8, name).bytes(9, raw).done();
}

export function toHalf(value: number): number {
  const f = new DataView(new ArrayBuffer(4));
  f.setFloat32(0, value);
  const bits = f.getUint32(0);
  const sign = (bits >>> 16) & 0x8000;
  const exponent = ((bits >>> 23) & 0xff) - 112;
  const fraction = bits & 0x7fffff;
  if (Number.isNaN(value)) return 0x7e00;
  if (exponent >= 31) return sign | 0x7c00;
  if (exponent <= 0) return exponent < -10 ? sign : sign | (((fraction | 0x800000) + (1 << (13 - exponent))) >> (14 - exponent));
  return (sign | (exponent << 10)) + ((fraction + 0xfff + ((fraction >> 13) & 1)) >> 13);
}

export { isFloat };
