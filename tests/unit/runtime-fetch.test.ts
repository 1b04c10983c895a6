/** Downloads from hosts that cut, stall, change their minds or say little: what arrives is one file, whole, or a clear error. */
import { createHash } from 'node:crypto';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, describe, expect, test } from 'vitest';
import { fileName } from '../../src/runtime/failures';
import { fetchFile, statFile, type FetchOptions } from '../../src/runtime/fetch';
import { Sha256 } from '../../src/runtime/sha256';
import type { FileStore, StoredFile } from '../../src/runtime/store';

const sha256 = (data: Uint8Array): string => createHash('sha256').update(data).digest('hex');
const OLD = Uint8Array.from({ length: 5000 }, (_, i) => (i * 7) % 251);
const NEW = Uint8Array.from({ length: 5000 }, (_, i) => (i * 13) % 241);
const quick: FetchOptions = { patienceMs: 200, pauseMs: 1 };

let server: Server | null = null;
afterEach(() => {
  server?.closeAllConnections();
  server?.close();
});

/** `answer` gets the number of the request, from 0. Returns the address of a file, and the ranges that were asked for. */
async function host(answer: (n: number, from: number, response: ServerResponse, request: IncomingMessage) => void): Promise<{ url: string; ranges: (number | null)[] }> {
  const ranges: (number | null)[] = [];
  server = createServer((request, response) => {
    const asked = /^bytes=(\d+)-/.exec(request.headers.range ?? '');
    ranges.push(asked ? Number(asked[1]) : null);
    answer(ranges.length - 1, asked ? Number(asked[1]) : 0, response, request);
  });
  await new Promise<void>((done) => server?.listen(0, '127.0.0.1', done));
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/o/n/resolve/main/onnx/model.onnx`, ranges };
}

interface Sent {
  headers?: Record<string, string>;
  /** Ends the connection after so many bytes. */
  cut?: number;
  /** Sends nothing more after so many bytes. */
  stall?: number;
  announced?: number;
}

function send(response: ServerResponse, data: Uint8Array, from: number, { headers = {}, cut, stall, announced }: Sent = {}): void {
  const body = data.subarray(from);
  response.writeHead(from > 0 ? 206 : 200, {
    'Content-Length': announced ?? body.length,
    ...(from > 0 ? { 'Content-Range': `bytes ${from}-${data.length - 1}/${data.length}` } : {}),
    ...headers,
  });
  if (cut !== undefined) response.write(body.subarray(0, cut), () => setImmediate(() => response.destroy()));
  else if (stall !== undefined) response.write(body.subarray(0, stall));
  else response.end(body);
}

/** A store in memory. */
class Kept implements StoredFile {
  complete = false;
  sha256: string | null = null;
  etag: string | null = null;
  reads = 0;
  constructor(public bytes: Uint8Array<ArrayBuffer>) {}
  get length(): number {
    return this.bytes.length;
  }
  read(): Uint8Array<ArrayBuffer> {
    this.reads++;
    return this.bytes.slice();
  }
  readInto(target: Uint8Array, at: number): void {
    target.set(this.bytes.subarray(at, at + target.length));
  }
  append(chunk: Uint8Array): boolean {
    this.bytes = Uint8Array.from([...this.bytes, ...chunk]);
    return true;
  }
  async finish(hash: string | null): Promise<boolean> {
    this.complete = true;
    this.sha256 = hash;
    return true;
  }
  async clear(): Promise<void> {
    this.bytes = new Uint8Array();
    this.etag = null;
  }
  close(): void {}
}
const storeOf = (file: Kept): FileStore => ({ open: async () => file, view: async () => null, list: async () => [], delete: async () => true, clear: async () => 0 });

describe('a download that is cut', () => {
  const tag = (data: Uint8Array): Record<string, string> => ({ ETag: `"${sha256(data).slice(0, 8)}"` });
  const date = (seconds: number): Record<string, string> => ({ 'Last-Modified': new Date(seconds * 1000).toUTCString() });

  test.each([
    ['its ETag', tag(OLD)],
    ['its date', date(1)],
  ])('goes on where it stopped when %s is the same', async (_, headers) => {
    const { url, ranges } = await host((n, from, response) => send(response, OLD, from, { headers, ...(n === 0 ? { cut: 2000 } : {}) }));
    const { bytes } = await fetchFile(url, quick);
    expect(bytes).toEqual(OLD);
    expect(ranges).toEqual([null, 2000]);
  });

  test.each([
    ['its ETag', tag(OLD), tag(NEW)],
    ['its date', date(1), date(2)],
    ['nothing that says which version it is of', {}, {}],
  ])('begins anew on %s, and never joins two versions', async (_, before, after) => {
    const { url, ranges } = await host((n, from, response) => send(response, n === 0 ? OLD : NEW, from, { headers: n === 0 ? before : after, ...(n === 0 ? { cut: 2000 } : {}) }));
    const { bytes } = await fetchFile(url, quick);
    expect(bytes).toEqual(NEW);
    expect(ranges).toEqual([null, 2000, null]);
  });

  test('a hash that was promised vouches for a joint where versions are not told, and finds a wrong one', async () => {
    const answer = (second: Uint8Array) => (n: number, from: number, response: ServerResponse) => send(response, n === 0 ? OLD : second, from, n === 0 ? { cut: 2000 } : {});
    const right = await host(answer(OLD));
    expect((await fetchFile(right.url, { ...quick, expectedSha256: sha256(OLD) })).sha256).toBe(sha256(OLD));
    expect(right.ranges).toEqual([null, 2000]);
    server?.close();
    const wrong = await host(answer(NEW));
    await expect(fetchFile(wrong.url, { ...quick, expectedSha256: sha256(OLD) })).rejects.toMatchObject({ code: 'broken-file' });
  });

  test('a host that first announces too much leaves nothing behind the file’s end', async () => {
    const { url } = await host((n, _, response) => send(response, OLD, 0, n === 0 ? { announced: 9000, cut: 4000 } : {}));
    const { bytes } = await fetchFile(url, quick);
    expect(bytes.length).toBe(OLD.length);
    expect(bytes).toEqual(OLD);
  });
});

describe('a host that sends nothing', () => {
  test('in the middle: it is asked again, from there', async () => {
    const { url, ranges } = await host((n, from, response) => send(response, OLD, from, { headers: { ETag: '"1"' }, ...(n === 0 ? { stall: 3000 } : {}) }));
    expect((await fetchFile(url, quick)).bytes).toEqual(OLD);
    expect(ranges).toEqual([null, 3000]);
  });

  test('ever: an error that says so, for a file and for the question whether there is one', async () => {
    const { url } = await host(() => undefined);
    await expect(fetchFile(url, { patienceMs: 20, pauseMs: 1 })).rejects.toMatchObject({ code: 'network', message: expect.stringMatching(/onnx\/model\.onnx.*nothing for 0\.02 s/) as string });
    await expect(statFile(url, { patienceMs: 20 })).rejects.toMatchObject({ code: 'network' });
  });

  test('a reader who cancels meanwhile is not kept waiting', async () => {
    const { url } = await host((_, from, response) => send(response, OLD, from, { stall: 10 }));
    const controller = new AbortController();
    await expect(fetchFile(url, { signal: controller.signal, onBytes: () => controller.abort() })).rejects.toMatchObject({ code: 'cancelled' });
  });
});

describe('a kept part', () => {
  const part = (): Kept => Object.assign(new Kept(OLD.slice(0, 1500)), { etag: '"1"' });
  const answer = (data: Uint8Array) => (_: number, from: number, response: ServerResponse) => send(response, data, from, { headers: { ETag: '"1"' } });

  test('is read to where it belongs, without a second copy of it', async () => {
    const { url, ranges } = await host(answer(OLD));
    const kept = part();
    const moved: [number, boolean][] = [];
    const { bytes } = await fetchFile(url, { ...quick, store: storeOf(kept), onBytes: (n, m) => moved.push([n, m]) });
    expect(bytes).toEqual(OLD);
    expect([kept.reads, kept.complete, kept.bytes]).toEqual([0, true, OLD]);
    expect(ranges).toEqual([1500]);
    expect(moved[0]).toEqual([1500, false]);
  });

  test.each([
    ['as a whole', undefined],
    ['as it comes', 1000],
  ])('and the rest are hashed %s', async (_, hashAsTheyCome) => {
    const { url } = await host(answer(OLD));
    const asked = { ...quick, hashAsTheyCome };
    expect((await fetchFile(url, { ...asked, store: storeOf(part()), expectedSha256: sha256(OLD) })).sha256).toBe(sha256(OLD));
    const kept = part();
    await expect(fetchFile(url, { ...asked, store: storeOf(kept), expectedSha256: sha256(NEW) })).rejects.toMatchObject({ code: 'broken-file' });
    expect([kept.complete, kept.length]).toEqual([false, 0]);
  });
});

test('SHA-256 of pieces of any length', () => {
  for (const length of [0, 1, 55, 56, 57, 63, 64, 65, 119, 120, 121, 5000]) {
    const data = OLD.subarray(0, length);
    const hash = new Sha256();
    for (let at = 0; at < length; at += 37) hash.update(data.subarray(at, at + 37));
    expect(hash.digest()).toBe(sha256(data));
  }
});

describe('what a host refuses', () => {
  test.each([
    [401, 'RepoNotFound', 'not-found', /has no model o\/n, or it is private/],
    [404, 'RepoNotFound', 'not-found', /has no model o\/n, or it is private/],
    [404, 'RevisionNotFound', 'not-found', /no such revision/],
    [404, 'EntryNotFound', 'not-found', /onnx\/model\.onnx is not at/],
    [401, 'GatedRepo', 'gated', /without permission/],
    [403, 'GatedRepo', 'gated', /without permission/],
    [401, null, 'gated', /does not exist, is private, or its licence must be accepted/],
  ])('%i %s', async (status, error, code, message) => {
    const { url } = await host((_, __, response) => void response.writeHead(status, error ? { 'X-Error-Code': error } : {}).end());
    await expect(fetchFile(url, quick)).rejects.toMatchObject({ code, message: expect.stringMatching(message) as string });
  });

  test('is named as a reader would name it, never by its revision', () => {
    const host = 'https://huggingface.co';
    expect(fileName(`${host}/o/n/resolve/main/onnx/model.onnx`)).toBe('onnx/model.onnx');
    expect(fileName(`${host}/o/n/resolve/refs%2Fpr%2F3/config.json`)).toBe('config.json');
    expect(fileName(`${host}/api/models/o/n/revision/${'0'.repeat(40)}?blobs=true`)).toBe('the list of files of o/n');
    expect(fileName('https://page.example/items/world.json')).toBe('world.json');
  });
});
