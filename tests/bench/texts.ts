/** Prompts out of the shipped items, long enough that a prefill is worth timing. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { LANGUAGES } from '../../src/types';
import { loadFile } from '../../src/xmrc/items';
import type { Slice } from './page/protocol';

interface Squad {
  sets: Record<string, { data: { paragraphs: { context: string; qas: { question: string }[] }[] }[] }>;
}

const ITEMS = join(import.meta.dirname, '../../public/items');

/** Some paragraphs (about `characters`), a question on the first of them, and a letter that may be changed. `from`: the first paragraph's number. */
export function promptText(characters = 150, from = 0): string {
  const { sets } = JSON.parse(readFileSync(join(ITEMS, 'world.json'), 'utf8')) as Squad;
  const paragraphs = sets['en'].data.flatMap((d) => d.paragraphs);
  let context = '';
  for (let i = from; context.length < characters && i < paragraphs.length; i++) context += `${context ? ' ' : ''}${paragraphs[i].context}`;
  return `${context}\n\n${paragraphs[from].qas[0].question} x`;
}

/** The first paragraphs of the natural text, with all their questions in all languages but English: XQuAD's shape and lengths. */
export function atlasSlice(paragraphs: number): Omit<Slice, 'maxTokens'> {
  const { items } = loadFile(readFileSync(join(ITEMS, 'atlas.json'), 'utf8'), 'atlas.json');
  const wanted = [...new Set(items.map((i) => i.paragraph))].slice(0, paragraphs);
  return { items: items.filter((i) => wanted.includes(i.paragraph)), languages: LANGUAGES.filter((l) => l !== 'en') };
}
