/** The item sets that ship with the page, fetched when first asked for. */
import type { Item } from '../../types';
import { getLab, isQuiet, toTrouble, type Trouble } from '../lab-api';
import { view } from './view.svelte';

class Items {
  /** Names of the sets that ship. */
  names: string[] = $state.raw(['world']);
  sets: Record<string, Item[]> = $state.raw({});
  trouble: Trouble | null = $state(null);
  loading = $state(false);

  current: Item[] = $derived(this.sets[view.set] ?? []);
  index: number = $derived(this.current.findIndex((i) => i.id === view.item));
  item: Item | null = $derived(this.current[this.index] ?? null);

  async start(): Promise<void> {
    await this.load();
    try {
      this.names = await (await getLab()).sets();
    } catch {
      // without the list there is still the first set
    }
  }

  async choose(set: string, item: string | null = null): Promise<void> {
    view.set = set;
    view.item = item;
    await this.load(set);
    if (!this.item) view.item = this.current[0]?.id ?? null;
  }

  #coming: Record<string, Promise<void>> = {};

  load(set = view.set): Promise<void> {
    return (this.#coming[set] ??= this.#fetch(set).finally(() => delete this.#coming[set]));
  }

  async #fetch(set: string): Promise<void> {
    if (this.sets[set]) return;
    this.loading = true;
    this.trouble = null;
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
      this.trouble = toTrouble(error);
    } finally {
      this.loading = false;
    }
  }

  step(by: number): void {
    const n = this.current.length;
    if (n) view.item = this.current[(this.index + by + n) % n].id;
  }
}

export const items = new Items();
