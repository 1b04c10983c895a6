/** Prompts out of the shipped items, long enough that a prefill is worth timing. */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { LANGUAGES, type Ask, type Item } from '../../src/types';
import { loadFile, loadSquad } from '../../src/xmrc/items';
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

/** The first paragraphs of a set, with all their questions in all languages but English. */
function sliceOf(set: string, items: readonly Item[], paragraphs: number): Omit<Slice, 'maxTokens'> {
  const wanted = [...new Set(items.map((i) => i.paragraph))].slice(0, paragraphs);
  return { set, items: items.filter((i) => wanted.includes(i.paragraph)), languages: LANGUAGES.filter((l) => l !== 'en') };
}

/** XQuAD's files, where they lie beside the tree or where the environment says. */
const XQUAD = process.env['XQUAD_DIR'] ?? join(import.meta.dirname, '../../../shared/data/xquad');

/** Of XQuAD, where its files are here; else of the natural text that ships, which has its shape and lengths. */
export function naturalSlice(paragraphs: number): Omit<Slice, 'maxTokens'> {
  if (!existsSync(join(XQUAD, 'xquad.en.json'))) return sliceOf('atlas', load('atlas'), paragraphs);
  const files = Object.fromEntries(LANGUAGES.map((l) => [l, readFileSync(join(XQUAD, `xquad.${l}.json`), 'utf8')]));
  return sliceOf('xquad', loadSquad(files, { name: 'xquad', license: 'CC BY-SA 4.0' }).items, paragraphs);
}
