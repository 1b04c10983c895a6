/** Where an answer stands in its passage. Pure; places count code points. */
import type { Ask } from '../types';
import { utf16ToCp } from './codepoints';

/** Where `part` begins in `text`, each place it stands word for word; none for nothing. */
export function placesOf(text: string, part: string): number[] {
  const places: number[] = [];
  if (part === '') return places;
  for (let at = text.indexOf(part); at >= 0; at = text.indexOf(part, at + part.length)) places.push(utf16ToCp(text, at));
  return places;
}

type Answer = NonNullable<Extract<Ask, { context: string }>['answer']>;

/** What a model wrote, as a span of the passage: where it stands there in one place, word for word. */
export function ownSpan(context: string, written: string): Answer | null {
  const text = written.trim();
  const places = placesOf(context, text);
  return places.length === 1 ? { text, start: places[0], own: true } : null;
}

/** The answer that literal text was asked with, if it is gold; a span that is the model's own answer is not. */
export const goldOf = (answer: Answer | undefined): Omit<Answer, 'own'> | null => (answer && !answer.own ? { text: answer.text, start: answer.start } : null);
