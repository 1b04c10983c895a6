/**
 * The protobuf wire format, as much of it as ONNX files use.  Reading never copies and never leaves its range: a length that
 * points outside is an error, not a truncated value.  Lengths and offsets stay below 2^53, so plain numbers are enough.
 */
import { OnnxError } from './error';
import type { ByteRange } from './types';

export const VARINT = 0;
export const FIXED64 = 1;
export const BYTES = 2;
export const FIXED32 = 5;

const utf8 = new TextDecoder('utf-8', { fatal: true });
const encoder = new TextEncoder();

/** Walks the fields of one message: `while (r.next()) switch (r.field) { … }`; a field not taken is skipped by length. */
export class ProtoReader {
  field = 0;
  wire = 0;
  /** The current field's value: for BYTES the content, for the others the bytes of the number. */
  start = 0;
  end = 0;
  /** Where the current field begins, tag included. */
  fieldStart = 0;
  private at: number;
  private readonly limit: number;

  constructor(
    readonly bytes: Uint8Array,
    range: ByteRange = { start: 0, end: bytes.length },
  ) {
    this.at = range.start;
    this.limit = range.end;
  }

  next(): boolean {
    if (this.at >= this.limit) return false;
    this.fieldStart = this.at;
    const tag = this.varint();
    this.field = Math.floor(tag / 8);
    this.wire = tag % 8;
    if (this.field < 1 || this.field > 0x1fffffff) throw this.broken('a field number that does not exist');
    this.start = this.at;
    switch (this.wire) {
      case VARINT:
        this.varint();
        break;
      case FIXED64:
        this.at += 8;
        break;
      case FIXED32:
        this.at += 4;
        break;
      case BYTES: {
        const length = this.varint();
        this.start = this.at;
        this.at += length;
        break;
      }
      default:
        throw this.broken(`wire type ${this.wire}, which ONNX does not use`);
    }
    if (this.at > this.limit) throw this.broken('a length that reaches past its end (is the file truncated?)');
    this.end = this.at;
    return true;
  }

  /** The current field as a sub-message, a string or raw bytes. */
  range(): ByteRange {
    if (this.wire !== BYTES) throw this.broken(`field ${this.field} with the wrong wire type`);
    return { start: this.start, end: this.end };
  }

  string(): string {
    const { start, end } = this.range();
    try {
      return utf8.decode(this.bytes.subarray(start, end));
    } catch {
      throw this.broken('a name that is not UTF-8');
    }
  }

  /** The current varint as an unsigned number (exact below 2^53). */
  uint(): number {
    if (this.wire !== VARINT) throw this.broken(`field ${this.field} with the wrong wire type`);
    return this.varintAt(this.start, false);
  }

  /** The current varint as int64 (negative numbers take ten bytes on the wire). */
  int(): number {
    if (this.wire !== VARINT) throw this.broken(`field ${this.field} with the wrong wire type`);
    return this.varintAt(this.start, true);
  }

  /** A repeated int64 field, which may come packed or one by one: appends to `into`. */
  ints(into: number[]): void {
    if (this.wire === VARINT) {
      into.push(this.int());
      return;
    }
    const { start, end } = this.range();
    const packed = new ProtoReader(this.bytes, { start, end });
    while (packed.at < end) {
      const from = packed.at;
      packed.varint();
      into.push(packed.varintAt(from, true));
    }
  }

  float(): number {
    if (this.wire !== FIXED32) throw this.broken(`field ${this.field} with the wrong wire type`);
    return new DataView(this.bytes.buffer, this.bytes.byteOffset + this.start, 4).getFloat32(0, true);
  }

  broken(what: string): OnnxError {
    return new OnnxError('broken', `This is not a sound ONNX file: at byte ${this.fieldStart} there is ${what}.`);
  }

  private varintAt(start: number, signed: boolean): number {
    const keep = this.at;
    this.at = start;
    const value = this.varint(signed);
    this.at = keep;
    return value;
  }

  private varint(signed = false): number {
    // Seven bits a byte: the low 28 bits, the next 28, and what is left, so that no step leaves the 32-bit integers.
    let parts0 = 0;
    let parts1 = 0;
    let parts2 = 0;
    for (let i = 0; i < 10; i++) {
      if (this.at >= this.limit) throw this.broken('a number cut short (is the file truncated?)');
      const byte = this.bytes[this.at++];
      const bits = byte & 0x7f;
      if (i < 4) parts0 |= bits << (7 * i);
      else if (i < 8) parts1 |= bits << (7 * (i - 4));
      else parts2 |= bits << (7 * (i - 8));
      if (byte < 0x80) {
        const high = parts2 & 0xff;
        const value = parts0 + parts1 * 2 ** 28 + high * 2 ** 56;
        if (!signed || high < 0x80) return value;
        // Two's complement from the parts: subtracting 2^64 from `value` would round small negatives away.
        return -(((~parts0 & 0xfffffff) >>> 0) + (~parts1 & 0xfffffff) * 2 ** 28 + (~high & 0xff) * 2 ** 56 + 1);
      }
    }
    throw this.broken('a number of more than ten bytes');
  }
}

/** Builds one message. Sub-messages are built first and added as bytes. */
export class ProtoWriter {
  private buffer = new Uint8Array(256);
  private length = 0;

  uint(field: number, value: number): this {
    return this.raw(varint(field * 8 + VARINT)).raw(varint(value));
  }

  /** Signed 64-bit. */
  int(field: number, value: number): this {
    return this.raw(varint(field * 8 + VARINT)).raw(value < 0 ? negative(value) : varint(value));
  }

  float(field: number, value: number): this {
    const bytes = new Uint8Array(4);
    new DataView(bytes.buffer).setFloat32(0, value, true);
    return this.raw(varint(field * 8 + FIXED32)).raw(bytes);
  }

  bytes(field: number, value: Uint8Array): this {
    return this.raw(varint(field * 8 + BYTES)).raw(varint(value.length)).raw(value);
  }

  string(field: number, value: string): this {
    return this.bytes(field, encoder.encode(value));
  }

  /** Ready-made fields, copied as they are. */
  raw(value: Uint8Array): this {
    if (this.length + value.length > this.buffer.length) {
      const bigger = new Uint8Array(Math.max(this.buffer.length * 2, this.length + value.length));
      bigger.set(this.buffer.subarray(0, this.length));
      this.buffer = bigger;
    }
    this.buffer.set(value, this.length);
    this.length += value.length;
    return this;
  }

  done(): Uint8Array {
    return this.buffer.slice(0, this.length);
  }
}

/** Unsigned, below 2^53. */
export function varint(value: number): Uint8Array {
  const out: number[] = [];
  while (value >= 0x80) {
    out.push((value % 0x80) | 0x80);
    value = Math.floor(value / 0x80);
  }
  out.push(value);
  return Uint8Array.from(out);
}

function negative(value: number): Uint8Array {
  let rest = BigInt.asUintN(64, BigInt(value));
  const out: number[] = [];
  for (; rest >= 0x80n; rest >>= 7n) out.push(Number(rest & 0x7fn) | 0x80);
  out.push(Number(rest));
  return Uint8Array.from(out);
}
