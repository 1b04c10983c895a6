/** What the worker keeps: stored files, the reader's tokens and dropped files. All of it is what a model may be read from. */
import { HUB_INFO_CACHE } from './models/hub';
import type { DroppedFiles, SourceContext } from './models/source';
import { LabError } from './runtime/errors';
import { openStore, type FileStore } from './runtime/store';
import type { StorageReport, StoredCacheInfo } from './types';

/** The page's own files, kept by `runtime/offline.ts` and the service worker. */
const SHELL = 'lab-shell-';

export class LabStorage {
  private readonly tokens = new Map<string, string>();
  private readonly dropped = new Map<string, DroppedFiles>();
  private store: Promise<FileStore | null> | null = null;

  /** @param base address of the page's folder, with a slash at the end */
  constructor(private readonly base: string) {}

  async report(): Promise<StorageReport> {
    const store = await this.openStore();
    const estimate = await navigator.storage?.estimate?.().catch(() => null);
    return {
      files: store ? await store.list() : [],
      caches: await cachesHere(),
      used: estimate?.usage ?? null,
      quota: estimate?.quota ?? null,
      persisted: (await navigator.storage?.persisted?.().catch(() => false)) ?? false,
      unavailable: store ? null : 'This browser (or this private window) keeps no files: models are loaded anew each time.',
    };
  }

  /**
   * One file by its address, one cache by its name, or all there is. What can be deleted is, whatever stays.
   * @throws LabError 'bad-input' when a file stays because it is being written
   */
  async deleteStored(which: string | null): Promise<StorageReport> {
    const store = await this.openStore();
    const stayed = !store ? 0 : which === null ? await store.clear() : (await store.delete(which)) ? 0 : 1;
    for (const { name } of await cachesHere()) if (which === null || which === name) await caches.delete(name);
    if (stayed > 0)
      throw new LabError(
        'bad-input',
        `${stayed === 1 ? 'One file is' : `${stayed} files are`} being downloaded, here or in another tab, and stayed.`,
        'Cancel the download or wait for its end, then delete again.',
      );
    return this.report();
  }

  async persist(): Promise<boolean> {
    // Asked for on the page: a worker may not ask.
    return (await navigator.storage?.persisted?.()) ?? false;
  }

  /** Kept in this worker's memory only, and sent to that host only. */
  setToken(host: string, token: string | null): void {
    const { origin } = new URL(host);
    if (token) this.tokens.set(origin, token);
    else this.tokens.delete(origin);
  }

  /** Files the reader dropped, in hub layout; loaded as `files:<id>`. */
  setFiles(id: string, files: [string, File][]): void {
    this.dropped.set(id, new Map(files));
  }

  private openStore(): Promise<FileStore | null> {
    this.store ??= openStore();
    return this.store;
  }

  async context(signal: AbortSignal | undefined): Promise<SourceContext> {
    return {
      base: this.base,
      store: await this.openStore(),
      tokenFor: (host) => this.tokens.get(host) ?? null,
      dropped: this.dropped,
      signal,
    };
  }
}

async function cachesHere(): Promise<StoredCacheInfo[]> {
  // Private windows of some browsers have no Cache API, or one that refuses.
  const names = await globalThis.caches?.keys().catch((): string[] => []);
  const own = (names ?? []).filter((name) => name === HUB_INFO_CACHE || name.startsWith(SHELL));
  return Promise.all(
    own.map(async (name) => {
      const cache = await caches.open(name);
      const kept = await cache.matchAll();
      const sizes = await Promise.all(kept.map(async (response) => (await response.blob()).size));
      return { name, of: name === HUB_INFO_CACHE ? ('hubs' as const) : ('page' as const), entries: kept.length, bytes: sizes.reduce((a, b) => a + b, 0) };
    }),
  );
}
