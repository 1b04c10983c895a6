/**
 * Question alignment over an item set [O]: the same questions in English and in another language, every question's mean state by layer.
 * Which items are taken is fixed by the set and the number alone, so that two readers measure the same.
 */
import type { Item, Language } from '../types';
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
