/** Question alignment over the item set: what is asked for, how far it is, what came out. It goes on while the reader looks elsewhere. */
import type { SetAlignment } from '../../lab-alignment';
import { LANGUAGES, type Language, type Progress } from '../../types';
import { getLab, isQuiet, toTrouble, type Trouble } from '../lab-api';
import { model } from './model.svelte';
import { view } from './view.svelte';

export const SIZES = [20, 50, 100] as const;

class Alignment {
  n: (typeof SIZES)[number] = $state(50);
  passage: 'shared' | 'own' = $state('shared');
  /** Beside English. */
  languages: Language[] = $state.raw(LANGUAGES.filter((l) => l !== 'en'));
  busy = $state(false);
  progress: Progress | null = $state.raw(null);
  result: SetAlignment | null = $state.raw(null);
  /** The model it was measured with, in words. */
  of = $state('');
  trouble: Trouble | null = $state.raw(null);
  #abort: AbortController | null = null;

  async run(): Promise<void> {
    const { loaded } = model;
    if (!loaded || this.busy) return;
    const abort = (this.#abort = new AbortController());
    this.busy = true;
    this.trouble = null;
    this.progress = null;
    try {
      const { n, passage, languages } = this;
      const lab = await getLab();
      this.result = await lab.alignment(
        view.set,
        { n, passage, languages, contextLanguage: view.contextLanguage },
        { signal: abort.signal, onProgress: (p) => (this.progress = p) },
      );
      this.of = `${loaded.card.title}, ${loaded.dtype}`;
    } catch (error) {
      const trouble = toTrouble(error);
      if (!isQuiet(trouble)) this.trouble = trouble;
    } finally {
      this.busy = false;
      this.progress = null;
    }
  }

  stop(): void {
    this.#abort?.abort();
  }

  toggle(language: Language): void {
    const next = this.languages.includes(language) ? this.languages.filter((l) => l !== language) : [...this.languages, language];
    this.languages = LANGUAGES.filter((l) => next.includes(l));
  }
}

export const alignment = new Alignment();
