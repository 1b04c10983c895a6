/**
 * Item sets: SQuAD v1.1 JSON per language, the lab's parallel single-file shape, and MLQA's context/question files.
 *
 * The parallel shape (public/items/*.json): `{ name, license, languages: ['en', …], sets: { en: <SQuAD v1.1>, de: <SQuAD v1.1>, … } }`,
 * the same ids in every language, optionally `"tags": ["…"]` on a question.
 *
 * Offsets are code points everywhere. What is wrong is named, not mended: `squad.ts`.
 */
import { LANGUAGES, type Item, type Language } from '../types';
import { sample } from './random';
import { isLanguage, isObject, ItemsError, lineOf, parse, Problems, readSquad, type Question } from './squad';

export { isLanguage, ItemsError } from './squad';

export interface ItemSet {
  name: string;
  license: string;
  languages: Language[];
  items: Item[];
}

/** Joins one list of questions per language by id; every language must have exactly the same ids. */
function joinParallel(name: string, parts: [Language, Question[], string][], problems: Problems): Item[] {
  if (parts.length === 0) {
    problems.add(name, 'no language at all');
    return [];
  }
  const pivot = parts.find(([l]) => l === 'en') ?? parts[0];
  const items = new Map<string, Item>();
  for (const q of pivot[1]) {
    items.set(q.id, { id: q.id, set: name, paragraph: q.paragraph, context: {}, question: {}, answer: {}, ...(q.tags && { tags: q.tags }) });
  }
  for (const [language, questions, file] of parts) {
    const own = new Set<string>();
    for (const q of questions) {
      own.add(q.id);
      const item = items.get(q.id);
      if (!item) continue;
      item.context[language] = q.context;
      item.question[language] = q.question;
      if (q.answer) item.answer[language] = q.answer;
    }
    const lacking = [...items.keys()].filter((id) => !own.has(id));
    const extra = [...own].filter((id) => !items.has(id));
    if (lacking.length > 0) problems.add(file, `not parallel with ${pivot[2]}: ${lacking.length} of its ${items.size} ids are missing here, first ${lacking[0]}`, lacking[0]);
    if (extra.length > 0) problems.add(file, `not parallel with ${pivot[2]}: ${extra.length} ids are only here, first ${extra[0]}`, extra[0]);
  }
  return [...items.values()];
}

export interface SetInfo {
  name: string;
  license: string;
}

/** SQuAD v1.1 files, one per language: `files.en` is the text of the English one. */
export function loadSquad(files: Partial<Record<Language, string>>, info: SetInfo): ItemSet {
  const problems = new Problems();
  const parts: [Language, Question[], string][] = [];
  for (const language of LANGUAGES) {
    const text = files[language];
    if (text === undefined) continue;
    const file = `${info.name}.${language}`;
    parts.push([language, readSquad(file, parse(file, text, problems), text, problems), file]);
  }
  problems.check();
  const items = joinParallel(info.name, parts, problems);
  problems.check();
  return { ...info, languages: parts.map(([l]) => l), items };
}

/** The parallel single-file shape. */
export function loadParallel(text: string, file = 'the file'): ItemSet {
  const problems = new Problems();
  const root = parse(file, text, problems);
  problems.check();
  if (!isObject(root) || !isObject(root.sets)) throw new ItemsError([{ file, line: null, id: null, message: 'an object with "sets" is expected' }]);
  const sets = root.sets;
  const name = typeof root.name === 'string' && root.name ? root.name : file;
  const listed: unknown[] = Array.isArray(root.languages) ? root.languages : Object.keys(sets);
  const parts: [Language, Question[], string][] = [];
  for (const language of listed) {
    if (!isLanguage(language)) problems.add(file, `unknown language ${JSON.stringify(language)}; known: ${LANGUAGES.join(' ')}`);
    else if (!(language in sets)) problems.add(file, `language ${language} is listed but has no set`);
    else parts.push([language, readSquad(`${file} (${language})`, sets[language], '', problems), `${file} (${language})`]);
  }
  for (const language of Object.keys(sets)) if (!listed.includes(language)) problems.add(file, `the set ${language} is not listed in "languages"`);
  problems.check();
  const items = joinParallel(name, parts, problems);
  problems.check();
  return { name, license: typeof root.license === 'string' ? root.license : '', languages: parts.map(([l]) => l), items };
}

export interface MlqaFile {
  contextLanguage: Language;
  questionLanguage: Language;
  text: string;
}

/** `test-context-de-question-es.json` → de, es; null for any other name. */
export function mlqaLanguages(fileName: string): { contextLanguage: Language; questionLanguage: Language } | null {
  const m = /context-([a-z]{2})-question-([a-z]{2})/.exec(fileName);
  return m && isLanguage(m[1]) && isLanguage(m[2]) ? { contextLanguage: m[1], questionLanguage: m[2] } : null;
}

/**
 * MLQA: context in one language, question in another, and not every id in every language. Items keep the languages they have;
 * a question need not be asked in its context's language.
 */
export function loadMlqa(files: readonly MlqaFile[], info: SetInfo = { name: 'mlqa', license: 'CC BY-SA 3.0' }): ItemSet {
  const problems = new Problems();
  const items = new Map<string, Item>();
  const languages = new Set<Language>();
  for (const { contextLanguage, questionLanguage, text } of files) {
    const file = `context-${contextLanguage}-question-${questionLanguage}`;
    languages.add(contextLanguage).add(questionLanguage);
    for (const q of readSquad(file, parse(file, text, problems), text, problems)) {
      let item = items.get(q.id);
      if (!item) {
        item = { id: q.id, set: info.name, paragraph: q.paragraph, context: {}, question: {}, answer: {} };
        items.set(q.id, item);
      }
      const context = item.context[contextLanguage];
      const question = item.question[questionLanguage];
      if (context !== undefined && context !== q.context) problems.add(file, `another file has a different ${contextLanguage} context for this id`, q.id, lineOf(text, q.id));
      if (question !== undefined && question !== q.question) problems.add(file, `another file has a different ${questionLanguage} question for this id`, q.id, lineOf(text, q.id));
      item.context[contextLanguage] = q.context;
      item.question[questionLanguage] = q.question;
      if (q.answer) item.answer[contextLanguage] = q.answer;
    }
  }
  if (files.length === 0) problems.add(info.name, 'no file');
  problems.check();
  return { ...info, languages: LANGUAGES.filter((l) => languages.has(l)), items: [...items.values()] };
}

/** Loads a dropped file whatever its shape: the parallel one, or SQuAD v1.1 in `language` (default: told by its name, else English). */
export function loadFile(text: string, fileName: string, language?: Language): ItemSet {
  const problems = new Problems();
  const root = parse(fileName, text, problems);
  problems.check();
  if (isObject(root) && 'sets' in root) return loadParallel(text, fileName);
  const name = fileName.replace(/\.json$/i, '').replace(/[._-](?:en|de|es|vi|zh|hi|ar|el|ro|ru|th|tr)$/, '');
  const mlqa = mlqaLanguages(fileName);
  if (mlqa) return loadMlqa([{ ...mlqa, text }], { name, license: '' });
  const told = /[._-]([a-z]{2})\.json$/i.exec(fileName)?.[1];
  return loadSquad({ [language ?? (isLanguage(told) ? told : 'en')]: text }, { name, license: '' });
}

/** The languages asked for, or an error naming what the set lacks. */
export function requireLanguages(set: ItemSet, languages: readonly Language[]): void {
  const lacking = languages.filter((l) => !set.languages.includes(l));
  if (lacking.length > 0) {
    throw new ItemsError([{ file: set.name, line: null, id: null, message: `this set has no ${lacking.join(', ')}; it has ${set.languages.join(', ')}` }]);
  }
}

/** Items of `n` paragraphs (all their questions), or `n` items; seeded, in the set's order. */
export function sampleItems(items: readonly Item[], how: { seed: number; items?: number; paragraphs?: number }): Item[] {
  let pool: readonly Item[] = items;
  if (how.paragraphs !== undefined) {
    const chosen = new Set(sample([...new Set(items.map((i) => i.paragraph))], how.paragraphs, how.seed));
    pool = items.filter((i) => chosen.has(i.paragraph));
  }
  return how.items === undefined ? [...pool] : sample(pool, how.items, how.seed);
}
