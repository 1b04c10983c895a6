/**
 * Downloads kept on this device, in the origin's private file system: unlike the Cache API it can hold half a file, which is
 * what makes a download resumable. Each file is two entries: `<key>.bin`, and `<key>.json` that says what it is. A file counts
 * as complete only when its JSON says so, which is written last.
 */
import type { StoredFileInfo } from '../types';
import { toLabError } from './errors';
import type { Readable } from './view';

/** An open file of the store. One writer at a time, enforced by the browser's lock on the handle. */
export interface StoredFile {
  readonly complete: boolean;
  readonly length: number;
  readonly sha256: string | null;
  /** Of what is kept: its ETag, or Last-Modified where the host showed none. */
  etag: string | null;
  /** The bytes kept so far, in a new buffer. */
  read(): Uint8Array<ArrayBuffer>;
  /** Fills `target` with what is kept from byte `at` on. */
  readInto(target: Uint8Array<ArrayBuffer>, at: number): void;
  /** False when the disk is full. */
  append(chunk: Uint8Array<ArrayBuffer>): boolean;
  /** False when the disk is full for its description: then it is not kept. */
  finish(sha256: string | null): Promise<boolean>;
  clear(): Promise<void>;
  close(): void;
}

export interface FileStore {
  /**
   * null when the file cannot be kept (another tab is writing it): the caller then works in memory.
   * @throws LabError 'storage-full' when there is not even room for its entry
   */
  open(url: string): Promise<StoredFile | null>;
  /** A complete file, to be read in pieces and closed; null when it is not here, not complete, or being written. */
  view(url: string): Promise<Readable | null>;
  list(): Promise<StoredFileInfo[]>;
  /** False when the file is being written, here or in another tab: it then stays as it is. */
  delete(url: string): Promise<boolean>;
  /** Everything, what a crash left behind included; how many files stayed because they are being written. */
  clear(): Promise<number>;
}

const FOLDER = 'lab-files';

/** Many may read a file at a time, where the browser knows the mode (the types do not yet); where it does not, one. */
interface SharedFileHandle extends FileSystemFileHandle {
  createSyncAccessHandle(options?: { mode: 'read-only' }): Promise<FileSystemSyncAccessHandle>;
}

interface Meta {
  url: string;
  etag: string | null;
  sha256: string | null;
  complete: boolean;
  bytes: number;
  time: string;
}

/** The store of this origin, or null where the browser has none (private windows of some browsers, old Safari). */
export async function openStore(): Promise<FileStore | null> {
  try {
    const root = await navigator.storage.getDirectory();
    // A full disk refuses the folder now and may have room for it later; any other refusal is for good.
    await folderIn(root).catch((error: unknown) => {
      if (!isFull(error)) throw error;
    });
    return new OpfsStore(root);
  } catch {
    return null;
  }
}

const folderIn = (root: FileSystemDirectoryHandle): Promise<FileSystemDirectoryHandle> => root.getDirectoryHandle(FOLDER, { create: true });
const isFull = (error: unknown): boolean => error instanceof DOMException && error.name === 'QuotaExceededError';

class OpfsStore implements FileStore {
  constructor(private readonly root: FileSystemDirectoryHandle) {}

  async open(url: string): Promise<StoredFile | null> {
    const key = await keyOf(url);
    let access: FileSystemSyncAccessHandle | null = null;
    try {
      const folder = await folderIn(this.root);
      const meta = await readMeta(folder, `${key}.json`);
      const handle = await folder.getFileHandle(`${key}.bin`, { create: true });
      access = await handle.createSyncAccessHandle();
      const file = new OpfsFile(url, access, meta, (m) => writeMeta(folder, `${key}.json`, m));
      // Data without a description, or a complete file of the wrong length, is what a crash left behind.
      if ((!meta && access.getSize() > 0) || (meta?.complete && access.getSize() !== meta.bytes)) await file.clear();
      return file;
    } catch (error) {
      access?.close();
      if (isFull(error)) throw toLabError(error, 'storage-full', 'store');
      return null;
    }
  }

  async view(url: string): Promise<Readable | null> {
    try {
      const key = await keyOf(url);
      const folder = await folderIn(this.root);
      const meta = await readMeta(folder, `${key}.json`);
      if (!meta?.complete) return null;
      const handle = (await folder.getFileHandle(`${key}.bin`)) as SharedFileHandle;
      const access = await handle.createSyncAccessHandle({ mode: 'read-only' });
      const length = access.getSize();
      if (length === meta.bytes) return { length, readAt: (into, at) => void access.read(into, { at }), close: () => access.close() };
      access.close();
    } catch {
      // Then it is read as a whole, or fetched again.
    }
    return null;
  }

  async list(): Promise<StoredFileInfo[]> {
    const files: StoredFileInfo[] = [];
    const folder = await this.folder();
    if (!folder) return files;
    for await (const [name, handle] of folder.entries()) {
      if (!name.endsWith('.json') || handle.kind !== 'file') continue;
      const meta = await readMeta(folder, name);
      if (!meta) continue;
      const data = await folder.getFileHandle(name.replace(/json$/, 'bin')).catch(() => null);
      const bytes = data ? (await data.getFile()).size : 0;
      files.push({ url: meta.url, bytes, complete: meta.complete, time: meta.time });
    }
    return files.sort((a, b) => (a.url < b.url ? -1 : 1));
  }

  async delete(url: string): Promise<boolean> {
    const folder = await this.folder();
    return folder ? remove(folder, await keyOf(url)) : true;
  }

  async clear(): Promise<number> {
    const keys = new Set<string>();
    const folder = await this.folder();
    if (!folder) return 0;
    for await (const name of folder.keys()) keys.add(name.replace(/\.(json|bin)$/, ''));
    let stayed = 0;
    for (const key of keys) if (!(await remove(folder, key))) stayed++;
    return stayed;
  }

  /** null while a full disk has no room for the folder: then nothing is kept. */
  private async folder(): Promise<FileSystemDirectoryHandle | null> {
    try {
      return await folderIn(this.root);
    } catch (error) {
      if (isFull(error)) return null;
      throw toLabError(error, 'internal', 'store');
    }
  }
}

/** The data first: while they are locked by a download, their description must stay. */
async function remove(folder: FileSystemDirectoryHandle, key: string): Promise<boolean> {
  for (const name of [`${key}.bin`, `${key}.json`])
    try {
      await folder.removeEntry(name);
    } catch (error) {
      const cause = error instanceof DOMException ? error.name : '';
      if (cause === 'NoModificationAllowedError') return false;
      if (cause !== 'NotFoundError') throw toLabError(error, 'internal', 'delete');
    }
  return true;
}

async function readMeta(folder: FileSystemDirectoryHandle, name: string): Promise<Meta | null> {
  try {
    const handle = await folder.getFileHandle(name);
    return JSON.parse(await (await handle.getFile()).text()) as Meta;
  } catch {
    return null;
  }
}

async function writeMeta(folder: FileSystemDirectoryHandle, name: string, meta: Meta): Promise<void> {
  const handle = await folder.getFileHandle(name, { create: true });
  const access = await handle.createSyncAccessHandle();
  try {
    access.truncate(0);
    access.write(new TextEncoder().encode(JSON.stringify(meta)), { at: 0 });
    access.flush();
  } finally {
    access.close();
  }
}

class OpfsFile implements StoredFile {
  etag: string | null;
  private described: boolean;
  private closed = false;

  constructor(
    private readonly url: string,
    private readonly access: FileSystemSyncAccessHandle,
    private meta: Meta | null,
    private readonly write: (meta: Meta) => Promise<void>,
  ) {
    this.etag = meta?.etag ?? null;
    this.described = meta !== null;
  }

  get complete(): boolean {
    return this.meta?.complete ?? false;
  }

  get sha256(): string | null {
    return this.meta?.sha256 ?? null;
  }

  get length(): number {
    return this.access.getSize();
  }

  read(): Uint8Array<ArrayBuffer> {
    const bytes = new Uint8Array(this.access.getSize());
    this.access.read(bytes, { at: 0 });
    return bytes;
  }

  readInto(target: Uint8Array<ArrayBuffer>, at: number): void {
    this.access.read(target, { at });
  }

  append(chunk: Uint8Array<ArrayBuffer>): boolean {
    try {
      // The description goes first and is not waited for: without it the data would be thrown away as a crash's remains.
      if (!this.described) {
        this.described = true;
        this.pending = this.write(this.describe(false, null)).catch(() => undefined);
      }
      return this.access.write(chunk, { at: this.access.getSize() }) === chunk.length;
    } catch {
      return false;
    }
  }
  private pending: Promise<void> = Promise.resolve();

  async finish(sha256: string | null): Promise<boolean> {
    try {
      await this.pending;
      this.access.flush();
      const meta = this.describe(true, sha256);
      await this.write(meta);
      this.meta = meta;
      return true;
    } catch (error) {
      // A description that cannot be written costs a download next time, nothing now.
      return !isFull(error);
    }
  }

  async clear(): Promise<void> {
    await this.pending;
    this.access.truncate(0);
    this.access.flush();
    this.meta = null;
    this.described = false;
    this.etag = null;
  }

  close(): void {
    if (this.closed) return;
    this.closed = true;
    this.access.flush();
    this.access.close();
  }

  private describe(complete: boolean, sha256: string | null): Meta {
    return { url: this.url, etag: this.etag, sha256, complete, bytes: this.access.getSize(), time: new Date().toISOString() };
  }
}

async function keyOf(url: string): Promise<string> {
  const digest = new Uint8Array(await crypto.subtle.digest('SHA-256', new TextEncoder().encode(url)));
  return Array.from(digest.subarray(0, 16), (b) => b.toString(16).padStart(2, '0')).join('');
}
