/**
 * Question alignment over an item set [O]: the same questions in English and in another language, every question's mean state by layer.
 * Where every question is put to its own passage, which holds its answer, also the readout's similarity to the answer span.
 * Which items are taken is fixed by the set and the number alone, so that two readers measure the same.
 */
import type { Item, Language, Provenance } from '../types';
import { band } from './curves';
import { centredCosines, layerCosine, nearestNeighbour } from './similarity';

/** Mean over the items and the middle half of them, by layer. */
export interface Spread {
  mean: Float64Array;
  low: Float64Array;
  high: Float64Array;
}

/** One language against English. */
export interface LanguageAlignment {
  language: Language;
  /** Cosine of the two question means. */
  raw: Spread;
  /** The same after the mean over all items of both languages is removed; null with fewer than 8 items. */
  centred: Spread | null;
  /** Share of the questions whose nearest neighbour among the N is their translation: from this language to English, and back. */
  toEnglish: Float64Array;
  fromEnglish: Float64Array;
}

/** Readout–answer similarity of the questions in one language. */
export interface LanguageRetrieval {
  language: Language;
  /** Cosine of the readout's state and the answer span's mean. */
  raw: Spread;
  /** The same after each of the two sides has lost its own mean over the items; null with fewer than 8 items. */
  centred: Spread | null;
}

/** What came out over a set, as a plain record. Curves are by layer, 0 = embeddings. */
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
  /** English first. Since 0.1, and only where each question was put to its own passage. */
  retrieval?: LanguageRetrieval[];
  ms: number;
  provenance: Provenance;
  notes: string[];
}

const spread = (curves: Float64Array[]): Spread => {
  const { mean, low, high } = band(curves);
  return { mean, low, high };
};

/** `own` and `english` hold one question mean [layers, dim] per item, in the same order. */
export function alignLanguage(language: Language, own: Float32Array[], english: Float32Array[], dim: number): LanguageAlignment {
  const centred = centredCosines(own, english, dim);
  const { forward, backward } = nearestNeighbour(own, english, dim);
  return {
    language,
    raw: spread(own.map((states, i) => layerCosine(states, english[i], dim))),
    centred: centred && spread(centred),
    toEnglish: forward,
    fromEnglish: backward,
  };
}

/**
 * `readouts` and `answers` hold one path [layers, dim] per item. Centred, each side loses its own mean: readout and answer span stand at
 * different places of a prompt, and what all readouts share would else count as distance from every answer.
 */
export function retrieveLanguage(language: Language, readouts: Float32Array[], answers: Float32Array[], dim: number): LanguageRetrieval {
  const centred = centredCosines(readouts, answers, dim, 'each');
  return { language, raw: spread(readouts.map((states, i) => layerCosine(states, answers[i], dim))), centred: centred && spread(centred) };
}

/**
 * N items spread evenly over the set. Only those that have a text in every language wanted, and whose question no earlier one asks
 * word for word in any of them: two equal questions cannot be told apart, and would count as misses.
 */
export function chooseItems(items: readonly Item[], n: number, contextLanguage: Language, languages: readonly Language[]): Item[] {
  const seen = new Set<string>();
  const usable = items.filter((item) => {
    if (item.context[contextLanguage] === undefined || languages.some((l) => item.question[l] === undefined)) return false;
    const asked = languages.map((l) => `${l} ${item.question[l]}`);
    if (asked.some((q) => seen.has(q))) return false;
    for (const q of asked) seen.add(q);
    return true;
  });
  if (usable.length <= n) return usable;
  return Array.from({ length: n }, (_, i) => usable[Math.floor((i * usable.length) / n)]);
}
