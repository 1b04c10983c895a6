/**
 * What is on show: a recording at first, then the reader's own runs. A run is one asked probe and, where the question
 * was not in English, the same item asked in English for comparison. The latest ask wins.
 */
import type { Answer, Ask, Probe, TokenInfo } from '../../types';
import { getLab, toTrouble, type Trouble } from '../lab-api';
import { items } from './items.svelte';
import { model } from './model.svelte';
import { view } from './view.svelte';

export interface Shown {
  source: 'recorded' | 'live';
  /** The one asked for. */
  main: Probe;
  /** The same item with the English question, when that is another run. */
  english: Probe | null;
}

class Run {
  status: 'idle' | 'answering' | 'probing' | 'failed' = $state('idle');
  stream: TokenInfo[] = $state.raw([]);
  answer: Answer | null = $state.raw(null);
  shown: Shown | null = $state.raw(null);
  trouble: Trouble | null = $state.raw(null);
  #turn = 0;

  busy: boolean = $derived(this.status === 'answering' || this.status === 'probing');
  layers: number = $derived(this.shown ? this.shown.main.layers.length - 1 : 0);
  layer: number = $derived(Math.min(view.layer ?? this.layers, this.layers));

  /** What the controls say now; null while there is nothing to ask. */
  ask(): Ask | null {
    if (view.mode === 'text') return { ...$state.snapshot(view.text), contextLanguage: view.contextLanguage, questionLanguage: view.questionLanguage };
    if (!items.item) return null;
    return { item: items.item, set: view.set, contextLanguage: view.contextLanguage, questionLanguage: view.questionLanguage };
  }

  async go(): Promise<void> {
    const ask = this.ask();
    if (!ask) return;
    const turn = ++this.#turn;
    const mine = () => turn === this.#turn;
    this.status = 'answering';
    this.trouble = null;
    this.stream = [];
    this.answer = null;
    try {
      const lab = await getLab();
      const answer = await lab.answer(ask, {
        onToken: (token) => {
          if (mine()) this.stream = [...this.stream, token];
        },
      });
      if (!mine()) return;
      this.answer = answer;
      this.status = 'probing';
      const main = await lab.probe(ask);
      if (!mine()) return;
      this.shown = { source: 'live', main, english: null };
      if ('item' in ask && ask.questionLanguage !== 'en') {
        const english = await lab.probe({ ...ask, questionLanguage: 'en' });
        if (!mine()) return;
        this.shown = { source: 'live', main, english };
      }
      this.status = 'idle';
    } catch (error) {
      if (!mine()) return;
      const trouble = toTrouble(error);
      if (trouble.code === 'cancelled' || trouble.code === 'superseded') {
        this.status = 'idle';
        return;
      }
      this.status = 'failed';
      this.trouble = trouble;
      if (trouble.code === 'worker-lost' || trouble.code === 'device-lost') model.lost(trouble);
    }
  }

  async stop(): Promise<void> {
    this.#turn++;
    this.status = 'idle';
    (await getLab()).cancel();
  }
}

export const run = new Run();
