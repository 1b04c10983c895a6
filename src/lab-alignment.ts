/**
 * Question alignment over an item set, in the worker. Every question is one run of its own and takes its turn like any other call, so
 * that the reader can go on asking meanwhile; states are reduced language by language and never pile up.
 */
import { Breath } from './models/cache';
import type { Trace, TraceRequest } from './models/decoder';
import type { Prompt } from './models/prompting';
import { alignLanguage, chooseItems, type LanguageAlignment } from './probe/set-alignment';
import { LabError, throwIfAborted } from './runtime/errors';
import { Meter, type OnProgress } from './runtime/progress';
import { LANGUAGES, type Item, type Language, type Provenance } from './types';

export interface AlignmentOptions {
  /** How many items, spread evenly over the set. Default 50. */
  n?: number;
  /** Question languages beside English. Default: all that the set has. */
  languages?: Language[];
  /** Default English. */
  contextLanguage?: Language;
  /**
   * 'shared': every question is put to one and the same passage, so that the passage tells nothing of which question it is (default).
   * 'own': to its own, as it would be asked; the passage, equal in both languages, then helps to tell the items apart.
   */
  passage?: 'shared' | 'own';
}

/** What came out, as a plain record. Curves are by layer, 0 = embeddings. */
export interface SetAlignment {
  set: string;
  /** Ids of the items, in order. */
  items: string[];
  contextLanguage: Language;
  passage: 'shared' | 'own';
  layers: number[];
  /** Nearest-neighbour accuracy by guessing: 1/N. */
  chance: number;
  languages: LanguageAlignment[];
  ms: number;
  provenance: Provenance;
  notes: string[];
}

/** What the lab lends. */
export interface AlignmentDesk {
  layers: number;
  dim: number;
  provenance: Provenance;
  items(set: string): Promise<Item[]>;
  prompt(context: string, question: string): Prompt;
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
  const read = async (language: Language): Promise<Float32Array[]> => {
    const means: Float32Array[] = [];
    for (const item of items) {
      throwIfAborted(call.signal);
      const prompt = desk.prompt(passage === 'shared' ? shared : (item.context[contextLanguage] as string), item.question[language] as string);
      const positions = prompt.tokens.flatMap((t, i) => (t.group === 'question' ? [i] : []));
      if (positions.length === 0) throw new LabError('bad-input', 'The question could not be found in the prompt.', prompt.notes[0] ?? '');
      const { hidden } = await desk.trace(prompt.ids, { positions });
      means.push(meanOver(hidden, desk.layers + 1, positions.length, desk.dim));
      meter.add(1);
      await breath.take();
    }
    return means;
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
    ms: performance.now() - started,
    provenance: { ...desk.provenance, time: new Date().toISOString() },
    notes: items.length < n ? [`The set has ${items.length} different questions in all of these languages: fewer than the ${n} asked for.`] : [],
  };
}

/** [layers, positions, dim] → [layers, dim]. */
function meanOver(hidden: Float32Array, layers: number, positions: number, dim: number): Float32Array {
  const mean = new Float32Array(layers * dim);
  for (let l = 0; l < layers; l++)
    for (let p = 0; p < positions; p++) {
      const at = (l * positions + p) * dim;
      for (let d = 0; d < dim; d++) mean[l * dim + d] += hidden[at + d] / positions;
    }
  return mean;
}
