/**
 * The benchmark's own site on the test harness' server: its page, and every model folder at a hub's addresses, for the lab and
 * for transformers.js alike. Under the owner `endless` a model has no stop tokens, so that both generate as far as they are asked to.
 */
import { existsSync, readFileSync } from 'node:fs';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { join } from 'node:path';
import { build } from 'vite';
import { serve, type Served } from '../harness';
import type { Folder } from './folder';

type Json = Record<string, unknown>;

export interface Site extends Served {
  page: string;
  add(folder: Folder): void;
}

/** @param built folder of the built page  @param temp folder of other files, served under /temp/ */
export async function serveSite(built: string, temp: string, isolated: boolean): Promise<Site> {
  // The harness serves nothing without a built app.
  if (!existsSync(join(import.meta.dirname, '../../dist/index.html'))) await build({ logLevel: 'error' });
  const mounts: Record<string, string> = { '/bench/': built, '/temp/': temp };
  const folders = new Map<string, Folder>();
  const served = await serve({ isolated, mounts, intercept: (request, response) => endless(folders, request, response) });
  return {
    ...served,
    page: `${served.origin}/bench/`,
    add: (folder) => {
      mounts[`/fixtures/models/${folder.name}/`] = folder.path;
      folders.set(folder.name, folder);
    },
  };
}

/** Without stop tokens; and with a template where there is none, because a plain completion ends at a line break. */
const CHANGES: Record<string, (json: Json) => Json> = {
  'config.json': ({ eos_token_id: _eos, ...json }) => json,
  'generation_config.json': ({ eos_token_id: _eos, ...json }) => json,
  'tokenizer_config.json': (json) => ({ chat_template: '{% for m in messages %}{{ m.content }}{% endfor %}', ...json }),
};

function endless(folders: ReadonlyMap<string, Folder>, request: IncomingMessage, response: ServerResponse): boolean {
  const match = /^\/mirror\/endless\/([^/]+)\/resolve\/[^/]+\/([\w.]+)$/.exec(new URL(request.url ?? '/', 'http://x').pathname);
  const change = match && CHANGES[match[2]];
  const path = match && join(folders.get(match[1])?.path ?? '', match[2]);
  if (!change || !path || !existsSync(path)) return false;
  const body = JSON.stringify(change(JSON.parse(readFileSync(path, 'utf8')) as Json));
  response.writeHead(200, { 'Content-Type': 'application/json', 'Content-Length': Buffer.byteLength(body) });
  response.end(request.method === 'HEAD' ? undefined : body);
  return true;
}
