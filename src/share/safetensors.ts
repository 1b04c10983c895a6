/**
 * Safetensors, the little of it the lab needs: named arrays with a shape in one flat file, read in Python by
 * `safetensors.numpy.load_file("arrays.safetensors")`. Format: u64 header length, JSON header, raw little-endian data.
 */
import { fail, type Read } from './result';

export type NumberArray = Float32Array | Float64Array | Int32Array | Int8Array | Uint8Array;
export interface Tensor {
  data: NumberArray;
  shape: number[];
}

const DTYPES = { F32: Float32Array, F64: Float64Array, I32: Int32Array, I8: Int8Array, U8: Uint8Array } as const;
type Dtype = keyof typeof DTYPES;
const isDtype = (s: unknown): s is Dtype => typeof s === 'string' && Object.hasOwn(DTYPES, s);

export function dtypeOf(data: NumberArray): Dtype {
  for (const name of Object.keys(DTYPES) as Dtype[]) if (data instanceof DTYPES[name]) return name;
  throw new TypeError('an array of a kind that records do not hold');
}

/** Eight-byte arrays first and the header padded to eight bytes, as the format asks, so that readers can map the file. */
export function writeSafetensors(tensors: Map<string, Tensor>): Uint8Array {
  const order = [...tensors].sort(([a, x], [b, y]) => y.data.BYTES_PER_ELEMENT - x.data.BYTES_PER_ELEMENT || (a < b ? -1 : 1));
  const header: Record<string, { dtype: string; shape: number[]; data_offsets: [number, number] }> = {};
  let at = 0;
  for (const [name, { data, shape }] of order) {
    header[name] = { dtype: dtypeOf(data), shape, data_offsets: [at, at + data.byteLength] };
    at += data.byteLength;
  }
  let json = JSON.stringify(header);
  const bare = new TextEncoder().encode(json).length;
  json += ' '.repeat((8 - (bare % 8)) % 8);
  const head = new TextEncoder().encode(json);
  const out = new Uint8Array(8 + head.length + at);
  new DataView(out.buffer).setBigUint64(0, BigInt(head.length), true);
  out.set(head, 8);
  let to = 8 + head.length;
  for (const [, { data }] of order) {
    out.set(new Uint8Array(data.buffer, data.byteOffset, data.byteLength), to);
    to += data.byteLength;
  }
  return out;
}

export function readSafetensors(bytes: Uint8Array): Read<Map<string, Tensor>> {
  const broken = (why: string): ReturnType<typeof fail> => fail('broken', `The record’s arrays cannot be read: ${why}.`);
  if (bytes.length < 8) return broken('the file ends before it begins');
  const length = Number(new DataView(bytes.buffer, bytes.byteOffset, 8).getBigUint64(0, true));
  if (!(length > 0) || length > bytes.length - 8) return broken('the header is longer than the file');
  let header: unknown;
  try {
    header = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes.subarray(8, 8 + length)));
  } catch {
    return broken('the header is damaged');
  }
  if (typeof header !== 'object' || header === null) return broken('the header is damaged');
  const base = 8 + length;
  const out = new Map<string, Tensor>();
  for (const [name, entry] of Object.entries(header as Record<string, unknown>)) {
    if (name === '__metadata__') continue;
    const e = (entry ?? {}) as { dtype?: unknown; shape?: unknown; data_offsets?: unknown };
    if (!isDtype(e.dtype)) return broken(`“${name.slice(0, 60)}” is of a number type the lab does not write`);
    const { shape, data_offsets: offsets } = e;
    if (!isIndexList(shape) || !isIndexList(offsets) || offsets.length !== 2) return broken(`the entry “${name.slice(0, 60)}” is damaged`);
    const Type = DTYPES[e.dtype];
    const count = shape.reduce((a, b) => a * b, 1);
    const [from, to] = offsets;
    if (to < from || base + to > bytes.length || to - from !== count * Type.BYTES_PER_ELEMENT) return broken(`the entry “${name.slice(0, 60)}” does not fit the file`);
    // copied: the part of a zip an array lies in is rarely aligned
    out.set(name, { data: new Type(bytes.slice(base + from, base + to).buffer), shape });
  }
  return { ok: true, value: out, remarks: [] };
}

const isIndexList = (v: unknown): v is number[] => Array.isArray(v) && v.every((n) => Number.isSafeInteger(n) && (n as number) >= 0);
