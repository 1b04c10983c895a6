/** The item sets a study may take: those that ship, those that were dropped, and XQuAD once the reader has fetched it. */
import { studyOffice } from '../../study/office';
import { SetStore, sha256, type KeptSet } from '../../study/sets';
import { bringXquad } from '../../study/xquad';
import { LANGUAGES } from '../../types';
import { getLab, isQuiet, toTrouble, type Trouble } from '../lab-api';
import { items } from '../state/items.svelte';

const SHIPPED: Record<string, string> = { world: 'the lab’s synthetic world', atlas: 'the lab’s paragraphs in twelve languages' };

class Sets {
  shipped: string[] = $state.raw([]);
  kept: string[] = $state.raw([]);
  current: KeptSet | null = $state.raw(null);
  /** What is going on, in words. */
  busy: string | null = $state(null);
  trouble: Trouble | null = $state.raw(null);
  #store: Promise<SetStore> | null = null;
  #abort: AbortController | null = null;

  async start(): Promise<void> {
    await this.#do('Looking for item sets', async () => {
      this.shipped = await (await getLab()).sets();
      this.kept = await (await this.#open()).names();
    });
    if (!this.current) await this.choose(this.shipped[0] ?? this.kept[0]);
  }

  async choose(name: string | undefined): Promise<void> {
    if (!name) return;
    await this.#do('Reading the items', async () => {
      const kept = await (await this.#open()).get(name);
      if (kept) {
        this.current = kept;
        return;
      }
      const list = await (await getLab()).items(name);
      const languages = LANGUAGES.filter((l) => list.some((i) => i.question[l] !== undefined));
      const hash = await sha256(new TextEncoder().encode(JSON.stringify(list)));
      this.current = { name, license: 'CC0-1.0', languages, items: list, source: SHIPPED[name] ?? 'ships with the lab', sha256: hash };
    });
  }

  async drop(files: File[]): Promise<void> {
    await this.#do('Reading the files', async () => {
      // In the worker: a file of 200 MB takes seconds to read and check.
      const name = await studyOffice.bring(files, $state.snapshot(this.shipped));
      const store = await this.#open();
      this.current = await store.get(name);
      await this.#changed(name);
    });
  }

  async xquad(): Promise<void> {
    await this.#do('Fetching XQuAD', async () => {
      this.#abort = new AbortController();
      this.current = await bringXquad({
        signal: this.#abort.signal,
        onBytes: (done, total) => (this.busy = `Fetching XQuAD: ${(done / 1e6).toFixed(1)} of ${(total / 1e6).toFixed(1)} MB`),
      });
      await this.#changed(this.current.name);
    });
  }

  cancel(): void {
    this.#abort?.abort();
  }

  async forget(name: string): Promise<void> {
    await this.#do('Deleting', async () => {
      const store = await this.#open();
      await store.delete(name);
      await this.#changed(name);
    });
    if (this.current?.name === name) await this.choose(this.shipped[0]);
  }

  /** Another set of this name may be on show above. */
  async #changed(name: string): Promise<void> {
    this.kept = await (await this.#open()).names();
    items.forget(name, this.kept);
  }

  #open(): Promise<SetStore> {
    this.#store ??= SetStore.open();
    this.#store.catch(() => (this.#store = null));
    return this.#store;
  }

  async #do(what: string, work: () => Promise<void>): Promise<void> {
    this.busy = what;
    this.trouble = null;
    try {
      await work();
    } catch (error) {
      const trouble = toTrouble(error);
      if (!isQuiet(trouble)) this.trouble = trouble.code === 'internal' ? { ...trouble, hint: '' } : trouble;
    } finally {
      this.busy = null;
    }
  }
}

export const sets = new Sets();
