/** Relevance and patching of what is on show: started by a click, stopped by another, kept until something else is asked. */
import type { Patching, PatchOptions, Relevance, RelevanceOptions } from '../../lab-mechanism';
import type { RecordedRun } from '../../share/record';
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

/** What of both belongs into a record of this probe. */
export function recorded(probe: Probe): Pick<RecordedRun, 'relevance' | 'patch'> {
  const r = relevance.result?.of === probe ? relevance.result.value : null;
  const p = patching.result?.of === probe ? patching.result.value : null;
  return {
    ...(r
      ? {
          relevance: {
            rule: r.rule,
            target: { text: r.targets.map((t) => t.text).join(''), ids: r.targets.map((t) => t.id) },
            values: r.relevance,
            rows: r.layers + 1,
            threshold: r.threshold,
            mrd: r.mrd,
            groupMrd: r.groupMrd,
          },
        }
      : {}),
    ...(p ? { patch: { clean: questionOf(p.cleanAsk), groups: p.groups.map((g) => g.group), layers: p.layers, effects: p.effects } } : {}),
  };
}

function questionOf(ask: Ask): string {
  if (!('item' in ask)) return ask.question;
  return typeof ask.item === 'string' ? ask.item : (ask.item.question[ask.questionLanguage] ?? ask.item.id);
}
