/** Relevance and patching of what is on show: started by a click, stopped by another, kept until something else is asked. */
import type { Patching, PatchOptions, Relevance, RelevanceOptions } from '../../lab-mechanism';
import type { Ask, Probe, Progress } from '../../types';
import { getLab, isQuiet, toTrouble, type Trouble } from '../lab-api';
import type { Calls } from '../../wire';

class Work<Options, Result> {
  status: 'idle' | 'running' | 'failed' = $state('idle');
  progress: Progress | null = $state.raw(null);
  trouble: Trouble | null = $state.raw(null);
  /** The last result, and the probe it belongs to. */
  result: { of: Probe; value: Result } | null = $state.raw(null);
  #turn = 0;
  #abort: AbortController | null = null;

  constructor(private readonly ask: (ask: Ask, options: Options, calls: Calls) => Promise<Result>) {}

  async run(of: Probe, options: Options): Promise<void> {
    const turn = ++this.#turn;
    const mine = () => turn === this.#turn;
    this.#abort?.abort();
    const abort = (this.#abort = new AbortController());
    this.status = 'running';
    this.progress = null;
    this.trouble = null;
    try {
      const onProgress = (p: Progress) => {
        if (mine()) this.progress = p;
      };
      const value = await this.ask(of.ask, options, { signal: abort.signal, onProgress });
      if (!mine()) return;
      this.result = { of, value };
      this.status = 'idle';
    } catch (error) {
      if (!mine()) return;
      const trouble = toTrouble(error);
      this.status = isQuiet(trouble) ? 'idle' : 'failed';
      this.trouble = isQuiet(trouble) ? null : trouble;
    }
  }

  cancel(): void {
    this.#turn++;
    this.#abort?.abort();
    this.status = 'idle';
  }
}

export const relevance = new Work<RelevanceOptions, Relevance>(async (ask, options, calls) => (await getLab()).relevance(ask, options, calls));
export const patching = new Work<PatchOptions, Patching>(async (ask, options, calls) => (await getLab()).patch(ask, options, calls));
