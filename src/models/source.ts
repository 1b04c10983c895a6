/** Where the files of a model come from: the page itself, a hub (or a mirror with its layout), or files the reader dropped. */
import { LabError } from '../runtime/errors';
import { fetchFile, statFile, type Fetched, type FetchOptions } from '../runtime/fetch';
import type { FileStore } from '../runtime/store';
import { viewOfFile, viewOfMemory, type View } from '../runtime/view';
import type { ModelRef } from '../types';
import { bundledFiles } from './catalogue';
import type { RemoteFile } from './choose';
import { listing, probe, rootOf } from './hub';
import { DEFAULT_HOST, isCommit } from './reference';

export interface ReadOptions {
  signal?: AbortSignal;
  onBytes?: (bytes: number, moved: boolean) => void;
  onTotal?: (bytes: number) => void;
  onStoreFull?: () => void;
}

export interface ModelSource {
  /** The commit where the host tells it, else what was asked for. */
  readonly revision: string;
  /** All that is known to be there; those of unknown size have `bytes: null`. */
  readonly files: readonly RemoteFile[];
  has(path: string): boolean;
  /** A file that may have no usual name: a host that gives no list is asked for it. null: not there. */
  find(path: string, signal?: AbortSignal): Promise<RemoteFile | null>;
  /** @throws LabError as `fetchFile` does */
  read(path: string, options?: ReadOptions): Promise<Fetched>;
  /** The same bytes for a session to be made of: in pieces from the store where they are kept. */
  view(path: string, options?: ReadOptions): Promise<View>;
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
  readonly files: RemoteFile[];

  /** @param complete whether what is not among the files is not there */
  constructor(
    readonly revision: string,
    files: readonly RemoteFile[],
    private readonly complete: boolean,
    private readonly root: string,
    private readonly shared: Pick<FetchOptions, 'store' | 'token'>,
  ) {
    this.files = [...files];
  }

  has(path: string): boolean {
    return this.files.some((f) => f.path === path);
  }

  async view(path: string, options: ReadOptions = {}): Promise<View> {
    const kept = await this.shared.store?.view(this.addressOf(path));
    return kept ? viewOfFile(kept) : viewOfMemory((await this.read(path, options)).bytes);
  }

  async find(path: string, signal?: AbortSignal): Promise<RemoteFile | null> {
    const known = this.files.find((f) => f.path === path);
    if (known || this.complete) return known ?? null;
    const found = await statFile(this.addressOf(path), { signal, token: this.shared.token });
    if (!found) return null;
    const file = { path, bytes: found.bytes, sha256: null };
    this.files.push(file);
    return file;
  }

  read(path: string, options: ReadOptions = {}): Promise<Fetched> {
    const known = this.files.find((f) => f.path === path);
    return fetchFile(this.addressOf(path), {
      ...this.shared,
      ...options,
      expectedBytes: known?.bytes ?? null,
      expectedSha256: known?.sha256 ?? null,
    });
  }

  private addressOf(path: string): string {
    return this.root + path.split('/').map(encodeURIComponent).join('/');
  }
}

/** Bundled files change only with the page, and the browser's own cache and the service worker keep them: no store. */
async function openBundled(name: string, context: SourceContext): Promise<ModelSource> {
  const root = new URL(`models/${name}/`, context.base).href;
  const listed = (await bundledFiles(context.base, context.signal)).get(`bundled:${name}`);
  const files = listed ?? (await probe(root, { token: null, signal: context.signal }));
  return new HttpSource((listed && (await contentOf(listed))) ?? 'bundled', files, listed !== undefined, root, {});
}

/** What stands for a commit where there is none: a hash of the files' hashes, so that a model trained anew is told apart. null where one of them is not known. */
export async function contentOf(files: readonly RemoteFile[]): Promise<string | null> {
  if (!globalThis.crypto?.subtle || files.some((f) => f.sha256 === null)) return null;
  const lines = files.map((f) => `${f.path} ${f.sha256}`).sort();
  const digest = new Uint8Array(await crypto.subtle.digest('SHA-256', new TextEncoder().encode(lines.join('\n'))));
  return Array.from(digest.subarray(0, 6), (b) => b.toString(16).padStart(2, '0')).join('');
}

/** Only addresses that hold a commit are kept in the store: theirs is the only content that cannot change behind its name. */
async function openHub(ref: ModelRef, context: SourceContext): Promise<ModelSource> {
  const host = (ref.host ?? DEFAULT_HOST).replace(/\/+$/, '');
  const token = context.tokenFor(new URL(host).origin);
  const repository = { host, id: ref.id, revision: ref.revision ?? 'main' };
  const { revision, files, complete } = await listing(repository, { token, signal: context.signal, ...(ref.dtype ? { dtype: ref.dtype } : {}) });
  return new HttpSource(revision, files, complete, rootOf(repository, revision), { store: isCommit(revision) ? context.store : null, token });
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

  async find(path: string): Promise<RemoteFile | null> {
    return this.files.find((f) => f.path === path) ?? null;
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

  async view(path: string, options: ReadOptions = {}): Promise<View> {
    return viewOfMemory((await this.read(path, options)).bytes);
  }
}
