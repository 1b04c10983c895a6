/** Patching over many pairs of runs: which pairs, and what is kept of each. Pure; `lab-sets.ts` asks the model. */
import type { Ask, Item, Language, TokenGroup } from '../types';
import { patchCurves, type Match, type PatchCurve, type SweepResult } from './patching';
import type { SetState } from './relevance-set';

/** `clean` is the run whose states are put into the run of `ask`. */
export interface PatchPair {
  ask: Ask;
  clean: Ask;
}

/** One finished sweep. */
export interface PatchItem extends SweepResult {
  index: number;
  ask: Ask;
  cleanAsk: Ask;
  a: { id: number; text: string };
  b: { id: number; text: string };
  contrast: 'answers' | 'runner-up';
}

export interface PatchSet extends SetState {
  kind: 'patch-set';
  /** The layers patched; the same for all items. */
  layers: number[];
  items: PatchItem[];
  /** What was asked for beside the pairs; what is left out is the default. Absent in sets of records made before it was kept. */
  wish?: { groups?: TokenGroup[]; layers?: number[]; match?: Match };
}

/** In logits. Below this two runs hardly differ, and a share of the difference is a share of noise. [O] */
export const LEAST_DIFFERENCE = 0.5;

/** The pairs that means are taken over: their answers begin differently, and their runs differ by enough to be shared. */
export function telling(items: readonly PatchItem[]): PatchItem[] {
  return items.filter((i) => i.contrast === 'answers' && Math.abs(i.clean.difference - i.corrupted.difference) >= LEAST_DIFFERENCE);
}

/** What the page, the table of a record and the console say of a set. */
export interface PatchSummary {
  /** The pairs that the means are taken over. */
  pairs: number;
  /** Finished as well, and in no mean: their answers begin alike, or their runs hardly differ. */
  leftOut: number;
  curves: PatchCurve[];
}

export function patchSummary({ items }: Pick<PatchSet, 'items'>): PatchSummary {
  const told = telling(items);
  return { pairs: told.length, leftOut: items.length - told.length, curves: patchCurves(told) };
}

export interface PairWish {
  set?: string;
  contextLanguage: Language;
  questionLanguage: Language;
  /** The clean question's language; default: the asked one's. Another one makes it the check across languages. */
  cleanLanguage?: Language;
}

/**
 * Question swap within a context: each item is asked, and the next item of the same passage that has another answer is its clean run.
 * Items without such a neighbour, or without the languages, have no pair.
 */
export function pairsOf(items: readonly Item[], wish: PairWish): PatchPair[] {
  const { set, contextLanguage, questionLanguage, cleanLanguage = questionLanguage } = wish;
  const passages = new Map<string, Item[]>();
  for (const item of items) {
    const text = item.context[contextLanguage];
    if (text !== undefined && item.answer[contextLanguage]) passages.set(text, [...(passages.get(text) ?? []), item]);
  }
  const askOf = (item: Item, language: Language): Ask => ({ item, set: set ?? item.set, contextLanguage, questionLanguage: language });
  return items.flatMap((item) => {
    const around = passages.get(item.context[contextLanguage] ?? '') ?? [];
    const at = around.indexOf(item);
    if (at < 0 || item.question[questionLanguage] === undefined) return [];
    const others = [...around.slice(at + 1), ...around.slice(0, at)];
    const other = others.find((o) => o.question[cleanLanguage] !== undefined && o.answer[contextLanguage]?.text !== item.answer[contextLanguage]?.text);
    return other ? [{ ask: askOf(item, questionLanguage), clean: askOf(other, cleanLanguage) }] : [];
  });
}
