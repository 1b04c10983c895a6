/**
 * Which words of a text occur in no bundled item. The bundled model knows its world's words only, so these are the
 * ones it has hardly met. The items hold nearly all of that world's vocabulary, not all of it: this is a hint, not a proof.
 */
import type { Item } from '../types';

const segmenter = new Intl.Segmenter('und', { granularity: 'word' });
const seen = new WeakMap<readonly Item[], Set<string>>();

function* wordsOf(text: string): Generator<string> {
  for (const s of segmenter.segment(text)) if (s.isWordLike && !/^\p{N}+$/u.test(s.segment)) yield s.segment;
}

function known(items: readonly Item[]): Set<string> {
  let words = seen.get(items);
  if (!words) {
    words = new Set();
    const texts = new Set<string>();
    for (const i of items) for (const t of [...Object.values(i.context), ...Object.values(i.question)]) texts.add(t);
    for (const t of texts) for (const w of wordsOf(t)) words.add(w.toLowerCase());
    seen.set(items, words);
  }
  return words;
}

export function strangers(text: string, items: readonly Item[]): string[] {
  const words = known(items);
  return [...new Set(wordsOf(text))].filter((w) => !words.has(w.toLowerCase()));
}
