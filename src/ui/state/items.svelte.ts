/** The item sets that ship with the page and those kept in this browser, fetched when first asked for. */
import type { Item } from '../../types';
import { getLab, isQuiet, toTrouble, type Trouble } from '../lab-api';
import { view } from './view.svelte';

class Items {
  /** Names of the sets at hand, those that ship first. */
  names: string[] = $state.raw(['world']);
  sets: Record<string, Item[]> = $state.raw({});
  /** Why the set named here is not there. */
  failed: { set: string; trouble: Trouble } | null = $state.raw(null);
  loading = $state(false);
  #shipped: string[] = ['world'];

  current: Item[] = $derived(this.sets[view.set] ?? []);
  index: number = $derived(this.current.findIndex((i) => i.id === view.item));
  item: Item | null = $derived(this.current[this.index] ?? null);
  /** Of the chosen set. */
  trouble: Trouble | null = $derived(this.failed?.set === view.set ? this.failed.trouble : null);

  async start(): Promise<void> {
    await this.load();
    try {
      const lab = await getLab();
      this.#shipped = await lab.sets();
      this.#name(await lab.keptSets());
    } catch {
      // without the list there is still the first set
    }
  }

  /** @param item null: the set's first */
  async choose(set: string, item: string | null = null): Promise<void> {
    view.set = set;
    view.item = item;
    await this.load(set);
    if (view.set === set && !this.item && this.current.length > 0) view.item = this.current[0].id;
  }

  #coming: Record<string, Promise<void>> = {};

  load(set = view.set): Promise<void> {
    return (this.#coming[set] ??= this.#fetch(set).finally(() => delete this.#coming[set]));
  }

  async #fetch(set: string): Promise<void> {
    if (this.sets[set]) return;
    this.loading = true;
    this.failed = null;
    try {
      const lab = await getLab();
      const items = await lab.items(set).catch((error: unknown) => {
        // its worker made room for a model: the next one has the items too
        if (isQuiet(toTrouble(error))) return lab.items(set);
        throw error;
      });
      this.sets = { ...this.sets, [set]: items };
      if (view.set === set && !items.some((i) => i.id === view.item)) view.item = items[0]?.id ?? null;
    } catch (error) {
      this.failed = { set, trouble: toTrouble(error) };
    } finally {
      this.loading = false;
    }
  }

  /** A set of this name was dropped, fetched or deleted: what is known of it may no longer hold. */
  forget(set: string, kept: string[]): void {
    const { [set]: _, ...others } = this.sets;
    this.sets = others;
    this.failed = null;
    this.#name(kept);
    if (view.set === set) void this.load();
  }

  #name(kept: string[]): void {
    this.names = [...new Set([...this.#shipped, ...kept])];
  }

  step(by: number): void {
    const n = this.current.length;
    if (n) view.item = this.current[(this.index + by + n) % n].id;
  }
}

export const items = new Items();
