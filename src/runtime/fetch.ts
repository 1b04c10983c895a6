/**
 * Files over the network, straight into place: one buffer of the announced size, filled as bytes arrive, kept in the store as
 * they arrive, so that a cut or a reload goes on where it stopped. Nothing is believed unchecked: status, kind, length and,
 * where the hub names one, the SHA-256; and two parts are joined only where something vouches that they are of one file.
 */
import { LabError, throwIfAborted, toLabError } from './errors';
import { Patience, Retry, asFailure, fileName, statusError, wait } from './failures';
import { sha256Of } from './sha256';
import { Sink, type SinkOptions } from './sink';
import type { FileStore, StoredFile } from './store';

export interface Fetched {
  url: string;
  bytes: Uint8Array<ArrayBuffer>;
  /** Lower-case hex; null where the file was too big to hash for provenance alone. */
  sha256: string | null;
  /** True when nothing travelled. */
  fromStore: boolean;
}

export interface FetchOptions extends Pick<SinkOptions, 'onBytes' | 'onTotal'> {
  signal?: AbortSignal;
  expectedBytes?: number | null;
  expectedSha256?: string | null;
  /** Sent to this address only (a hub token); never stored. */
  token?: string | null;
  /** Where to keep the file; only for addresses whose content cannot change, or with `validator` to notice when it did. */
  store?: FileStore | null;
  /** Told once if the store is full and the load goes on in memory. */
  onStoreFull?: () => void;
  /** How long a host may send nothing before it is asked again. Default 30 s. */
  patienceMs?: number;
  /** Before the second attempt; doubled with each further one. Default 0.8 s. */
  pauseMs?: number;
  /** Longer files are hashed as they come. Default 1 GiB. */
  hashAsTheyCome?: number;
}

/** Hashing for provenance alone stops here. */
const HASH_UNASKED_UP_TO = 64 * 2 ** 20;
/** The browser's digest is quick and takes a copy; past this size ours is slower and takes none. */
const HASH_AT_ONCE_UP_TO = 2 ** 30;
const ATTEMPTS = 4;
const PATIENCE_MS = 30_000;
const PAUSE_MS = 800;

export async function fetchFile(url: string, options: FetchOptions = {}): Promise<Fetched> {
  const { signal, store } = options;
  throwIfAborted(signal);
  let stored: StoredFile | null = null;
  try {
    stored = store ? await store.open(url) : null;
  } catch (error) {
    if (toLabError(error).code !== 'storage-full') throw error;
    options.onStoreFull?.();
  }
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
    const sink = new Sink({ ...options, hash: options.expectedSha256 != null, hashAsTheyCome: options.hashAsTheyCome ?? HASH_AT_ONCE_UP_TO });
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
        await wait(failure.waitMs ?? (options.pauseMs ?? PAUSE_MS) * 2 ** (attempt - 1), signal);
      }
    }
    const bytes = sink.result();
    const sha256 = await check(url, bytes, sink.digest(), options, stored);
    if (stored && !(await stored.finish(sha256))) options.onStoreFull?.();
    return { url, bytes, sha256, fromStore: false };
  } finally {
    stored?.close();
  }
}

/** Whether a file is there, and how long it is, without fetching it. `null`: not there. */
export async function statFile(
  url: string,
  options: Pick<FetchOptions, 'signal' | 'token' | 'patienceMs'> = {},
): Promise<{ bytes: number | null } | null> {
  const patience = new Patience(options.patienceMs ?? PATIENCE_MS, options.signal);
  try {
    // One byte instead of HEAD: some hosts answer HEAD with the compressed length, or not at all.
    const response = await fetch(url, { headers: { Range: 'bytes=0-0', ...authorisation(options.token) }, signal: patience.signal });
    await response.body?.cancel();
    // Where the repository or the revision is not there, no file of it needs to be asked for.
    if (response.status === 404 && !/^(Repo|Revision)NotFound$/.test(response.headers.get('X-Error-Code') ?? '')) return null;
    if (response.ok && isWebPage(response)) return null;
    if (response.status === 416) return { bytes: 0 };
    if (!response.ok) throw statusError(response, url);
    const range = /\/(\d+)$/.exec(response.headers.get('Content-Range') ?? '');
    return { bytes: range ? Number(range[1]) : response.status === 200 ? plainLength(response) : null };
  } catch (error) {
    throw asFailure(patience.failure ?? error, url, options.signal).error;
  } finally {
    patience.end();
  }
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

/** One request: from the start, or from where the sink (or the store) stands. Throws what `asFailure` sorts. */
async function pull(url: string, options: FetchOptions, sink: Sink, stored: StoredFile | null): Promise<void> {
  const patience = new Patience(options.patienceMs ?? PATIENCE_MS, options.signal);
  try {
    await pullWithin(patience, url, options, sink, stored);
  } catch (error) {
    throw patience.failure ?? error;
  } finally {
    patience.end();
  }
}

async function pullWithin(patience: Patience, url: string, options: FetchOptions, sink: Sink, stored: StoredFile | null): Promise<void> {
  const { signal } = options;
  const from = sink.length > 0 ? sink.length : (stored?.length ?? 0);
  const before = sink.length > 0 ? sink.validator : (stored?.etag ?? null);
  // Not If-Range: other origins may send Range without asking first, and If-Range only where the host's preflight allows it.
  const headers: Record<string, string> = { ...authorisation(options.token), ...(from > 0 ? { Range: `bytes=${from}-` } : {}) };
  const response = await fetch(url, { headers, signal: patience.signal });
  patience.touch();
  const startAnew = async (why: string): Promise<never> => {
    await response.body?.cancel();
    await stored?.clear();
    sink.restart();
    throw new Retry(why);
  };
  // Nothing after `from`: what is kept belongs to another version of the file.
  if (response.status === 416 && from > 0) return startAnew('the kept part does not fit the file.');
  if (!response.ok) throw statusError(response, url);
  if (isWebPage(response))
    throw new LabError(
      'broken-file',
      `${fileName(url)}: the host answered with a web page instead of the file.`,
      'Check the address; some hosts answer every unknown path with their front page.',
    );

  const validator = response.headers.get('ETag') ?? response.headers.get('Last-Modified');
  const resumed = response.status === 206 && from > 0;
  const range = /^bytes (\d+)-\d+\/(\d+)$/.exec(response.headers.get('Content-Range') ?? '');
  const length = plainLength(response);
  const total = range ? Number(range[2]) : length === null ? null : length + (resumed ? from : 0);
  if (resumed) {
    // Where one side does not say which version it is of, only a hash promised beforehand can vouch for the joint.
    const sameFile = before !== null && validator !== null ? before === validator : options.expectedSha256 != null;
    const sameLength = sink.total === null || total === null || sink.total === total;
    if (!sameFile || !sameLength || (range && Number(range[1]) !== from)) return startAnew('the file changed since its first part came.');
  }
  if (total !== null && options.expectedBytes != null && total !== options.expectedBytes)
    throw new LabError(
      'broken-file',
      `${fileName(url)} should have ${options.expectedBytes} bytes; the host offers ${total}.`,
      'Pin another revision, or try again later.',
    );
  const known = options.expectedBytes ?? total;
  if (!resumed) {
    sink.restart();
    await stored?.clear();
  }
  if (sink.length === 0 && known !== null) sink.announce(known);
  if (resumed && sink.length === 0 && stored) sink.resume(stored);
  sink.validator = validator ?? before;
  if (stored) stored.etag = sink.validator;

  if (!response.body) throw new Retry('the answer had no body.');
  const reader = response.body.getReader();
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) break;
      patience.touch();
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
  if (known !== null && sink.length < known) throw new Retry(`the connection ended after ${sink.length} of ${known} bytes.`);
}

/** @param streamed the hash, where the file was hashed as it came */
async function check(
  url: string,
  bytes: Uint8Array<ArrayBuffer>,
  streamed: string | null,
  options: FetchOptions,
  stored: StoredFile | null,
): Promise<string | null> {
  const asked = options.expectedSha256?.toLowerCase() ?? null;
  const sha256 = streamed ?? (bytes.length <= (asked ? HASH_AT_ONCE_UP_TO : HASH_UNASKED_UP_TO) ? await hashed(bytes) : null);
  if (asked && sha256 && sha256 !== asked) {
    await stored?.clear();
    throw new LabError(
      'broken-file',
      `${fileName(url)} does not have the content the hub announced (SHA-256 differs).`,
      'Nothing was kept. Try again; if it stays so, the host is at fault.',
    );
  }
  return sha256;
}

async function hashed(bytes: Uint8Array<ArrayBuffer>): Promise<string> {
  // Only secure pages have the browser's own.
  if (!globalThis.crypto?.subtle) return sha256Of(bytes);
  const digest = new Uint8Array(await crypto.subtle.digest('SHA-256', bytes));
  return Array.from(digest, (b) => b.toString(16).padStart(2, '0')).join('');
}

const authorisation = (token: string | null | undefined): Record<string, string> =>
  token ? { Authorization: `Bearer ${token}` } : {};

/** Content-Length counts compressed bytes when there is an encoding: then it says nothing about the file. */
function plainLength(response: Response): number | null {
  const length = response.headers.get('Content-Length');
  return length !== null && !response.headers.get('Content-Encoding') ? Number(length) : null;
}

const isWebPage = (response: Response): boolean => /^text\/html\b/i.test(response.headers.get('Content-Type') ?? '');
