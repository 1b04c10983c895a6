/**
 * The built dist/ served from a sub-path by a plain static server, and Chromium on it. Shared by browser and e2e tests.
 * WebGPU is real: SwiftShader runs ORT's own WebGPU kernels on the CPU.
 */
import { createReadStream, existsSync, statSync } from 'node:fs';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { extname, join, normalize, resolve } from 'node:path';
import { chromium, type Browser, type BrowserContext, type Page } from 'playwright-core';
// @ts-expect-error a plain script, shared with the shell
import { findChromium } from './chromium.mjs';

const ROOT = resolve(import.meta.dirname, '..');
/** Another build than dist/, so that a rebuild does not pull the floor from under running tests. */
const DIST = process.env['LAB_DIST'] ?? join(ROOT, 'dist');
const TYPES: Record<string, string> = {
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript',
  '.mjs': 'text/javascript',
  '.css': 'text/css',
  '.json': 'application/json',
  '.wasm': 'application/wasm',
  '.svg': 'image/svg+xml',
  '.woff2': 'font/woff2',
};

export interface ServeOptions {
  /** Cross-origin isolation headers, which WASM threads need. Default true. */
  isolated?: boolean;
  /** Folder → path under the server's root. Default: dist at /lab/. */
  mounts?: Record<string, string>;
  /** First look at every request; true when it answered. */
  intercept?: (request: IncomingMessage, response: ServerResponse) => boolean;
}

export interface Served {
  /** Of the page, with a slash at the end. */
  url: string;
  origin: string;
  close(): Promise<void>;
}

export async function serve(options: ServeOptions = {}): Promise<Served> {
  const mounts = options.mounts ?? { '/lab/': DIST, '/fixtures/': join(ROOT, 'tests/fixtures') };
  if (!existsSync(join(DIST, 'index.html'))) throw new Error('dist/ is missing: run `npm run build` first');
  const server = createServer((request, response) => {
    if (options.isolated !== false) {
      response.setHeader('Cross-Origin-Opener-Policy', 'same-origin');
      response.setHeader('Cross-Origin-Embedder-Policy', 'require-corp');
    }
    if (options.intercept?.(request, response)) return;
    sendFile(request, response, mounts);
  });
  const origin = await listen(server);
  return { url: `${origin}/lab/`, origin, close: () => new Promise((done) => (server.closeAllConnections(), server.close(() => done()))) };
}

function sendFile(request: IncomingMessage, response: ServerResponse, mounts: Record<string, string>): void {
  // `/mirror/<owner>/<name>/resolve/<revision>/…` is a plain mirror of the fixtures: the hub's addresses without its API.
  const path = decodeURIComponent(new URL(request.url ?? '/', 'http://x').pathname).replace(
    /^\/mirror\/[^/]+\/([^/]+)\/resolve\/[^/]+\//,
    '/fixtures/models/$1/',
  );
  const mount = Object.keys(mounts).find((m) => path.startsWith(m));
  const inside = mount ? normalize(path.slice(mount.length)) : '';
  let file = mount && !inside.startsWith('..') ? join(mounts[mount], inside) : '';
  if (file && existsSync(file) && statSync(file).isDirectory()) file = join(file, 'index.html');
  if (!file || !existsSync(file)) {
    response.writeHead(404, { 'Content-Type': 'text/plain' }).end('not found');
    return;
  }
  response.writeHead(200, {
    'Content-Type': TYPES[extname(file)] ?? 'application/octet-stream',
    'Content-Length': statSync(file).size,
    'Cache-Control': 'no-cache',
  });
  if (request.method === 'HEAD') response.end();
  else createReadStream(file).pipe(response);
}

export function listen(server: Server): Promise<string> {
  return new Promise((done) => server.listen(0, '127.0.0.1', () => done(`http://127.0.0.1:${(server.address() as AddressInfo).port}`)));
}

export interface LaunchOptions {
  /** SwiftShader's adapter, or none at all. Default 'swiftshader'. */
  webgpu?: 'swiftshader' | 'off';
}

export function launch(options: LaunchOptions = {}): Promise<Browser> {
  const executablePath = findChromium();
  if (!executablePath) throw new Error('No Chromium found: set CHROMIUM to its path.');
  const gpu =
    options.webgpu === 'off'
      ? ['--disable-features=WebGPU', '--disable-gpu']
      : ['--enable-unsafe-webgpu', '--enable-features=Vulkan,WebGPU', '--use-webgpu-adapter=swiftshader', '--use-vulkan=swiftshader', '--disable-vulkan-surface'];
  return chromium.launch({
    executablePath,
    args: [
      '--no-sandbox',
      '--disable-quic',
      '--no-first-run',
      '--disable-background-networking',
      '--disable-component-update',
      '--disable-sync',
      '--js-flags=--expose-gc',
      ...gpu,
    ],
  });
}

export interface Visit {
  context: BrowserContext;
  page: Page;
  /** Requests to any other host than the page's own. */
  foreign: string[];
  /** Page errors and console errors. */
  errors: string[];
  close(): Promise<void>;
}

export interface VisitOptions {
  /** A connection on which the page waits for a click before it loads a model. */
  metered?: boolean;
  /** Without the service worker: what passes through one may escape the test's own stand-in for a foreign host. */
  withoutOffline?: boolean;
}

export async function visit(browser: Browser, url: string, options: VisitOptions = {}): Promise<Visit> {
  const context = await browser.newContext({ serviceWorkers: options.withoutOffline ? 'block' : 'allow' });
  if (options.metered) await context.addInitScript(() => Object.defineProperty(navigator, 'connection', { value: { saveData: true } }));
  const page = await context.newPage();
  const foreign: string[] = [];
  const errors: string[] = [];
  const { host } = new URL(url);
  context.on('request', (request) => {
    const target = new URL(request.url());
    if (/^https?:/.test(target.protocol) && target.host !== host) foreign.push(request.url());
  });
  page.on('pageerror', (error) => errors.push(error.message));
  page.on('console', (message) => message.type() === 'error' && errors.push(message.text()));
  await page.goto(url);
  return { context, page, foreign, errors, close: () => context.close() };
}

/**
 * A page with a lab of its own as `window.own`, apart from the one that the page's interface drives. Everything in tests goes
 * through it with `page.evaluate`.
 */
export async function visitLab(browser: Browser, url: string): Promise<Visit> {
  const visited = await visit(browser, url, { metered: true });
  await visited.page.waitForFunction(() => 'lab' in window, undefined, { timeout: 60_000 });
  await visited.page.evaluate(() => {
    const scope = window as unknown as { lab: { another(): unknown }; own: unknown };
    scope.own = scope.lab.another();
  });
  return visited;
}
