/**
 * A cell as it crosses to the worker: its texts in the languages it needs and nothing else. Types and a pure function; the page
 * makes requests, the worker answers them.
 */
import type { Item, Language } from '../types';
import type { Cell, StudyDesign } from './design';

export interface CellRequest {
  cell: Cell;
  /** Items of the same paragraph in its order, the cell's own among them; empty where nobody asks for another question. */
  siblings: Item[];
  /** What of the design a cell depends on. */
  design: StudyDesign;
  /** false: every prompt is computed whole, for comparing. Default true. */
  reuse?: boolean;
}

export function cellRequest(cell: Cell, paragraph: readonly Item[], design: StudyDesign): CellRequest {
  const { contextLanguage: c, questionLanguage: q } = cell;
  const item: Item = { ...cell.item, context: pick(cell.item.context, [c]), question: pick(cell.item.question, [q, 'en']), answer: pick(cell.item.answer, [c]) };
  const siblings = design.measures.includes('oracle') || design.measures.includes('patching')
    ? paragraph.map((i) => ({ id: i.id, set: i.set, paragraph: i.paragraph, context: {}, question: pick(i.question, [q]), answer: pick(i.answer, [c]) }))
    : [];
  // A design names every item of the study: a cell has no use for that.
  return { cell: { ...cell, item }, siblings, design: { ...design, items: [], models: [] } };
}

/**
 * The next item of the paragraph with a question in the cell's language and another answer: the oracle's control, and the corrupted
 * run of patching. `all`: the paragraph's items in its order, the cell's own among them.
 */
export function otherItem(cell: Cell, all: readonly Item[]): Item | null {
  const at = all.findIndex((i) => i.id === cell.item.id);
  for (let k = 1; k < all.length; k++) {
    const other = all[(at + k) % all.length];
    if (other.question[cell.questionLanguage] !== undefined && other.answer[cell.contextLanguage]?.start !== cell.item.answer[cell.contextLanguage]?.start) return other;
  }
  return null;
}

function pick<T>(all: Partial<Record<Language, T>>, languages: readonly Language[]): Partial<Record<Language, T>> {
  return Object.fromEntries(languages.flatMap((l) => (all[l] === undefined ? [] : [[l, all[l]]])));
}
