/**
 * Reads the bytes of an .onnx file into plain data.  Weights are skipped by length, so a 400 MB file takes milliseconds; every
 * node, tensor and value keeps the range of bytes it came from, which is how `edit.ts` can rebuild a file around them.
 * Field numbers are those of onnx.proto3.
 */
import { OnnxError } from './error';
import { BYTES, ProtoReader } from './proto';
import type { ByteRange, OnnxAttribute, OnnxGraph, OnnxModel, OnnxNode, OnnxTensor, OnnxValueInfo } from './types';

/** Bits per element of TensorProto.DataType, where the lab needs to check or move such tensors. */
const BITS: Record<number, number> = {
  1: 32, 2: 8, 3: 8, 4: 16, 5: 16, 6: 32, 7: 64, 9: 8, 10: 16, 11: 64, 12: 32, 13: 64, 16: 16, 17: 8, 18: 8, 19: 8, 20: 8, 21: 4, 22: 4,
};

/** Bytes a tensor's raw data takes; null for types without a fixed size (strings). */
export function tensorBytes(dataType: number, dims: readonly number[]): number | null {
  const bits = BITS[dataType];
  return bits === undefined ? null : Math.ceil((dims.reduce((a, b) => a * b, 1) * bits) / 8);
}

/** Throws OnnxError('broken') on anything that is not a sound ONNX file; never reads outside `bytes`, never copies a weight. */
export function readModel(bytes: Uint8Array): OnnxModel {
  const model: OnnxModel = {
    bytes,
    irVersion: 0,
    producer: '',
    opsets: new Map(),
    graph: { name: '', nodes: [], initializers: new Map(), inputs: [], outputs: [], valueInfo: new Map() },
  };
  let graphs = 0;
  const r = new ProtoReader(bytes);
  while (r.next()) {
    switch (r.field) {
      case 1:
        model.irVersion = r.uint();
        break;
      case 2:
        model.producer = r.string();
        break;
      case 7:
        // Protobuf merges repeated occurrences of a message field, and so does this.
        readGraph(bytes, r.range(), model.graph);
        graphs++;
        break;
      case 8: {
        const { domain, version } = readOpset(bytes, r.range());
        model.opsets.set(domain, version);
        break;
      }
    }
  }
  if (graphs === 0 || model.graph.nodes.length === 0) throw new OnnxError('broken', 'This file holds no ONNX graph.');
  return model;
}

function readOpset(bytes: Uint8Array, range: ByteRange): { domain: string; version: number } {
  const out = { domain: '', version: 0 };
  const r = new ProtoReader(bytes, range);
  while (r.next()) {
    if (r.field === 1) out.domain = r.string();
    else if (r.field === 2) out.version = r.uint();
  }
  // 'ai.onnx' is the default domain's other name.
  if (out.domain === 'ai.onnx') out.domain = '';
  return out;
}

function readGraph(bytes: Uint8Array, range: ByteRange, graph: OnnxGraph): void {
  const r = new ProtoReader(bytes, range);
  while (r.next()) {
    switch (r.field) {
      case 1:
        graph.nodes.push(readNode(bytes, r.range()));
        break;
      case 2:
        graph.name = r.string();
        break;
      case 5: {
        const tensor = readTensor(bytes, r.range());
        if (graph.initializers.has(tensor.name)) throw r.broken(`a second tensor called "${tensor.name}"`);
        graph.initializers.set(tensor.name, tensor);
        break;
      }
      case 11:
        graph.inputs.push(readValueInfo(bytes, r.range()));
        break;
      case 12:
        graph.outputs.push(readValueInfo(bytes, r.range()));
        break;
      case 13: {
        const info = readValueInfo(bytes, r.range());
        graph.valueInfo.set(info.name, info);
        break;
      }
    }
  }
}

function readNode(bytes: Uint8Array, range: ByteRange): OnnxNode {
  const node: OnnxNode = { name: '', opType: '', domain: '', inputs: [], outputs: [], attributes: new Map(), range };
  const r = new ProtoReader(bytes, range);
  while (r.next()) {
    switch (r.field) {
      case 1:
        node.inputs.push(r.string());
        break;
      case 2:
        node.outputs.push(r.string());
        break;
      case 3:
        node.name = r.string();
        break;
      case 4:
        node.opType = r.string();
        break;
      case 5: {
        const attribute = readAttribute(bytes, r.range());
        node.attributes.set(attribute.name, attribute);
        break;
      }
      case 7:
        node.domain = r.string();
        break;
    }
  }
  if (node.opType === '') throw r.broken('a node without an operator');
  if (node.domain === 'ai.onnx') node.domain = '';
  return node;
}

function readAttribute(bytes: Uint8Array, range: ByteRange): OnnxAttribute {
  const attribute: OnnxAttribute = { name: '', type: 0, range };
  const r = new ProtoReader(bytes, range);
  while (r.next()) {
    switch (r.field) {
      case 1:
        attribute.name = r.string();
        break;
      case 2:
        attribute.f = r.float();
        break;
      case 3:
        attribute.i = r.int();
        attribute.iRange = { start: r.start, end: r.end };
        break;
      case 4:
        // Strings may hold any bytes (folded binary blobs); only text is of use here.
        attribute.s = new TextDecoder().decode(bytes.subarray(r.range().start, r.end));
        break;
      case 5:
        attribute.t = readTensor(bytes, r.range());
        break;
      case 8:
        r.ints((attribute.ints ??= []));
        break;
      case 20:
        attribute.type = r.uint();
        break;
    }
  }
  return attribute;
}

function readTensor(bytes: Uint8Array, range: ByteRange): OnnxTensor {
  const dims: number[] = [];
  let name = '';
  let dataType = 0;
  let raw: ByteRange | null = null;
  let external = false;
  const place = new Map<string, string>();
  const r = new ProtoReader(bytes, range);
  while (r.next()) {
    switch (r.field) {
      case 1:
        r.ints(dims);
        break;
      case 2:
        dataType = r.uint();
        break;
      case 8:
        name = r.string();
        break;
      case 9:
        raw = r.range();
        break;
      case 13: {
        const entry = readPair(bytes, r.range());
        place.set(entry.key, entry.value);
        break;
      }
      case 14:
        external = r.uint() === 1;
        break;
    }
  }
  const size = tensorBytes(dataType, dims);
  if (dims.some((d) => d < 0) || (size !== null && !Number.isSafeInteger(size))) throw r.broken(`an impossible shape for "${name}"`);
  if (external) {
    const location = place.get('location') ?? '';
    const offset = decimal(place.get('offset') ?? '0');
    const length = place.has('length') ? decimal(place.get('length')!) : (size ?? 0);
    if (location === '' || offset === null || length === null) throw r.broken(`external data of "${name}" without a usable place`);
    if (size !== null && length !== size) throw r.broken(`external data of "${name}" of ${length} bytes where its shape asks for ${size}`);
    return { name, dims, dataType, data: { kind: 'external', location, offset, length }, range };
  }
  if (raw === null) return { name, dims, dataType, data: { kind: 'typed' }, range };
  if (size !== null && raw.end - raw.start !== size) throw r.broken(`"${name}" with ${raw.end - raw.start} bytes where its shape asks for ${size}`);
  return { name, dims, dataType, data: { kind: 'raw', range: raw }, range };
}

function readPair(bytes: Uint8Array, range: ByteRange): { key: string; value: string } {
  const out = { key: '', value: '' };
  const r = new ProtoReader(bytes, range);
  while (r.next()) {
    if (r.field === 1) out.key = r.string();
    else if (r.field === 2) out.value = r.string();
  }
  return out;
}

/** Offsets of files above 2 GB are decimal strings. */
function decimal(text: string): number | null {
  const value = /^\d{1,16}$/.test(text) ? Number(text) : NaN;
  return Number.isSafeInteger(value) ? value : null;
}

/** ValueInfoProto → TypeProto → Tensor → TensorShapeProto → Dimension: five thin layers, read in one go. */
function readValueInfo(bytes: Uint8Array, range: ByteRange): OnnxValueInfo {
  const info: OnnxValueInfo = { name: '', elemType: 0, shape: null, range };
  const r = new ProtoReader(bytes, range);
  while (r.next()) {
    if (r.field === 1) info.name = r.string();
    else if (r.field === 2) {
      for (const tensor of children(bytes, r.range(), 1)) {
        const t = new ProtoReader(bytes, tensor);
        while (t.next()) {
          if (t.field === 1) info.elemType = t.uint();
          else if (t.field === 2) info.shape = children(bytes, t.range(), 1).map((dim) => readDimension(bytes, dim));
        }
      }
    }
  }
  return info;
}

function readDimension(bytes: Uint8Array, range: ByteRange): number | string | null {
  const r = new ProtoReader(bytes, range);
  let out: number | string | null = null;
  while (r.next()) {
    if (r.field === 1) out = r.int();
    else if (r.field === 2) out = r.string() || null;
  }
  return out;
}

/** The sub-messages of a message that stand under one field number. */
export function children(bytes: Uint8Array, range: ByteRange, field: number): ByteRange[] {
  const out: ByteRange[] = [];
  const r = new ProtoReader(bytes, range);
  while (r.next()) if (r.field === field && r.wire === BYTES) out.push(r.range());
  return out;
}
