/** Prompts out of the shipped items, long enough that a prefill is worth timing. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { LANGUAGES, type Ask, type Item } from '../../src/types';
import { loadFile } from '../../src/xmrc/items';
import type { Slice } from './page/protocol';

const load = (name: string): Item[] => loadFile(readFileSync(join(import.meta.dirname, `../../public/items/${name}.json`), 'utf8'), `${name}.json`).items;

/** A context of about `characters` and two questions on its first paragraph, with their answers. */
function passage(characters: number): { context: string; questions: { question: string; answer: { text: string; start: number } | undefined }[] } {
  const items = load('world');
  const contexts = [...new Set(items.map((i) => i.context.en ?? ''))];
  let context = '';
  for (let i = 0; context.length < characters && i < contexts.length; i++) context += `${context ? ' ' : ''}${contexts[i]}`;
  const first = items.filter((i) => i.context.en === contexts[0]);
  return { context, questions: first.map((i) => ({ question: i.question.en ?? '', answer: i.answer.en })) };
}

/** Context, question, and a letter that may be changed. */
export function promptText(characters = 150, which = 0): string {
  const { context, questions } = passage(characters);
  return `${context}\n\n${questions[which].question} x`;
}

/** The same prompt with its groups: the question `which` on the context. */
export function promptAsk(which = 0, characters = 150): Ask {
  const { context, questions } = passage(characters);
  const { question, answer } = questions[which];
  return { context, question, ...(answer ? { answer } : {}), prompt: { kind: 'chat', text: promptText(characters, which) } };
}

/** The first paragraphs of the natural text, with all their questions in all languages but English: XQuAD's shape and lengths. */
export function atlasSlice(paragraphs: number): Omit<Slice, 'maxTokens'> {
  const items = load('atlas');
  const wanted = [...new Set(items.map((i) => i.paragraph))].slice(0, paragraphs);
  return { items: items.filter((i) => wanted.includes(i.paragraph)), languages: LANGUAGES.filter((l) => l !== 'en') };
}
