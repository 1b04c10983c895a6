/** Writes the pieces of a graph: nodes, tensors, value infos. Field numbers are those of onnx.proto3. */
import { ProtoReader, ProtoWriter } from './proto';
import type { ByteRange, OnnxNode, OnnxValueInfo } from './types';

export const FLOAT = 1;
export const INT64 = 7;
export const BOOL = 9;
export const FLOAT16 = 10;

export type AttributeValue = { int: number } | { float: number } | { ints: number[] } | { tensor: Uint8Array } | { graph: Uint8Array };

export interface NodeSpec {
  opType: string;
  inputs: string[];
  outputs: string[];
  domain?: string;
  attributes?: Record<string, AttributeValue>;
  /** Default: its first output's. */
  name?: string;
}

/** AttributeProto.type of each kind. */
const ATTRIBUTE_TYPE = { float: 1, int: 2, tensor: 4, graph: 5, ints: 7 } as const;

export function writeNode({ opType, inputs, outputs, domain, attributes = {}, name: own }: NodeSpec): Uint8Array {
  const w = new ProtoWriter();
  for (const name of inputs) w.string(1, name);
  for (const name of outputs) w.string(2, name);
  // Profilers and error messages name nodes; the first output is as good a name as any and is unique.
  w.string(3, own ?? outputs[0]).string(4, opType);
  for (const [name, value] of Object.entries(attributes)) w.bytes(5, writeAttribute(name, value));
  if (domain) w.string(7, domain);
  return w.done();
}

function writeAttribute(name: string, value: AttributeValue): Uint8Array {
  const w = new ProtoWriter().string(1, name);
  if ('float' in value) return w.float(2, value.float).uint(20, ATTRIBUTE_TYPE.float).done();
  if ('int' in value) return w.int(3, value.int).uint(20, ATTRIBUTE_TYPE.int).done();
  if ('tensor' in value) return w.bytes(5, value.tensor).uint(20, ATTRIBUTE_TYPE.tensor).done();
  if ('graph' in value) return w.bytes(6, value.graph).uint(20, ATTRIBUTE_TYPE.graph).done();
  for (const i of value.ints) w.int(8, i);
  return w.uint(20, ATTRIBUTE_TYPE.ints).done();
}

/** The same node under other wires: attributes and everything else are copied byte for byte. */
export function rewireNode(
  bytes: Uint8Array,
  node: OnnxNode,
  wires: { inputs?: (name: string, index: number) => string; outputs?: (name: string, index: number) => string; name?: string },
): Uint8Array {
  const w = new ProtoWriter();
  node.inputs.forEach((name, i) => w.string(1, wires.inputs ? wires.inputs(name, i) : name));
  node.outputs.forEach((name, i) => w.string(2, wires.outputs ? wires.outputs(name, i) : name));
  w.string(3, wires.name ?? node.name);
  const r = new ProtoReader(bytes, node.range);
  while (r.next()) if (r.field > 3) w.raw(bytes.subarray(r.fieldStart, r.end));
  return w.done();
}

export function writeTensor(name: string, dataType: number, dims: number[], data: Float32Array | BigInt64Array): Uint8Array {
  const w = new ProtoWriter();
  for (const d of dims) w.int(1, d);
  return w
    .uint(2, dataType)
    .string(8, name)
    .bytes(9, new Uint8Array(data.buffer, data.byteOffset, data.byteLength))
    .done();
}

export function writeExternalTensor(name: string, dataType: number, dims: readonly number[], location: string, at: ByteRange): Uint8Array {
  const w = new ProtoWriter();
  for (const d of dims) w.int(1, d);
  w.uint(2, dataType).string(8, name);
  for (const [key, value] of [['location', location], ['offset', String(at.start)], ['length', String(at.end - at.start)]]) {
    w.bytes(13, new ProtoWriter().string(1, key).string(2, value).done());
  }
  return w.uint(14, 1).done();
}

/** Without a type the runtime infers one, which for outputs is all that is needed. */
export function writeValueInfo(name: string, elemType?: number, shape?: OnnxValueInfo['shape']): Uint8Array {
  const w = new ProtoWriter().string(1, name);
  if (elemType === undefined) return w.done();
  const tensor = new ProtoWriter().uint(1, elemType);
  if (shape) {
    const dims = new ProtoWriter();
    for (const d of shape) {
      const dim = new ProtoWriter();
      if (typeof d === 'number') dim.int(1, d);
      else if (d !== null) dim.string(2, d);
      dims.bytes(1, dim.done());
    }
    tensor.bytes(2, dims.done());
  }
  return w.bytes(2, new ProtoWriter().bytes(1, tensor.done()).done()).done();
}

export function writeGraph(name: string, nodes: Uint8Array[], outputs: Uint8Array[]): Uint8Array {
  const w = new ProtoWriter();
  for (const node of nodes) w.bytes(1, node);
  w.string(2, name);
  for (const output of outputs) w.bytes(12, output);
  return w.done();
}
