/**
 * A stand-in hub: the hub's addresses, its API and its error codes, redirects to a blob host (another origin, as with the hub's own
 * storage), Range and ETag, and faults on demand. Faults are set per file path with `fault`, and count down so that a retry can succeed.
 */
import { createHash } from 'node:crypto';
import { readFileSync, readdirSync, statSync } from 'node:fs';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { join } from 'node:path';
import { listen } from './harness';

export type Fault =
  | { kind: 'status'; status: number; retryAfter?: number }
  /** Ends the connection after so many bytes. */
  | { kind: 'cut'; after: number }
  /** So many bytes per 20 ms. */
  | { kind: 'slow'; bytes: number }
  /** Sends so many bytes, then nothing more, and does not close. */
  | { kind: 'stall'; after: number }
  /** Announces another length than it sends. */
  | { kind: 'wrong-length' }
  | { kind: 'wrong-content' }
  | { kind: 'web-page' };

interface Planned {
  fault: Fault;
  times: number;
}

export interface Hub {
  host: string;
  /** Where large files lie. */
  blobHost: string;
  /** Everything that was asked for, in order: "GET /path [range]". */
  log: string[];
  /** The addresses that were sent a token. */
  trusted: string[];
  /** `path` within the repository, or '*'. */
  fault(path: string, fault: Fault, times?: number): void;
  reset(): void;
  /**
   * Only with this token are files given out; null: to everyone. Of a private repository nobody else learns that it is there; a gated
   * one is listed to all.
   */
  require(token: string | null, kind?: 'private' | 'gated'): void;
  /** Without an API it is a plain mirror: files in the hub's places and nothing else that pages of other origins could read. */
  api(on: boolean): void;
  /** A repository made of these files instead of a fixture's. */
  repository(id: string, files: Record<string, Buffer>): void;
  close(): Promise<void>;
}

/** What the hub says beside the status. */
type Refusal = 'RepoNotFound' | 'RevisionNotFound' | 'EntryNotFound' | 'GatedRepo';

/** What the real hub exposes to other origins. */
const EXPOSED = 'X-Repo-Commit,X-Request-Id,X-Error-Code,X-Error-Message,X-Total-Count,ETag,Link,Accept-Ranges,Content-Range,X-Linked-Size,X-Linked-ETag,X-Xet-Hash,Retry-After';

/** Files larger than this have their own place and a hash in the list. */
const LARGE = 50_000;

/** @param models folder of repositories: `<owner>/<name>` is served from `<models>/<name>` */
export async function startHub(models: string): Promise<Hub> {
  const log: string[] = [];
  const trusted: string[] = [];
  const faults = new Map<string, Planned>();
  const made = new Map<string, Record<string, Buffer>>();
  const blobs = new Map<string, { data: Buffer; fault: Fault | null }>();
  let required: { token: string; kind: 'private' | 'gated' } | null = null;
  let api = true;
  let blobHost = '';

  const files = (id: string): Record<string, Buffer> | null => {
    const own = made.get(id);
    if (own) return own;
    try {
      return readTree(join(models, id.split('/')[1]));
    } catch {
      return null;
    }
  };
  const commitOf = (id: string): string => createHash('sha1').update(id).digest('hex');

  /** Common to both hosts; false where the request was only about what may be asked. */
  function greet(request: IncomingMessage, response: ServerResponse): boolean {
    const { pathname } = new URL(request.url ?? '/', 'http://x');
    log.push(`${request.method} ${pathname}${request.headers.range ? ` ${request.headers.range}` : ''}`);
    if (request.headers.authorization) trusted.push(`http://${request.headers.host}${pathname}`);
    response.setHeader('Access-Control-Allow-Origin', '*');
    if (api) response.setHeader('Access-Control-Expose-Headers', EXPOSED);
    response.setHeader('Access-Control-Allow-Headers', 'Authorization, Range');
    response.setHeader('Cross-Origin-Resource-Policy', 'cross-origin');
    if (request.method === 'OPTIONS') response.writeHead(204).end();
    return request.method !== 'OPTIONS';
  }

  const blobServer = createServer((request, response) => {
    if (!greet(request, response)) return;
    const blob = blobs.get(new URL(request.url ?? '/', 'http://x').pathname);
    if (!blob) return void response.writeHead(404).end();
    send(request, response, blob.data, blob.fault ?? undefined);
  });

  const server = createServer((request, response) => {
    if (!greet(request, response)) return;
    const { pathname } = new URL(request.url ?? '/', 'http://x');
    const [, id, revision, path] = /^(?:\/api\/models)?\/([^/]+\/[^/]+)\/(?:revision|resolve)\/([^/]+)(?:\/(.+))?$/.exec(decodeURI(pathname)) ?? [];
    const refuse = (status: number, code: Refusal): void => void response.writeHead(status, api ? { 'X-Error-Code': code } : {}).end();
    const isApi = pathname.startsWith('/api/');
    if (!id || (isApi && !api)) return void response.writeHead(404).end();
    if (trouble(isApi ? 'api' : path, response)) return;

    const list = files(id);
    const sent = request.headers.authorization?.replace(/^Bearer /, '') ?? null;
    const known = required !== null && sent === required.token;
    const hidden = required?.kind === 'private' && !known;
    // To those it does not know the hub does not tell what is not there from what is not theirs.
    if (!list || hidden) return refuse(sent === null || hidden ? 401 : 404, 'RepoNotFound');
    if (required?.kind === 'gated' && !known && !isApi) return refuse(sent === null ? 401 : 403, 'GatedRepo');
    if (revision !== 'main' && revision !== commitOf(id)) return refuse(404, 'RevisionNotFound');
    if (isApi) {
      const siblings = Object.entries(list).map(([rfilename, data]) => ({
        rfilename,
        size: data.length,
        ...(data.length > LARGE ? { lfs: { size: data.length, sha256: sha256(data) } } : {}),
      }));
      return void response.writeHead(200, { 'Content-Type': 'application/json' }).end(JSON.stringify({ sha: commitOf(id), siblings }));
    }
    const data = list[path];
    if (!data) return refuse(404, 'EntryNotFound');
    const fault = take(path);
    if (data.length <= LARGE || !api) return send(request, response, data, fault ?? undefined);
    const place = `/blob/${sha256(data)}${fault ? `/${fault.kind}` : ''}`;
    blobs.set(place, { data, fault });
    response.writeHead(302, { Location: `${blobHost}${place}` }).end();
  });

  function take(path: string): Fault | null {
    const key = faults.has(path) ? path : '*';
    const planned = faults.get(key);
    if (!planned) return null;
    if (--planned.times <= 0) faults.delete(key);
    return planned.fault;
  }

  /** True when a fault that needs no file answered the request. */
  function trouble(path: string, response: ServerResponse): boolean {
    const planned = faults.get(faults.has(path) ? path : '*');
    if (planned?.fault.kind !== 'status' && planned?.fault.kind !== 'web-page') return false;
    const fault = take(path);
    if (fault?.kind === 'status') response.writeHead(fault.status, fault.retryAfter === undefined ? {} : { 'Retry-After': String(fault.retryAfter) }).end();
    else response.writeHead(200, { 'Content-Type': 'text/html' }).end('<!doctype html><title>Hello</title>');
    return true;
  }

  blobHost = await listen(blobServer);
  const host = await listen(server);
  const end = (s: typeof server): Promise<void> => new Promise((done) => (s.closeAllConnections(), s.close(() => done())));
  return {
    host,
    blobHost,
    log,
    trusted,
    fault: (path, fault, times = 1) => void faults.set(path, { fault, times }),
    reset: () => {
      faults.clear();
      log.length = trusted.length = 0;
      required = null;
      api = true;
    },
    require: (token, kind = 'private') => void (required = token === null ? null : { token, kind }),
    api: (on) => void (api = on),
    repository: (id, list) => void made.set(id, list),
    close: async () => void (await Promise.all([end(server), end(blobServer)])),
  };
}

function send(request: IncomingMessage, response: ServerResponse, data: Buffer, fault?: Fault): void {
  const etag = `"${sha256(data).slice(0, 32)}"`;
  const range = /^bytes=(\d+)-(\d*)$/.exec(request.headers.range ?? '');
  const from = range ? Number(range[1]) : 0;
  const to = range?.[2] ? Number(range[2]) + 1 : data.length;
  if (range && from >= data.length) return void response.writeHead(416, { 'Content-Range': `bytes */${data.length}` }).end();
  let body = data.subarray(from, to);
  const announced = fault?.kind === 'wrong-length' ? body.length + 1000 : body.length;
  if (fault?.kind === 'wrong-content') body = Buffer.from(body.map((b, i) => (i === body.length >> 1 ? b ^ 0xff : b)));
  response.writeHead(range ? 206 : 200, {
    'Content-Type': 'application/octet-stream',
    'Content-Length': announced,
    'Accept-Ranges': 'bytes',
    ETag: etag,
    // Of its content, so that another version has another one.
    'Last-Modified': new Date(parseInt(etag.slice(1, 9), 16) * 1000).toUTCString(),
    ...(range ? { 'Content-Range': `bytes ${from}-${to - 1}/${data.length}` } : {}),
  });
  if (fault?.kind === 'cut' || fault?.kind === 'wrong-length') {
    const after = fault.kind === 'cut' ? fault.after : body.length;
    response.write(body.subarray(0, after), () => setTimeout(() => response.destroy(), 50));
    return;
  }
  if (fault?.kind === 'stall') return void response.write(body.subarray(0, fault.after));
  if (fault?.kind === 'slow') {
    let at = 0;
    const timer = setInterval(() => {
      if (response.destroyed || at >= body.length) {
        clearInterval(timer);
        response.end();
        return;
      }
      response.write(body.subarray(at, at + fault.bytes));
      at += fault.bytes;
    }, 20);
    return;
  }
  response.end(body);
}

const hashes = new WeakMap<Buffer, string>();
function sha256(data: Buffer): string {
  const known = hashes.get(data) ?? createHash('sha256').update(data).digest('hex');
  hashes.set(data, known);
  return known;
}

const trees = new Map<string, Record<string, Buffer>>();
function readTree(root: string): Record<string, Buffer> {
  const known = trees.get(root);
  if (known) return known;
  const files: Record<string, Buffer> = {};
  const walk = (folder: string, prefix: string): void => {
    for (const name of readdirSync(folder)) {
      const path = join(folder, name);
      if (statSync(path).isDirectory()) walk(path, `${prefix}${name}/`);
      else files[prefix + name] = readFileSync(path);
    }
  };
  walk(root, '');
  trees.set(root, files);
  return files;
}
