/**
 * What is on show: a recording at first, then the reader's own runs. A run is one asked probe and, for comparison, the same
 * item asked in other languages, English first. The latest ask wins.
 */
import { LANGUAGES, type Answer, type Ask, type Language, type LensCell, type LoadedModel, type Probe, type TokenInfo } from '../../types';
import { goldOf } from '../../xmrc/answer';
import { getLab, isQuiet, toTrouble, type Trouble } from '../lab-api';
import { items } from './items.svelte';
import { model } from './model.svelte';
import { fitsOthers, prompt } from './prompt.svelte';
import { englishWording, goldAnswer, view } from './view.svelte';
import { sameModel } from './whose';

export interface Shown {
  source: 'recorded' | 'live';
  /** The one asked for. */
  main: Probe;
  /** The same item with the question in other languages; English first when it is there. */
  others: Probe[];
}

class Run {
  status: 'idle' | 'answering' | 'comparing' | 'failed' = $state('idle');
  /** Text as it comes. */
  stream = $state('');
  answer: Answer | null = $state.raw(null);
  shown: Shown | null = $state.raw(null);
  /** What `answer` and `shown` answer. */
  asked: Ask | null = $state.raw(null);
  /** Who was asked. */
  by: LoadedModel | null = $state.raw(null);
  /** The reader's own English wording of the question, asked beside it; '' where there is none. */
  wording = $state('');
  /** How this run lies to the one it repeats, in words; null where it repeats none. */
  agreement: string | null = $state(null);
  /** The lens at more positions than a run reads, with the pinned tokens followed. */
  grid: { of: Probe; pins: string; cells: LensCell[]; followed: Probe['followed'] } | null = $state.raw(null);
  trouble: Trouble | null = $state.raw(null);
  /** Told when a run is done, for the address. */
  ondone: ((named: boolean) => void) | null = null;
  #turn = 0;
  #abort: AbortController | null = null;

  busy: boolean = $derived(this.status === 'answering' || this.status === 'comparing');
  layers: number = $derived(this.shown ? this.shown.main.layers.length - 1 : 0);
  layer: number = $derived(Math.min(view.layer ?? this.layers, this.layers));
  /** All probes on show, the asked one first. */
  probes: Probe[] = $derived(this.shown ? [this.shown.main, ...this.shown.others] : []);

  /** Whether the controls still say what was asked. */
  sameAsk: boolean = $derived.by(() => {
    const { asked } = this;
    if (!asked || asked.contextLanguage !== view.contextLanguage || asked.questionLanguage !== view.questionLanguage) return false;
    if (JSON.stringify(asked.prompt) !== JSON.stringify(prompt.options)) return false;
    if ('item' in asked) return view.mode === 'item' && view.item === (typeof asked.item === 'string' ? asked.item : asked.item.id) && (!asked.set || asked.set === view.set);
    return (
      view.mode === 'text' &&
      asked.context === view.text.context &&
      asked.question === view.text.question &&
      JSON.stringify(goldOf(asked.answer)) === JSON.stringify(goldAnswer()) &&
      this.wording === englishWording()
    );
  });
  /** Whether the model loaded is the one that was asked; while none is there, nothing says otherwise. */
  sameModel: boolean = $derived(!model.loaded || !this.by || sameModel(model.loaded, this.by));
  /** Whether to press Ask would ask the same again. */
  current: boolean = $derived(this.sameAsk && this.sameModel);
  /** The question on show, as it was asked. */
  question: string = $derived.by(() => {
    const ask = this.shown?.main.ask;
    if (!ask) return '';
    if (!('item' in ask)) return ask.question;
    const item = typeof ask.item === 'string' ? items.current.find((i) => i.id === ask.item) : ask.item;
    return item?.question[ask.questionLanguage] ?? '';
  });

  /** What the controls say now; null while there is nothing to ask. */
  ask(): Ask | null {
    const { contextLanguage, questionLanguage } = view;
    const how = { contextLanguage, questionLanguage, ...(prompt.options ? { prompt: prompt.options } : {}) };
    const answer = goldAnswer();
    if (view.mode === 'text') return { ...$state.snapshot(view.text), ...(answer ? { answer } : {}), ...how };
    return items.item ? { item: items.item, set: view.set, ...how } : null;
  }

  show(shown: Shown): void {
    this.stop();
    this.answer = shown.main.answer;
    this.stream = '';
    this.asked = shown.main.ask;
    this.wording = wordingIn(shown);
    this.by = shown.main.model;
    this.agreement = null;
    this.shown = shown;
  }

  /** @param named a step that back and forward walk */
  async go(named = true): Promise<void> {
    const ask = this.ask();
    if (!ask) return;
    const done = await this.#work('answering', async (signal, mine) => {
      this.stream = '';
      this.answer = null;
      this.asked = ask;
      this.wording = englishWording();
      this.by = model.loaded;
      this.agreement = null;
      const lab = await getLab();
      const onToken = (token: TokenInfo) => {
        if (mine()) this.stream += token.text;
      };
      if (model.loaded?.opaque) {
        const answer = await lab.answer(ask, { signal, onToken });
        if (mine()) this.answer = answer;
        return;
      }
      const main = await lab.probe(ask, { signal, onToken, ownSpan: true });
      if (!mine()) return;
      this.answer = main.answer;
      // a place in one prompt is another token in the next
      if (main.prompt !== this.shown?.main.prompt) view.position = null;
      this.shown = { source: 'live', main, others: [] };
      if (fitsOthers(ask)) await this.#add(beside(main.ask, this.wording), signal, mine);
    });
    if (done) this.ondone?.(named);
  }

  /** The lens at every question token, the readout and the answer, for the tokens pinned now: a run of its own, made when it is looked at. */
  async readGrid(): Promise<void> {
    const main = this.shown?.main;
    if (!main || !model.loaded || this.busy || this.shown?.source !== 'live') return;
    const { vocab } = model.loaded;
    const follow = view.pins.filter((id) => id < vocab);
    const pins = follow.join();
    if (this.grid?.of === main && this.grid.pins === pins) return;
    const positions = main.tokens.flatMap((t, i) => (t.group === 'question' || t.group === 'readout' || t.group === 'answer' ? [i] : []));
    await this.#work('comparing', async (signal, mine) => {
      const { lens, followed } = await (await getLab()).probe(main.ask, { signal, states: false, lensPositions: positions, follow });
      if (mine()) this.grid = { of: main, pins, cells: lens, followed };
    });
  }

  /** What is on show with all that the lens has read of it, for a record. */
  whole(): Probe | null {
    const main = this.shown?.main ?? null;
    return main && this.grid?.of === main ? { ...main, lens: this.grid.cells, followed: this.grid.followed } : main;
  }

  /** The same item in other languages, as far as it has them. */
  async compare(languages: readonly Language[] = LANGUAGES): Promise<void> {
    const ask = this.shown?.main.ask;
    if (!ask || !('item' in ask)) return;
    if (!fitsOthers(ask)) {
      this.trouble = { code: 'bad-input', message: ONE_QUESTION, hint: 'Keep both as they are in the prompt, or write {question} where the question goes.' };
      return;
    }
    const known = new Set(this.probes.map((p) => p.ask.questionLanguage));
    const item = typeof ask.item === 'string' ? items.current.find((i) => i.id === ask.item) : ask.item;
    const wanted = languages.filter((l) => !known.has(l) && item?.question[l]);
    if (wanted.length === 0) return;
    await this.#work('comparing', (signal, mine) => this.#add(wanted.map((questionLanguage) => ({ ...ask, questionLanguage })), signal, mine));
  }

  async #add(asks: Ask[], signal: AbortSignal, mine: () => boolean): Promise<void> {
    if (asks.length === 0) return;
    const lab = await getLab();
    this.status = 'comparing';
    for (const ask of asks) {
      const other = await lab.probe(ask, { signal, states: false });
      if (!mine() || !this.shown) return;
      this.shown = { ...this.shown, others: [...this.shown.others, other].sort(englishFirst) };
    }
  }

  /** false: stopped, failed, or given way to something newer. */
  async #work(status: 'answering' | 'comparing', work: (signal: AbortSignal, mine: () => boolean) => Promise<void>): Promise<boolean> {
    const turn = ++this.#turn;
    const mine = () => turn === this.#turn;
    this.#abort?.abort();
    const abort = (this.#abort = new AbortController());
    this.status = status;
    this.trouble = null;
    try {
      await work(abort.signal, mine);
      if (mine()) this.status = 'idle';
      return mine();
    } catch (error) {
      if (!mine()) return false;
      const trouble = toTrouble(error);
      this.status = isQuiet(trouble) ? 'idle' : 'failed';
      if (!isQuiet(trouble)) this.trouble = trouble;
      return false;
    }
  }

  stop(): void {
    this.#turn++;
    this.#abort?.abort();
    this.status = 'idle';
  }
}

/** The same in English, where that is another question than was asked: an item has it, of other texts the reader gave it. */
function beside(ask: Ask, english: string): Ask[] {
  if (ask.questionLanguage === 'en') return [];
  if ('item' in ask) return [{ ...ask, questionLanguage: 'en' }];
  return english ? [{ ...ask, question: english, questionLanguage: 'en' }] : [];
}
function wordingIn({ main, others }: Shown): string {
  const english = 'item' in main.ask ? undefined : others.find((p) => p.ask.questionLanguage === 'en')?.ask;
  return english && !('item' in english) ? english.question : '';
}

const ONE_QUESTION = 'The edited prompt changed the passage or the question: it cannot be asked in other languages.';
const rank = (p: Probe): number => LANGUAGES.indexOf(p.ask.questionLanguage ?? 'tr');
const englishFirst = (a: Probe, b: Probe): number => rank(a) - rank(b);

export const run = new Run();
