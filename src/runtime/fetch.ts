/**
 * Files over the network, straight into place: one buffer of the announced size, filled as bytes arrive, kept in the store as
 * they arrive, so that a cut or a reload goes on where it stopped. Nothing is believed unchecked: status, kind, length and,
 * where the hub names one, the SHA-256.
 */
import { LabError, abortReason, throwIfAborted, toLabError } from './errors';
import type { FileStore, StoredFile } from './store';

export interface Fetched {
  url: string;
  bytes: Uint8Array<ArrayBuffer>;
  /** Lower-case hex; null where the file was too big to hash for provenance alone. */
  sha256: string | null;
  /** True when nothing travelled. */
  fromStore: boolean;
}

export interface FetchOptions {
  signal?: AbortSignal;
  /** Called with every piece: its length, and whether it travelled (false: it was stored already). */
  onBytes?: (bytes: number, moved: boolean) => void;
  /** Called once when the file's length becomes known. */
  onTotal?: (bytes: number) => void;
  expectedBytes?: number | null;
  expectedSha256?: string | null;
  /** Sent to this address only (a hub token); never stored. */
  token?: string | null;
  /** Where to keep the file; only for addresses whose content cannot change, or with `validator` to notice when it did. */
  store?: FileStore | null;
  /** Told once if the store is full and the load goes on in memory. */
  onStoreFull?: () => void;
}

/** Hashing for provenance alone stops here; a hash that the hub names is checked up to the second limit. */
const HASH_UNASKED_UP_TO = 64 * 2 ** 20;
const HASH_ASKED_UP_TO = 2 ** 30;
const ATTEMPTS = 4;
const LONGEST_WAIT_MS = 30_000;

export async function fetchFile(url: string, options: FetchOptions = {}): Promise<Fetched> {
  const { signal, store } = options;
  throwIfAborted(signal);
  let stored = store ? await store.open(url) : null;
  try {
    if (stored?.complete) {
      const bytes = stored.read();
      if (options.expectedBytes == null || bytes.byteLength === options.expectedBytes) {
        options.onTotal?.(bytes.byteLength);
        options.onBytes?.(bytes.byteLength, false);
        return { url, bytes, sha256: stored.sha256, fromStore: true };
      }
      await stored.clear();
    }
    const sink = new Sink(options);
    for (let attempt = 1; ; attempt++) {
      try {
        await pull(url, options, sink, stored);
        break;
      } catch (error) {
        if (error instanceof StoreFull) {
          // The disk is full: forget the stored copy, keep the bytes already here, and go on in memory.
          await stored?.clear().catch(() => undefined);
          stored?.close();
          stored = null;
          options.onStoreFull?.();
          attempt--;
          continue;
        }
        const failure = asFailure(error, url, signal);
        if (!failure.retry || attempt >= ATTEMPTS) throw failure.error;
        await wait(failure.waitMs ?? 400 * 2 ** attempt, signal);
      }
    }
    const bytes = sink.result();
    const sha256 = await check(url, bytes, options, stored);
    await stored?.finish(sha256);
    return { url, bytes, sha256, fromStore: false };
  } finally {
    stored?.close();
  }
}

/** Whether a file is there, and how long it is, without fetching it. `null`: not there. */
export async function statFile(
  url: string,
  options: Pick<FetchOptions, 'signal' | 'token'> = {},
): Promise<{ bytes: number | null; etag: string | null } | null> {
  let response: Response;
  try {
    // One byte instead of HEAD: some hosts answer HEAD with the compressed length, or not at all.
    response = await fetch(url, { headers: { Range: 'bytes=0-0', ...authorisation(options.token) }, signal: options.signal });
  } catch (error) {
    throw asFailure(error, url, options.signal).error;
  }
  await response.body?.cancel();
  if (response.status === 404 || isWebPage(response)) return null;
  if (response.status === 416) return { bytes: 0, etag: response.headers.get('ETag') };
  if (!response.ok) throw statusError(response, url);
  const range = /\/(\d+)$/.exec(response.headers.get('Content-Range') ?? '');
  const bytes = range ? Number(range[1]) : response.status === 200 ? plainLength(response) : null;
  return { bytes, etag: response.headers.get('ETag') };
}

/** Small JSON files: the same checks, and a message that names the file when it is not JSON. */
export function parseJson(fetched: Fetched): unknown {
  const text = new TextDecoder().decode(fetched.bytes);
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new LabError(
      'broken-file',
      `${fileName(fetched.url)} is not JSON (${error instanceof Error ? error.message : String(error)}).`,
      'The file may be truncated, or the host answered with something else.',
    );
  }
}

class StoreFull extends Error {}

/** Where the bytes go: one buffer when the length is known, a list of chunks when it is not. */
class Sink {
  length = 0;
  private buffer: Uint8Array<ArrayBuffer> | null = null;
  private chunks: Uint8Array<ArrayBuffer>[] = [];
  private announced = false;
  /** The furthest that was ever reported: a restarted download is not reported twice. */
  private reported = 0;

  constructor(private readonly options: FetchOptions) {}

  announce(total: number): void {
    if (!this.announced) this.options.onTotal?.(total);
    this.announced = true;
    if (this.buffer) return;
    try {
      this.buffer = new Uint8Array(total);
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
    this.chunks = [];
  }

  push(chunk: Uint8Array<ArrayBuffer>, moved: boolean): void {
    if (this.buffer) {
      if (this.length + chunk.length > this.buffer.length)
        throw new LabError('broken-file', 'The host sent more bytes than it announced.', 'Try again later, or another revision.');
      this.buffer.set(chunk, this.length);
    } else this.chunks.push(chunk);
    this.length += chunk.length;
    if (this.length > this.reported) {
      this.options.onBytes?.(this.length - this.reported, moved);
      this.reported = this.length;
    }
  }

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
}

/** One request: from the start, or from where the sink (or the store) stands. Throws what `asFailure` sorts. */
async function pull(url: string, options: FetchOptions, sink: Sink, stored: StoredFile | null): Promise<void> {
  const { signal } = options;
  const from = sink.length > 0 ? sink.length : (stored?.length ?? 0);
  const headers: Record<string, string> = { ...authorisation(options.token) };
  if (from > 0) headers['Range'] = `bytes=${from}-`;
  const response = await fetch(url, { headers, signal });
  if (response.status === 416 && from > 0) {
    // Nothing after `from`: what is kept belongs to another version of the file.
    await stored?.clear();
    sink.restart();
    throw new Retry('The kept part does not fit the file.');
  }
  if (!response.ok) throw statusError(response, url);
  if (isWebPage(response))
    throw new LabError(
      'broken-file',
      `${fileName(url)}: the host answered with a web page instead of the file.`,
      'Check the address; some hosts answer every unknown path with their front page.',
    );

  const etag = response.headers.get('ETag');
  const range = /^bytes (\d+)-\d+\/(\d+)$/.exec(response.headers.get('Content-Range') ?? '');
  const resumed =
    response.status === 206 &&
    from > 0 &&
    (range === null || Number(range[1]) === from) &&
    (stored === null || stored.etag === null || etag === null || stored.etag === etag) &&
    // Without an ETag on either side only a length or a hash promised beforehand can vouch for the joint.
    (etag !== null || options.expectedSha256 != null || sink.length > 0);
  if (response.status === 206 && from > 0 && !resumed) {
    await response.body?.cancel();
    await stored?.clear();
    sink.restart();
    throw new Retry('The file changed since its first part was kept.');
  }

  const total = resumed ? (range ? Number(range[2]) : (options.expectedBytes ?? null)) : plainLength(response);
  const known = options.expectedBytes ?? total;
  if (total !== null && options.expectedBytes != null && total !== options.expectedBytes)
    throw new LabError(
      'broken-file',
      `${fileName(url)} should have ${options.expectedBytes} bytes; the host offers ${total}.`,
      'Pin another revision, or try again later.',
    );
  if (known !== null) sink.announce(known);
  if (!resumed) {
    sink.restart();
    await stored?.clear();
  } else if (sink.length === 0 && stored) sink.push(stored.read(), false);
  if (stored) stored.etag = etag;

  if (!response.body) throw new Retry('The answer had no body.');
  const reader = response.body.getReader();
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) break;
      throwIfAborted(signal);
      if (stored && !stored.append(value)) {
        // The piece must not be lost with the store: it goes into memory first.
        sink.push(value, true);
        throw new StoreFull();
      }
      sink.push(value, true);
    }
  } finally {
    // After an error the rest must not keep travelling; after a regular end this does nothing.
    reader.cancel().catch(() => undefined);
  }
  if (known !== null && sink.length < known) throw new Retry(`The connection ended after ${sink.length} of ${known} bytes.`);
}

async function check(
  url: string,
  bytes: Uint8Array<ArrayBuffer>,
  options: FetchOptions,
  stored: StoredFile | null,
): Promise<string | null> {
  const asked = options.expectedSha256?.toLowerCase() ?? null;
  if (bytes.length > (asked ? HASH_ASKED_UP_TO : HASH_UNASKED_UP_TO)) return null;
  if (!globalThis.crypto?.subtle) return null;
  const digest = new Uint8Array(await crypto.subtle.digest('SHA-256', bytes));
  const sha256 = Array.from(digest, (b) => b.toString(16).padStart(2, '0')).join('');
  if (asked && sha256 !== asked) {
    await stored?.clear();
    throw new LabError(
      'broken-file',
      `${fileName(url)} does not have the content the hub announced (SHA-256 differs).`,
      'Nothing was kept. Try again; if it stays so, the host is at fault.',
    );
  }
  return sha256;
}

/** A failure that another attempt may cure. */
class Retry extends Error {
  constructor(
    message: string,
    readonly waitMs?: number,
    readonly final?: LabError,
  ) {
    super(message);
  }
}

function asFailure(
  error: unknown,
  url: string,
  signal: AbortSignal | undefined,
): { error: LabError; retry: boolean; waitMs?: number } {
  if (signal?.aborted) return { error: abortReason(signal), retry: false };
  if (error instanceof Retry)
    return {
      error:
        error.final ??
        new LabError('network', `${fileName(url)}: ${error.message}`, 'What arrived is kept; loading again goes on from there.'),
      retry: true,
      waitMs: error.waitMs,
    };
  // fetch and body readers report every transport failure as a TypeError with a text that differs by browser.
  if (error instanceof TypeError || (error instanceof DOMException && error.name === 'NetworkError'))
    return {
      error: new LabError(
        'network',
        `${fileName(url)} could not be fetched from ${hostOf(url)}.`,
        navigator.onLine === false
          ? 'This device is offline. What was loaded before still works.'
          : 'The host may be unreachable, or may not allow other pages to read it (CORS).',
        { cause: error },
      ),
      retry: navigator.onLine !== false,
    };
  return { error: toLabError(error, 'network', fileName(url)), retry: false };
}

function statusError(response: Response, url: string): LabError | Retry {
  const name = fileName(url);
  const { status } = response;
  if (status === 404)
    return new LabError('not-found', `${name} is not at ${hostOf(url)}${new URL(url, location.href).pathname.replace(/[^/]*$/, '')}.`, 'Check the model, the revision and the kind of file.');
  if (status === 401 || status === 403)
    return new LabError(
      'gated',
      `${hostOf(url)} does not give out ${name} without permission.`,
      'The model is private or its licence must be accepted: accept it at the hub and enter a token here.',
    );
  if (status === 429 || status >= 500) {
    const said = Number(response.headers.get('Retry-After'));
    const waitMs = said > 0 ? Math.min(said * 1000, LONGEST_WAIT_MS) : undefined;
    const words = status === 429 ? 'asks for a pause (too many requests)' : `has trouble (status ${status})`;
    return new Retry(words, waitMs, new LabError('network', `${name}: ${hostOf(url)} ${words}.`, 'Try again in a while.'));
  }
  return new LabError('network', `${name}: ${hostOf(url)} answered with status ${status}.`, 'Try again later.');
}

const authorisation = (token: string | null | undefined): Record<string, string> =>
  token ? { Authorization: `Bearer ${token}` } : {};

/** Content-Length counts compressed bytes when there is an encoding: then it says nothing about the file. */
function plainLength(response: Response): number | null {
  const length = response.headers.get('Content-Length');
  return length !== null && !response.headers.get('Content-Encoding') ? Number(length) : null;
}

const isWebPage = (response: Response): boolean => /^text\/html\b/i.test(response.headers.get('Content-Type') ?? '');

export function fileName(url: string): string {
  const { pathname } = new URL(url, globalThis.location?.href);
  const after = pathname.split('/resolve/')[1];
  return decodeURIComponent(after ? after.split('/').slice(1).join('/') : (pathname.split('/').pop() ?? url));
}

const hostOf = (url: string): string => new URL(url, globalThis.location?.href).host;

function wait(ms: number, signal: AbortSignal | undefined): Promise<void> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(done, ms);
    function done(): void {
      signal?.removeEventListener('abort', aborted);
      resolve();
    }
    function aborted(): void {
      clearTimeout(timer);
      reject(abortReason(signal as AbortSignal));
    }
    signal?.addEventListener('abort', aborted, { once: true });
  });
}
