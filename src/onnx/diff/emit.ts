/**
 * Collects the nodes of the graph being written, for one of two places: a file of its own, which declares the forward's weights
 * (external ones by where they are), or a branch of the decoder's own file (branch.ts), where they are declared already.
 */
import { preciseNode } from '../precise';
import { ProtoWriter } from '../proto';
import { rewireNode, writeNode, writeTensor, writeValueInfo, type AttributeValue } from '../write';
import { F16, F32, F64, I64, MS, isFloat, type GNode, type Tape } from './ir';

/** Inputs and outputs of the whole file, and names within a branch, where the decoder's own names may stand outside. */
export const OUTSIDE = 'lab.back.';
const INSIDE = 'back.';

export type Attributes = Record<string, AttributeValue>;

export interface Port {
  name: string;
  elemType: number;
  shape: (number | string | null)[];
}

export class Emitter {
  readonly nodes: Uint8Array[] = [];
  readonly tensors: Uint8Array[] = [];
  readonly inputs: Port[] = [];
  readonly outputs: Port[] = [];
  private readonly declared = new Set<string>();
  private readonly pool = new Map<string, string>();
  private readonly emitted = new Set<GNode>();
  private counter = 0;

  constructor(
    readonly tape: Tape,
    readonly place: 'file' | 'branch',
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
    this.nodes.push(writeNode({ opType, inputs: inputs.map(this.wire), outputs: outputs.map(this.wire), attributes, domain: domain || undefined }));
  }

  /**
   * A node of the forward graph under other wires. Quantised products that round their activations are told not to: the rounding has no
   * derivative, and every device rounds in its own way (1.4 % between maps of a Qwen 3 on two of them).
   */
  clone(node: GNode, inputs: string[], outputs: string[]): void {
    if (!node.origin) return this.node(node.op, inputs, outputs, node.made, node.domain);
    inputs.forEach((name) => this.declare(name));
    const [from, to] = [inputs.map(this.wire), outputs.map(this.wire)];
    const wires = { inputs: (_: string, i: number) => from[i], outputs: (_: string, i: number) => to[i], name: to.find(Boolean) };
    const { bytes } = this.tape.model;
    const precise = preciseNode(bytes, node.origin);
    this.nodes.push(precise ? rewireNode(precise, { ...node.origin, range: { start: 0, end: precise.length } }, wires) : rewireNode(bytes, node.origin, wires));
  }

  /** What a tensor is called in the place written for. */
  readonly wire = (name: string): string => {
    if (this.place === 'file' || name === '' || this.tape.model.graph.initializers.has(name)) return name;
    return (this.inputs.some((input) => input.name === name) ? OUTSIDE : INSIDE) + name;
  };

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
      this.tensors.push(writeTensor(this.wire(name), I64, [values.length], BigInt64Array.from(values, BigInt)));
      return;
    }
    const tensor = this.tape.model.graph.initializers.get(name);
    if (tensor && this.place === 'file') this.tensors.push(this.tape.model.bytes.subarray(tensor.range.start, tensor.range.end));
  }

  /** A tensor of no elements: what a cache is before anything was read. */
  empty(name: string, elemType: number, dims: number[]): void {
    this.declared.add(name);
    this.tensors.push(writeTensor(this.wire(name), elemType, dims, new Float32Array(0)));
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
      this.tensors.push(make(this.wire(name)));
    }
    return name;
  }

  input(name: string, elemType: number, shape: Port['shape']): string {
    this.declared.add(name);
    this.inputs.push({ name, elemType, shape });
    return name;
  }
  output(name: string, elemType: number, shape: Port['shape']): void {
    this.outputs.push({ name, elemType, shape });
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
  /** Axes became an input of it with opset 18. */
  mean = (a: string, axes: number[]): string =>
    (this.tape.model.opsets.get('') ?? 0) < 18
      ? this.op('ReduceMean', [a], { axes: { ints: axes }, keepdims: { int: 1 } })
      : this.op('ReduceMean', [a, this.ints(axes)], { keepdims: { int: 1 } });
  softmax = (a: string): string => this.op('Softmax', [a], { axis: { int: -1 } });
  scale = (a: string, by: number, dtype: number): string => (by === 1 ? a : this.mul(a, this.scalar(by, dtype)));
  cast = (a: string, from: number, to: number): string => (from === to || from === 0 ? a : this.op('Cast', [a], { to: { int: to } }));

  /** What was collected as a file of its own, in the forward's opsets. */
  file(): Uint8Array {
    const { model } = this.tape;
    const graph = new ProtoWriter();
    for (const node of this.nodes) graph.bytes(1, node);
    graph.string(2, 'backward');
    for (const tensor of this.tensors) graph.bytes(5, tensor);
    for (const { name, elemType, shape } of this.inputs) graph.bytes(11, writeValueInfo(name, elemType, shape));
    for (const { name, elemType, shape } of this.outputs) graph.bytes(12, writeValueInfo(name, elemType, shape));
    const w = new ProtoWriter().uint(1, model.irVersion).string(2, 'differentiate').bytes(7, graph.done());
    for (const [domain, version] of new Map([[MS, 1], ...model.opsets])) w.bytes(8, new ProtoWriter().string(1, domain).uint(2, version).done());
    return w.done();
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
