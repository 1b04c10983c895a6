/**
 * A stand-in hub: the hub's addresses, its API, redirects to a blob host, Range and ETag, and faults on demand. Faults are
 * set per file path with `fault`, and count down so that a retry can succeed.
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
  /** Everything that was asked for, in order: "GET /path [range]". */
  log: string[];
  /** `path` within the repository, or '*'. */
  fault(path: string, fault: Fault, times?: number): void;
  reset(): void;
  /** Only requests with this token are answered; null: everyone. */
  require(token: string | null): void;
  /** Without an API it is a plain mirror. */
  api(on: boolean): void;
  /** A repository made of these files instead of a fixture's. */
  repository(id: string, files: Record<string, Buffer>): void;
  close(): Promise<void>;
}

/** @param models folder of repositories: `<owner>/<name>` is served from `<models>/<name>` */
export async function startHub(models: string): Promise<Hub> {
  const log: string[] = [];
  const faults = new Map<string, Planned>();
  const made = new Map<string, Record<string, Buffer>>();
  let token: string | null = null;
  let api = true;
  const blobs = new Map<string, Buffer>();

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

  const server = createServer((request, response) => {
    const { pathname } = new URL(request.url ?? '/', 'http://x');
    log.push(`${request.method} ${pathname}${request.headers.range ? ` ${request.headers.range}` : ''}`);
    // What the real hub exposes to other origins.
    response.setHeader('Access-Control-Allow-Origin', '*');
    response.setHeader('Access-Control-Expose-Headers', 'ETag, Content-Range, Content-Length, Accept-Ranges, X-Repo-Commit, Retry-After');
    response.setHeader('Access-Control-Allow-Headers', 'Authorization, Range');
    response.setHeader('Cross-Origin-Resource-Policy', 'cross-origin');
    if (request.method === 'OPTIONS') return void response.writeHead(204).end();
    if (token && request.headers.authorization !== `Bearer ${token}` && !pathname.startsWith('/blob/')) return void response.writeHead(401).end();

    const info = /^\/api\/models\/([^/]+\/[^/]+)\/revision\/([^/]+)$/.exec(pathname);
    if (info) {
      const list = api && faults.get('api') === undefined ? files(info[1]) : null;
      if (trouble('api', response)) return;
      if (!list || (info[2] !== 'main' && info[2] !== commitOf(info[1]))) return void response.writeHead(404).end();
      const siblings = Object.entries(list).map(([rfilename, data]) => ({
        rfilename,
        size: data.length,
        ...(data.length > 50_000 ? { lfs: { size: data.length, sha256: sha256(data) } } : {}),
      }));
      response.setHeader('Content-Type', 'application/json');
      return void response.end(JSON.stringify({ sha: commitOf(info[1]), siblings }));
    }
    const file = /^\/([^/]+\/[^/]+)\/resolve\/([^/]+)\/(.+)$/.exec(pathname);
    if (file) {
      const [, id, revision, path] = file;
      const data = revision === 'main' || revision === commitOf(id) ? files(id)?.[decodeURIComponent(path)] : undefined;
      if (trouble(path, response, data, request)) return;
      if (!data) return void response.writeHead(404).end('Entry not found');
      // Large files live elsewhere, as with the hub's own storage.
      if (data.length > 50_000) {
        const key = sha256(data);
        blobs.set(key, data);
        return void response.writeHead(302, { Location: `/blob/${key}` }).end();
      }
      return send(request, response, data);
    }
    const blob = blobs.get(pathname.replace('/blob/', ''));
    if (blob) return send(request, response, blob);
    response.writeHead(404).end();
  });

  function take(path: string): Fault | null {
    const key = faults.has(path) ? path : '*';
    const planned = faults.get(key);
    if (!planned) return null;
    if (--planned.times <= 0) faults.delete(key);
    return planned.fault;
  }

  /** True when the fault answered the request. */
  function trouble(path: string, response: ServerResponse, data?: Buffer, request?: IncomingMessage): boolean {
    const fault = take(path);
    if (!fault) return false;
    if (fault.kind === 'status') {
      if (fault.retryAfter !== undefined) response.setHeader('Retry-After', String(fault.retryAfter));
      response.writeHead(fault.status).end();
      return true;
    }
    if (fault.kind === 'web-page') {
      response.writeHead(200, { 'Content-Type': 'text/html' }).end('<!doctype html><title>Hello</title>');
      return true;
    }
    if (!data || !request) return false;
    send(request, response, data, fault);
    return true;
  }

  const host = await listen(server);
  return {
    host,
    log,
    fault: (path, fault, times = 1) => void faults.set(path, { fault, times }),
    reset: () => {
      faults.clear();
      log.length = 0;
      token = null;
      api = true;
    },
    require: (t) => void (token = t),
    api: (on) => void (api = on),
    repository: (id, list) => void made.set(id, list),
    close: () => new Promise((done) => (server.closeAllConnections(), server.close(() => done()))),
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
    ...(range ? { 'Content-Range': `bytes ${from}-${to - 1}/${data.length}` } : {}),
  });
  if (fault?.kind === 'cut' || fault?.kind === 'wrong-length') {
    const after = fault.kind === 'cut' ? fault.after : body.length;
    response.write(body.subarray(0, after), () => setTimeout(() => response.destroy(), 50));
    return;
  }
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
