/**
 * The entry in the browser's history that the page stands on, and what it is of. What has come on show since the entry was made gets one of
 * its own, whoever brought it and whenever that is noticed; the rest replaces it.
 */
import type { Probe } from '../../types';
import { records } from './records.svelte';
import { run } from './run.svelte';

const stamps = new WeakMap<Probe, string>();
let count = 0;
/** Of what is on show: no two runs have one in common, nor one page before and after it was loaded anew. null: nothing is. */
function stamp(): string | null {
  const main = run.shown?.main;
  if (!main) return null;
  if (!stamps.has(main)) stamps.set(main, `${performance.timeOrigin} ${++count}`);
  return stamps.get(main) ?? null;
}

/** Without the plane's own id and signs. */
const bare = (address: string): string => address.replace(/&[bs]=[^&]*/g, '');

export class Entry {
  /** What its address says. */
  #says: string | null = null;
  /** The stamp of what it shows; null: of whatever comes. */
  #of: string | null = null;

  /** Walked to, or begun at. false: the page stands there already. */
  to(hash: string): boolean {
    if (hash === this.#says) return false;
    this.#says = hash;
    this.#of = null;
    return true;
  }

  /** The next `to` is followed even where the address stays. */
  leave(): void {
    this.#says = null;
  }

  /** Whether what an entry showed, by its state, is still on show. */
  still(state: unknown): boolean {
    return stamp() !== null && (state as { shown?: unknown } | null)?.shown === stamp();
  }

  write(address: string, step: boolean): void {
    const shown = stamp();
    const state = { shown };
    const plain = this.#says === '';
    // the page's own address, which says nothing, stands for what it begins with
    const own = plain && records.atStart;
    // a plane that comes late changes nothing of what the plain address stands for
    const same = address === this.#says || (location.hash === '' && this.#says !== null && bare(address) === bare(this.#says));
    if ((own || same) && this.#of !== shown) history.replaceState(state, '');
    if ((own && !step) || same) {
      // it stands already
    } else if (step || plain || (this.#of !== null && this.#of !== shown)) history.pushState(state, '', address);
    else history.replaceState(state, '', address);
    this.#says = address;
    this.#of = shown;
  }
}
