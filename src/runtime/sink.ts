/** Where the bytes of a download go: one buffer when the length is known, a list of chunks when it is not. */
import { LabError } from './errors';
import { Sha256 } from './sha256';
import type { StoredFile } from './store';

export interface SinkOptions {
  /** Called with every piece: its length, and whether it travelled (false: it was stored already). */
  onBytes?: (bytes: number, moved: boolean) => void;
  /** Called once when the file's length becomes known. */
  onTotal?: (bytes: number) => void;
  /** Files longer than this are hashed as they come, where `hash` asks for it. */
  hashAsTheyCome: number;
  hash: boolean;
}

/** How much of a kept part is read and hashed at a time. */
const PIECE = 16 * 2 ** 20;

export class Sink {
  length = 0;
  /** Of the whole file; null while unknown. */
  total: number | null = null;
  /** What tells this version of the file from another: its ETag, or Last-Modified where the host shows none. */
  validator: string | null = null;
  private buffer: Uint8Array<ArrayBuffer> | null = null;
  /** The buffer of what was given up: most new starts are of the same length. */
  private spare: Uint8Array<ArrayBuffer> | null = null;
  private chunks: Uint8Array<ArrayBuffer>[] = [];
  private hash: Sha256 | null = null;
  private announced = false;
  /** The furthest that was ever reported: a restarted download is not reported twice. */
  private reported = 0;

  constructor(private readonly options: SinkOptions) {}

  /** Before the first byte of a start or of a new start. */
  announce(total: number): void {
    if (!this.announced) this.options.onTotal?.(total);
    this.announced = true;
    this.total = total;
    if (this.options.hash && total > this.options.hashAsTheyCome) this.hash = new Sha256();
    const { spare } = this;
    this.spare = null;
    try {
      this.buffer = spare?.length === total ? spare : new Uint8Array(total);
    } catch (error) {
      throw new LabError(
        'out-of-memory',
        `There is no room for a file of ${Math.round(total / 2 ** 20)} MB.`,
        'Try a smaller model or a more compact file.',
        { cause: error },
      );
    }
  }

  restart(): void {
    this.length = 0;
    this.total = null;
    this.validator = null;
    this.hash = null;
    this.spare = this.buffer ?? this.spare;
    this.buffer = null;
    this.chunks = [];
  }

  push(chunk: Uint8Array<ArrayBuffer>, moved: boolean): void {
    if (this.buffer) {
      if (this.length + chunk.length > this.buffer.length)
        throw new LabError('broken-file', 'The host sent more bytes than it announced.', 'Try again later, or another revision.');
      this.buffer.set(chunk, this.length);
    } else this.chunks.push(chunk);
    this.took(chunk, moved);
  }

  /** The part that is kept on this device, read to where it belongs. */
  resume(stored: StoredFile): void {
    if (!this.buffer) return this.push(stored.read(), false);
    for (let end = stored.length; this.length < end; ) {
      const piece = this.buffer.subarray(this.length, Math.min(end, this.length + PIECE));
      stored.readInto(piece, this.length);
      this.took(piece, false);
    }
  }

  /** The buffer has the announced length: whoever asks has seen that all of it came. */
  result(): Uint8Array<ArrayBuffer> {
    if (this.buffer) return this.buffer;
    const joined = new Uint8Array(this.length);
    let at = 0;
    for (const chunk of this.chunks) {
      joined.set(chunk, at);
      at += chunk.length;
    }
    return joined;
  }

  /** Of a file that was hashed as it came; once. */
  digest(): string | null {
    return this.hash?.digest() ?? null;
  }

  private took(chunk: Uint8Array, moved: boolean): void {
    this.hash?.update(chunk);
    this.length += chunk.length;
    if (this.length <= this.reported) return;
    this.options.onBytes?.(this.length - this.reported, moved);
    this.reported = this.length;
  }
}
