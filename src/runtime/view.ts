/**
 * A file's bytes for a session to be made of, without a copy of the file in this thread's memory where it is kept on the disk: ONNX
 * Runtime copies one tensor after the other out of what it is given as external data, and a kept file is read just so.
 */

export interface View {
  /** To be read with `byteLength` and `subarray` only, before `close`. */
  bytes: Uint8Array;
  close(): void;
}

/** What a kept file is read through. */
export interface Readable {
  readonly length: number;
  /** Fills `into` from `at` on. */
  readAt(into: Uint8Array<ArrayBuffer>, at: number): void;
  close(): void;
}

/** Bytes that are in memory: freed at once, for hundreds of megabytes should not wait for the collector. They must be nobody else's. */
export function viewOfMemory(bytes: Uint8Array<ArrayBuffer>): View {
  return { bytes, close: () => void structuredClone(bytes.buffer, { transfer: [bytes.buffer] }) };
}

export function viewOfFile(file: Readable): View {
  return { bytes: new FileBytes(file), close: () => file.close() };
}

/** To the runtime an array of the file's length (the one thing it asks is `instanceof`); every `subarray` is a fresh read. */
class FileBytes extends Uint8Array<ArrayBuffer> {
  constructor(file: Readable) {
    super(new ArrayBuffer(0));
    const read = (start = 0, end = file.length): Uint8Array<ArrayBuffer> => {
      const piece = new Uint8Array(Math.max(0, Math.min(end, file.length) - start));
      file.readAt(piece, start);
      return piece;
    };
    Object.defineProperties(this, { byteLength: { value: file.length }, length: { value: file.length }, subarray: { value: read } });
  }
}
