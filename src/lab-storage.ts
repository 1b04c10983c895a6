/** What the worker keeps: stored files, the reader's tokens and dropped files. All of it is what a model may be read from. */
import type { DroppedFiles, SourceContext } from './models/source';
import { openStore, type FileStore } from './runtime/store';
import type { StorageReport } from './types';

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
      used: estimate?.usage ?? null,
      quota: estimate?.quota ?? null,
      persisted: (await navigator.storage?.persisted?.().catch(() => false)) ?? false,
      unavailable: store ? null : 'This browser (or this private window) keeps no files: models are loaded anew each time.',
    };
  }

  /** One file by its address, or all of them. */
  async deleteStored(url: string | null): Promise<StorageReport> {
    const store = await this.openStore();
    for (const file of store ? await store.list() : []) if (url === null || file.url === url) await store?.delete(file.url);
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
