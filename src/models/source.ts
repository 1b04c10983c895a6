/** Where the files of a model come from: the page itself, a hub (or a mirror with its layout), or files the reader dropped. */
import { LabError, toLabError } from '../runtime/errors';
import { fetchFile, parseJson, statFile, type Fetched, type FetchOptions } from '../runtime/fetch';
import type { FileStore } from '../runtime/store';
import type { ModelRef } from '../types';
import { bundledFiles } from './catalogue';
import type { RemoteFile } from './choose';
import { DEFAULT_HOST, DTYPE_SUFFIX, isCommit } from './reference';

export interface ReadOptions {
  signal?: AbortSignal;
  onBytes?: (bytes: number, moved: boolean) => void;
  onTotal?: (bytes: number) => void;
  onStoreFull?: () => void;
}

export interface ModelSource {
  /** The commit where the host tells it, else what was asked for. */
  readonly revision: string;
  /** All files; those of unknown size have `bytes: null`. */
  readonly files: RemoteFile[];
  has(path: string): boolean;
  /** @throws LabError as `fetchFile` does */
  read(path: string, options?: ReadOptions): Promise<Fetched>;
}

export interface SourceContext {
  /** Address of the page's folder, with a slash at the end; bundled models lie under it. */
  base: string;
  store: FileStore | null;
  /** A hub token for one host, in memory only. */
  tokenFor: (host: string) => string | null;
  dropped: ReadonlyMap<string, DroppedFiles>;
  signal?: AbortSignal;
}

/** Files given by the reader: path within the model's folder → file. */
export type DroppedFiles = ReadonlyMap<string, File>;

export async function openSource(ref: ModelRef, context: SourceContext): Promise<ModelSource> {
  const [scheme, name] = ref.id.includes(':') ? ref.id.split(':', 2) : ['hub', ref.id];
  if (scheme === 'files') {
    const files = context.dropped.get(name);
    if (!files) throw new LabError('not-found', 'The dropped files are no longer here.', 'Drop them again.');
    return new FilesSource(files);
  }
  if (scheme === 'bundled') return openBundled(name, context);
  return openHub(ref, context);
}

class HttpSource implements ModelSource {
  constructor(
    readonly revision: string,
    readonly files: RemoteFile[],
    private readonly root: string,
    private readonly shared: Pick<FetchOptions, 'store' | 'token'>,
  ) {}

  has(path: string): boolean {
    return this.files.some((f) => f.path === path);
  }

  read(path: string, options: ReadOptions = {}): Promise<Fetched> {
    const known = this.files.find((f) => f.path === path);
    return fetchFile(this.root + path.split('/').map(encodeURIComponent).join('/'), {
      ...this.shared,
      ...options,
      expectedBytes: known?.bytes ?? null,
      expectedSha256: known?.sha256 ?? null,
    });
  }
}

const SMALL_FILES = ['config.json', 'generation_config.json', 'tokenizer.json', 'tokenizer_config.json', 'chat_template.jinja'];

/** Bundled files change only with the page, and the browser's own cache and the service worker keep them: no store. */
async function openBundled(name: string, context: SourceContext): Promise<ModelSource> {
  const root = new URL(`models/${name}/`, context.base).href;
  const listed = (await bundledFiles(context.base, context.signal)).get(`bundled:${name}`);
  return new HttpSource((listed && (await contentOf(listed))) ?? 'bundled', listed ?? (await probe(root, null, context)), root, {});
}

/** What stands for a commit where there is none: a hash of the files' hashes, so that a model trained anew is told apart. null where one of them is not known. */
export async function contentOf(files: readonly RemoteFile[]): Promise<string | null> {
  if (!globalThis.crypto?.subtle || files.some((f) => f.sha256 === null)) return null;
  const lines = files.map((f) => `${f.path} ${f.sha256}`).sort();
  const digest = new Uint8Array(await crypto.subtle.digest('SHA-256', new TextEncoder().encode(lines.join('\n'))));
  return Array.from(digest.subarray(0, 6), (b) => b.toString(16).padStart(2, '0')).join('');
}

interface HubInfo {
  sha?: string;
  siblings?: { rfilename: string; size?: number; lfs?: { sha256?: string; size?: number } }[];
}

/**
 * A hub tells the commit, the files, their sizes and their SHA-256 in one answer; a plain mirror tells nothing, and is asked
 * for each usual file instead. Only addresses that hold a commit are kept in the store: theirs is the only content that
 * cannot change behind its name.
 */
async function openHub(ref: ModelRef, context: SourceContext): Promise<ModelSource> {
  const host = (ref.host ?? DEFAULT_HOST).replace(/\/+$/, '');
  const wanted = ref.revision ?? 'main';
  const token = context.tokenFor(new URL(host).origin);
  const info = await hubInfo(host, ref.id, wanted, token, context.signal);
  const revision = info?.sha ?? wanted;
  const root = `${host}/${ref.id}/resolve/${encodeURIComponent(revision)}/`;
  const files = info?.siblings
    ? info.siblings.map((s) => ({
        path: s.rfilename,
        bytes: s.lfs?.size ?? s.size ?? null,
        sha256: s.lfs?.sha256 ?? null,
      }))
    : await probe(root, token, context);
  return new HttpSource(revision, files, root, { store: isCommit(revision) ? context.store : null, token });
}

const HUB_INFO_CACHE = 'lab-hub-info';

async function hubInfo(
  host: string,
  id: string,
  revision: string,
  token: string | null,
  signal: AbortSignal | undefined,
): Promise<HubInfo | null> {
  const url = `${host}/api/models/${id}/revision/${encodeURIComponent(revision)}?blobs=true`;
  try {
    const fetched = await fetchFile(url, { signal, token });
    const info = parseJson(fetched) as HubInfo;
    if (!Array.isArray(info.siblings)) return null;
    await remember(url, fetched.bytes);
    return info;
  } catch (error) {
    const known = toLabError(error, 'network');
    if (known.code === 'cancelled' || known.code === 'superseded' || known.code === 'gated') throw known;
    if (known.code === 'network') {
      // Offline, what was known of the repository the last time is enough to find its files in the store.
      const kept = await recall(url);
      if (kept) return kept;
      throw known;
    }
    // No API here (a mirror), or no such repository: the files themselves will tell.
    return null;
  }
}

async function remember(url: string, body: Uint8Array<ArrayBuffer>): Promise<void> {
  try {
    await (await caches.open(HUB_INFO_CACHE)).put(url, new Response(body));
  } catch {
    // Private windows have no Cache API: the lab then only works online.
  }
}

async function recall(url: string): Promise<HubInfo | null> {
  try {
    const kept = await (await caches.open(HUB_INFO_CACHE)).match(url);
    return kept ? ((await kept.json()) as HubInfo) : null;
  } catch {
    return null;
  }
}

/** Asks for each usual file by name. */
async function probe(root: string, token: string | null, context: SourceContext): Promise<RemoteFile[]> {
  const ask = async (path: string): Promise<RemoteFile | null> => {
    const found = await statFile(root + path, { signal: context.signal, token });
    return found && { path, bytes: found.bytes, sha256: null };
  };
  const config = await ask('config.json');
  if (!config)
    throw new LabError('not-found', `There is no model at ${root}.`, 'Check the name and the revision, and that the repository is public.');
  const graphs = Object.values(DTYPE_SUFFIX).map((suffix) => `onnx/model${suffix}.onnx`);
  const found = await Promise.all([...SMALL_FILES.slice(1), ...graphs].map(ask));
  const files = [config, ...found].filter((f): f is RemoteFile => f !== null);
  const data = await Promise.all(files.filter((f) => f.path.endsWith('.onnx')).map((f) => ask(`${f.path}_data`)));
  return [...files, ...data.filter((f): f is RemoteFile => f !== null)];
}

class FilesSource implements ModelSource {
  readonly revision = 'files';
  readonly files: RemoteFile[];

  constructor(private readonly dropped: DroppedFiles) {
    this.files = [...dropped].map(([path, file]) => ({ path, bytes: file.size, sha256: null }));
  }

  has(path: string): boolean {
    return this.dropped.has(path);
  }

  async read(path: string, options: ReadOptions = {}): Promise<Fetched> {
    const file = this.dropped.get(path);
    if (!file) throw new LabError('not-found', `${path} is not among the dropped files.`, 'Drop the whole folder of the model.');
    // A Blob is readable by address: one way of reading, one set of checks.
    const url = URL.createObjectURL(file);
    try {
      return { ...(await fetchFile(url, { ...options, expectedBytes: file.size })), url: path };
    } finally {
      URL.revokeObjectURL(url);
    }
  }
}
