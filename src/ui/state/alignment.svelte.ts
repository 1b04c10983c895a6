/** Question alignment over the item set: what is asked for, how far it is, what came out. It goes on while the reader looks elsewhere. */
import type { SetAlignment } from '../../probe/set-alignment';
import type { RecordedAlignment } from '../../share/alignment';
import { ALIGNED, type ALIGNMENT_SIZES, type AlignmentView, type ViewState } from '../../share/view';
import { LANGUAGES, type Language, type Progress } from '../../types';
import { getLab, isQuiet, toTrouble, type Trouble } from '../lab-api';
import { model } from './model.svelte';
import { run } from './run.svelte';
import { view } from './view.svelte';

const others = (): Language[] => LANGUAGES.filter((l) => l !== 'en');

class Alignment {
  n: (typeof ALIGNMENT_SIZES)[number] = $state(50);
  passage: 'shared' | 'own' = $state('shared');
  /** Beside English. */
  languages: Language[] = $state.raw(others());
  how: (typeof ALIGNED)[number] = $state(ALIGNED[0]);
  busy = $state(false);
  progress: Progress | null = $state.raw(null);
  result: SetAlignment | null = $state.raw(null);
  /** The model it was measured with, in words. */
  of = $state('');
  trouble: Trouble | null = $state.raw(null);
  /** What the result was asked for. */
  #asked: AlignmentView | null = $state.raw(null);
  /** A link showed a result that is not here. */
  #missing = false;
  /** And all else that it names is there: it is measured as soon as its place is looked at. */
  wanted = $state(false);
  #abort: AbortController | null = null;

  async run(): Promise<void> {
    const { loaded } = model;
    this.wanted = false;
    if (!loaded || this.busy) return;
    const abort = (this.#abort = new AbortController());
    this.busy = true;
    this.trouble = null;
    this.progress = null;
    try {
      const { n, passage, languages } = this;
      const lab = await getLab();
      const result = await lab.alignment(
        view.set,
        { n, passage, languages, contextLanguage: view.contextLanguage },
        { signal: abort.signal, onProgress: (p) => (this.progress = p) },
      );
      if (this.#abort !== abort) return;
      this.result = result;
      this.#asked = asked(n, passage, languages);
      this.of = `${loaded.card.title}, ${loaded.dtype}`;
    } catch (error) {
      const trouble = toTrouble(error);
      if (!isQuiet(trouble)) this.trouble = trouble;
    } finally {
      if (this.#abort === abort) {
        this.busy = false;
        this.progress = null;
      }
    }
  }

  stop(): void {
    this.#abort?.abort();
  }

  toggle(language: Language): void {
    const next = this.languages.includes(language) ? this.languages.filter((l) => l !== language) : [...this.languages, language];
    this.languages = LANGUAGES.filter((l) => next.includes(l));
  }

  /** What a link says of it, where the result is of the model and of the set on show. */
  seen(): Pick<ViewState, 'alignment'> {
    const { result } = this;
    const main = run.shown?.main;
    if (!result || !this.#asked || !main || !('item' in main.ask) || result.set !== main.ask.set || result.contextLanguage !== main.ask.contextLanguage) return {};
    const of = (p: SetAlignment['provenance']): string => `${p.model} ${p.revision} ${p.dtype}`;
    if (of(result.provenance) !== of(main.provenance)) return {};
    return { alignment: { ...this.#asked, ...(this.how === ALIGNED[0] ? {} : { how: this.how }) } };
  }

  /** What a link or a record showed; left out, what is there stays. */
  apply({ alignment: a }: ViewState): void {
    this.#missing = this.wanted = false;
    if (!a) return;
    this.how = a.how ?? ALIGNED[0];
    this.n = a.items;
    this.passage = a.passage ?? 'shared';
    this.languages = a.languages ? LANGUAGES.filter((l) => a.languages?.includes(l)) : others();
    this.#missing = !this.seen().alignment || key(this.#asked) !== key(asked(this.n, this.passage, this.languages));
  }

  again(): void {
    this.wanted = this.#missing;
  }

  recorded(): RecordedAlignment | undefined {
    return this.result ? { model: this.of, set: this.result } : undefined;
  }

  /** What a record holds, in place of what is there. */
  put({ model: of, set }: RecordedAlignment, seen: AlignmentView | undefined): void {
    this.stop();
    this.#abort = null;
    this.busy = this.wanted = this.#missing = false;
    this.trouble = this.progress = null;
    this.result = set;
    this.of = of;
    this.#asked = seen ?? null;
  }
}

function asked(items: AlignmentView['items'], passage: 'shared' | 'own', languages: Language[]): AlignmentView {
  return { items, ...(passage === 'own' ? { passage } : {}), ...(languages.length === others().length ? {} : { languages: [...languages] }) };
}
const key = (a: AlignmentView | null): string => [a?.items, a?.passage, a?.languages].join();

export const alignment = new Alignment();
