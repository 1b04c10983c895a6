/** XQuAD over a real connection: a stand-in for its home serves the real files, or damages them as networks and hosts do. */
import { existsSync, readFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { readSet } from '../../src/study/sets';
import { fetchXquad, XQUAD_BYTES, XQUAD_FILES, XQUAD_SOURCE } from '../../src/study/xquad';
import { LANGUAGES } from '../../src/types';

const XQUAD = process.env['XQUAD_DIR'] ?? new URL('../../../shared/data/xquad/', import.meta.url).pathname;
const missing = !existsSync(`${XQUAD}/xquad.en.json`);
if (missing) console.warn(`skipped: ${XQUAD} is not here, so the real XQuAD is neither served nor dropped`);

/** What the host does with a file. */
type Trouble = 'none' | 'one byte off' | 'cut' | 'shorter' | 'not found' | 'reset';

describe.skipIf(missing)('XQuAD from its home', () => {
  let server: Server;
  let base: string;
  let trouble: { name: string; kind: Trouble };
  let asked: string[];
  beforeAll(async () => {
    server = createServer((request, response) => {
      const name = (request.url ?? '').split('/').pop() ?? '';
      asked.push(request.url ?? '');
      const kind = trouble.name === name ? trouble.kind : 'none';
      if (kind === 'reset') return void request.socket.destroy();
      if (kind === 'not found') return void response.writeHead(404).end();
      const bytes = readFileSync(`${XQUAD}/${name}`);
      if (kind === 'one byte off') bytes[bytes.length >> 1] ^= 1;
      if (kind === 'shorter') return void response.end(bytes.subarray(0, bytes.length - 1));
      response.writeHead(200, { 'Content-Length': bytes.length });
      if (kind === 'cut') return void response.write(bytes.subarray(0, bytes.length >> 1), () => request.socket.destroy());
      response.end(bytes);
    });
    await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
    base = `http://127.0.0.1:${(server.address() as AddressInfo).port}/pinned/`;
  });
  afterAll(() => new Promise((done) => (server.closeAllConnections(), server.close(done))));
  beforeEach(() => {
    trouble = { name: '', kind: 'none' };
    asked = [];
  });

  it('comes whole: twelve files, each of the known size and hash, 1190 items, its licence and its commit named', async () => {
    const steps: number[] = [];
    const set = await fetchXquad({ base, onBytes: (done, total) => (expect(total).toBe(XQUAD_BYTES), steps.push(done)) });
    expect(set).toMatchObject({ name: 'xquad', license: 'CC BY-SA 4.0', languages: [...LANGUAGES] });
    expect(set.items).toHaveLength(1190);
    expect(asked).toEqual(Object.keys(XQUAD_FILES).map((l) => `/pinned/xquad.${l}.json`));
    expect(steps).toHaveLength(12);
    expect(steps.at(-1)).toBe(XQUAD_BYTES);
    expect(XQUAD_SOURCE).toMatch(/\/tree\/[0-9a-f]{40}$/);
  });
  it.each<[Trouble, string, RegExp]>([
    ['one byte off', 'broken-file', /xquad\.th\.json is not the file that is known by its hash/],
    ['shorter', 'broken-file', /xquad\.th\.json is not the file/],
    ['cut', 'network', /xquad\.th\.json could not be fetched/],
    ['reset', 'network', /xquad\.th\.json could not be fetched/],
    ['not found', 'network', /xquad\.th\.json could not be fetched: status 404/],
  ])('%s: refused by its name', async (kind, code, message) => {
    trouble = { name: 'xquad.th.json', kind };
    await expect(fetchXquad({ base })).rejects.toMatchObject({ code, message: expect.stringMatching(message) as string, hint: expect.stringContaining('drop them here') as string });
    // What was mended is taken the next time: nothing of the broken answer was kept.
    trouble = { name: '', kind: 'none' };
    expect((await fetchXquad({ base })).items).toHaveLength(1190);
  });
  it('offline: says so and how else to get it', async () => {
    const closed = createServer();
    await new Promise<void>((done) => closed.listen(0, '127.0.0.1', done));
    const { port } = closed.address() as AddressInfo;
    await new Promise((done) => closed.close(done));
    await expect(fetchXquad({ base: `http://127.0.0.1:${port}/` })).rejects.toMatchObject({ code: 'network', message: expect.stringContaining('xquad.en.json could not be fetched') as string });
  });
  it('stops at the reader’s word', async () => {
    const stop = new AbortController();
    await expect(fetchXquad({ base, signal: stop.signal, onBytes: () => stop.abort() })).rejects.toMatchObject({ code: 'cancelled' });
    expect(asked).toHaveLength(1);
  });
  it('is the same set when its files are dropped', async () => {
    const files = LANGUAGES.map((l) => new File([readFileSync(`${XQUAD}/xquad.${l}.json`)], `xquad.${l}.json`));
    expect(await readSet([...files].reverse())).toEqual(await fetchXquad({ base }));
    await expect(readSet([files[0], new File([readFileSync(`${XQUAD}/xquad.de.json`).toString('utf8').replace(/"answer_start": (\d+)/, '"answer_start": 1$1')], 'xquad.de.json')])).rejects.toThrow(
      /^xquad\.de, line \d+, id [0-9a-f]+: answer_start 1\d+ points at/,
    );
  });
});
