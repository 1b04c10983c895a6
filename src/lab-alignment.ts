/**
 * Question alignment over an item set, in the worker. Every question is one run of its own and takes its turn like any other call, so
 * that the reader can go on asking meanwhile; states are reduced language by language and never pile up.
 */
import { Breath } from './models/cache';
import type { Trace, TraceRequest } from './models/decoder';
import type { Prompt } from './models/prompting';
import { alignLanguage, chooseItems, retrieveLanguage, type LanguageAlignment, type LanguageRetrieval, type SetAlignment } from './probe/set-alignment';
import { LabError, throwIfAborted } from './runtime/errors';
import { Meter, type OnProgress } from './runtime/progress';
import { LANGUAGES, type Item, type Language, type Provenance, type TokenGroup } from './types';

export type { SetAlignment } from './probe/set-alignment';

export interface AlignmentOptions {
  /** How many items, spread evenly over the set. Default 50. */
  n?: number;
  /** Question languages beside English. Default: all that the set has. */
  languages?: Language[];
  /** Default English. */
  contextLanguage?: Language;
  /**
   * 'shared': every question is put to one and the same passage, so that the passage tells nothing of which question it is (default).
   * 'own': to its own, as it would be asked; the passage, equal in both languages, then helps to tell the items apart. It holds the answer,
   * so that the readout's similarity to the answer span is measured too.
   */
  passage?: 'shared' | 'own';
}

/** What the lab lends. */
export interface AlignmentDesk {
  layers: number;
  dim: number;
  provenance: Provenance;
  items(set: string): Promise<Item[]>;
  prompt(context: string, question: string, answer: Item['answer'][Language] | null): Prompt;
  /** One run, in turn with the lab's other calls. */
  trace(ids: readonly number[], request: TraceRequest): Promise<Trace>;
}

const MOST = 1000;

/** @throws LabError 'bad-input' for options that cannot be met; as `Decoder.trace`; 'cancelled' between two runs */
export async function alignSet(desk: AlignmentDesk, set: string, options: AlignmentOptions, call: { signal?: AbortSignal; onProgress?: OnProgress }): Promise<SetAlignment> {
  const started = performance.now();
  const { n = 50, contextLanguage = 'en', passage = 'shared' } = options;
  if (!Number.isInteger(n) || n < 2 || n > MOST) throw new LabError('bad-input', `Alignment over ${n} items cannot be measured; it takes 2 to ${MOST}.`);
  const all = await desk.items(set);
  const languages = LANGUAGES.filter((l) => l !== 'en' && (options.languages ? options.languages.includes(l) : all.some((item) => item.question[l] !== undefined)));
  if (languages.length === 0) throw new LabError('bad-input', 'Alignment compares English with other languages: name at least one.');
  const items = chooseItems(all, n, contextLanguage, ['en', ...languages]);
  if (items.length < 2) throw new LabError('bad-input', `The set “${set}” has too few questions in all of these languages.`, 'Leave some languages out.');
  const shared = items[0].context[contextLanguage] as string;

  const meter = new Meter(call.onProgress);
  // a cancel, and other questions, come through between two runs
  const breath = new Breath();
  meter.phase('run', items.length * (languages.length + 1));
  const retrieval: LanguageRetrieval[] = [];
  const read = async (language: Language): Promise<Float32Array[]> => {
    const [questions, readouts, answers]: Float32Array[][] = [[], [], []];
    for (const item of items) {
      throwIfAborted(call.signal);
      const own = passage === 'own';
      const prompt = desk.prompt(own ? (item.context[contextLanguage] as string) : shared, item.question[language] as string, own ? (item.answer[contextLanguage] ?? null) : null);
      const at = (group: TokenGroup): number[] => prompt.tokens.flatMap((t, i) => (t.group === group ? [i] : []));
      const parts = own ? [at('question'), at('readout'), at('answerSpan')] : [at('question')];
      if (parts[0].length === 0) throw new LabError('bad-input', 'The question could not be found in the prompt.', prompt.notes[0] ?? '');
      const { hidden } = await desk.trace(prompt.ids, { positions: parts.flat() });
      const [question, readout, answer] = parts.map((p, k) => meanOver(hidden, desk.layers + 1, parts.flat().length, parts.slice(0, k).flat().length, p.length, desk.dim));
      questions.push(question);
      if (own && parts[1].length > 0 && parts[2].length > 0) {
        readouts.push(readout);
        answers.push(answer);
      }
      meter.add(1);
      await breath.take();
    }
    if (readouts.length > 0) retrieval.push(retrieveLanguage(language, readouts, answers, desk.dim));
    return questions;
  };

  const english = await read('en');
  const out: LanguageAlignment[] = [];
  for (const language of languages) out.push(alignLanguage(language, await read(language), english, desk.dim));
  meter.finish();
  return {
    set,
    items: items.map((item) => item.id),
    contextLanguage,
    passage,
    layers: Array.from({ length: desk.layers + 1 }, (_, l) => l),
    chance: 1 / items.length,
    languages: out,
    ...(retrieval.length > 0 ? { retrieval } : {}),
    ms: performance.now() - started,
    provenance: { ...desk.provenance, time: new Date().toISOString() },
    notes: items.length < n ? [`The set has ${items.length} different questions in all of these languages: fewer than the ${n} asked for.`] : [],
  };
}

/** `count` of the positions of [layers, positions, dim], beginning with `from` → [layers, dim]. */
function meanOver(hidden: Float32Array, layers: number, positions: number, from: number, count: number, dim: number): Float32Array {
  const mean = new Float32Array(layers * dim);
  for (let l = 0; l < layers; l++)
    for (let p = from; p < from + count; p++) {
      const at = (l * positions + p) * dim;
      for (let d = 0; d < dim; d++) mean[l * dim + d] += hidden[at + d] / count;
    }
  return mean;
}
