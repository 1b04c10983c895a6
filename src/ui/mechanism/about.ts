/** What a set of maps or sweeps is of, by what it holds itself: said over its pictures, and held against what stands beside it. Pure. */
import type { PatchSet } from '../../probe/patch-set';
import type { RelevanceSet } from '../../probe/relevance-set';
import type { Ask, Language, Provenance } from '../../types';
import { scenario } from '../state/view.svelte';
import { english } from '../words';

/** The model of a slot, and what is asked of it. */
export interface Beside {
  made: Pick<Provenance, 'model' | 'revision' | 'dtype'> | null;
  /** null: any, where the question on show is text of the reader's own. */
  set: string | null;
  contextLanguage?: Language;
  questionLanguage?: Language;
}

const asksOf = ({ items, missed }: RelevanceSet | PatchSet): Ask[] => [...items, ...missed].map(({ ask }) => ask);
const each = <T>(values: (T | undefined)[]): T[] => [...new Set(values)].filter((v) => v !== undefined);
const setsOf = (asks: Ask[]): string[] => each(asks.map((ask) => ('item' in ask ? (ask.set ?? (typeof ask.item === 'string' ? undefined : ask.item.set)) : undefined)));

/** The same model from the same file, the same item set, the same languages. A set over several question languages is of each of them. */
export function fits(set: RelevanceSet | PatchSet, { made, set: name, contextLanguage, questionLanguage }: Beside): boolean {
  const own = set.provenance;
  if (!own || !made || own.model !== made.model || own.revision !== made.revision || own.dtype !== made.dtype) return false;
  const asks = asksOf(set);
  const questions = each(asks.map((a) => a.questionLanguage));
  return (name === null || setsOf(asks).join() === name) && each(asks.map((a) => a.contextLanguage)).join() === contextLanguage && (questions.length > 1 || questions[0] === questionLanguage);
}

/** “en-x, English passages, questions in German, items of “world””. */
export function aboutSet(set: RelevanceSet | PatchSet): string {
  const asks = asksOf(set);
  const [contexts, questions] = [each(asks.map((a) => a.contextLanguage)), each(asks.map((a) => a.questionLanguage))];
  const scenarios = each(asks.map((a) => (a.contextLanguage && a.questionLanguage ? scenario(a.contextLanguage, a.questionLanguage) : undefined)));
  const names = (languages: Language[]): string => (languages.length > 3 ? `${languages.length} languages` : languages.map(english).join(', '));
  return [
    scenarios.join(' and '),
    ...(contexts.length ? [`${names(contexts)} passages`] : []),
    ...(questions.length ? [`questions in ${names(questions)}`] : []),
    ...setsOf(asks).map((name) => `items of “${name}”`),
  ].filter(Boolean).join(', ');
}
