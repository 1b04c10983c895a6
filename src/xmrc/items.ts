/**
 * Item sets: SQuAD v1.1 JSON per language, the lab's parallel single-file shape, and MLQA's context/question files.
 *
 * The parallel shape (public/items/*.json): `{ name, license, languages: ['en', …], sets: { en: <SQuAD v1.1>, de: <SQuAD v1.1>, … } }`,
 * the same ids in every language, optionally `"tags": ["…"]` on a question.
 *
 * Offsets are code points everywhere. Whatever is wrong is named by id and line, and nothing wrong is quietly mended: an offset
 * that misses its answer makes every later measurement of the answer span wrong.
 */
import { LANGUAGES, type Item, type Language } from '../types';
import { cpLength, cpSlice, utf16ToCp } from './codepoints';
import { BrokenJson, parseJson, place } from './json';
import { sample } from './random';

export interface ItemSet {
  name: string;
  license: string;
  languages: Language[];
  items: Item[];
}

export interface ItemProblem {
  /** File or set the problem is in, as the caller named it. */
  file: string;
  /** 1-based; null where no line can be told. */
  line: number | null;
  id: string | null;
  message: string;
}

/** Thrown with every problem found (at most `MOST_PROBLEMS`); the message shows the first ones. */
export class ItemsError extends Error {
  readonly problems: ItemProblem[];
  constructor(problems: ItemProblem[]) {
    super(problems.slice(0, 5).map(sayProblem).join('\n') + (problems.length > 5 ? `\n… and ${problems.length - 5} more` : ''));
    this.name = 'ItemsError';
    this.problems = problems;
  }
}

export const MOST_PROBLEMS = 100;
/** A larger file is refused before it is parsed: the text, the parsed tree and the items would not fit beside a model. */
export const MOST_CHARACTERS = 250_000_000;

export function sayProblem(p: ItemProblem): string {
  return `${p.file}${p.line === null ? '' : `, line ${p.line}`}${p.id === null ? '' : `, id ${p.id}`}: ${p.message}`;
}

export function isLanguage(value: unknown): value is Language {
  return LANGUAGES.includes(value as Language);
}

/** One question of one file, before files are joined. */
interface Question {
  id: string;
  title: string;
  paragraph: string;
  context: string;
  question: string;
  answer: { text: string; start: number } | null;
  tags?: string[];
}

class Problems {
  readonly list: ItemProblem[] = [];
  add(file: string, message: string, id: string | null = null, line: number | null = null): void {
    if (this.list.length < MOST_PROBLEMS) this.list.push({ file, line, id, message });
  }
  check(): void {
    if (this.list.length > 0) throw new ItemsError(this.list);
  }
}

type Json = Record<string, unknown>;
const isObject = (v: unknown): v is Json => typeof v === 'object' && v !== null && !Array.isArray(v);

function parse(file: string, text: string, problems: Problems): unknown {
  if (text.length > MOST_CHARACTERS) {
    problems.add(file, `${Math.round(text.length / 1e6)} million characters; at most ${MOST_CHARACTERS / 1e6} million are read`);
    return undefined;
  }
  try {
    return parseJson(text);
  } catch (error) {
    if (!(error instanceof BrokenJson)) throw error;
    problems.add(file, `not JSON: ${error.message.replace(/^line \d+, /, '')}`, null, error.line);
    return undefined;
  }
}

/** Where an id stands in the file, so that an editor can be opened at it. */
function lineOf(text: string, id: string, nth = 0): number | null {
  const needle = JSON.stringify(id);
  let at = -1;
  for (let k = 0; k <= nth; k++) {
    at = text.indexOf(needle, at + 1);
    if (at < 0) return null;
  }
  return place(text, at).line;
}

function readSquad(file: string, root: unknown, text: string, problems: Problems): Question[] {
  const out: Question[] = [];
  const seen = new Map<string, number>();
  if (!isObject(root) || !Array.isArray(root.data)) {
    if (root !== undefined) problems.add(file, 'not SQuAD v1.1: an object with a list "data" is expected');
    return out;
  }
  root.data.forEach((article: unknown, a) => {
    if (!isObject(article) || !Array.isArray(article.paragraphs)) {
      problems.add(file, `data[${a}] has no list "paragraphs"`);
      return;
    }
    const title = typeof article.title === 'string' ? article.title : String(article.id ?? a);
    article.paragraphs.forEach((paragraph: unknown, p) => {
      if (!isObject(paragraph) || typeof paragraph.context !== 'string' || !Array.isArray(paragraph.qas)) {
        problems.add(file, `data[${a}].paragraphs[${p}] lacks "context" or "qas"`);
        return;
      }
      const context = paragraph.context;
      paragraph.qas.forEach((qa: unknown, q) => {
        if (!isObject(qa) || typeof qa.id !== 'string' || typeof qa.question !== 'string') {
          problems.add(file, `data[${a}].paragraphs[${p}].qas[${q}] lacks "id" or "question"`);
          return;
        }
        const id = qa.id;
        const before = seen.get(id) ?? 0;
        seen.set(id, before + 1);
        if (before > 0) {
          problems.add(file, 'this id stands here a second time', id, lineOf(text, id, before));
          return;
        }
        const found = readAnswer(qa.answers, context);
        if (typeof found === 'string') {
          problems.add(file, found, id, lineOf(text, id));
          return;
        }
        const tags = Array.isArray(qa.tags) ? qa.tags.filter((t): t is string => typeof t === 'string') : undefined;
        out.push({ id, title, paragraph: `${title}/${p}`, context, question: qa.question, answer: found, ...(tags && { tags }) });
      });
    });
  });
  return out;
}

/** The first answer, or a sentence that says what is wrong with it. SQuAD 2's unanswerable questions have none. */
function readAnswer(answers: unknown, context: string): { text: string; start: number } | null | string {
  if (answers === undefined || (Array.isArray(answers) && answers.length === 0)) return null;
  const first: unknown = Array.isArray(answers) ? answers[0] : answers;
  if (!isObject(first) || typeof first.text !== 'string' || !Number.isInteger(first.answer_start)) {
    return 'its answer lacks "text" or a whole-number "answer_start"';
  }
  const text = first.text;
  const start = first.answer_start as number;
  if (text === '') return 'its answer is empty';
  const there = cpSlice(context, start, start + cpLength(text));
  if (start >= 0 && there === text) return { text, start };
  const utf16 = context.startsWith(text, start) ? ' (it counts UTF-16 units; code points are expected)' : '';
  const crlf = context.includes('\r\n') ? ' (the context has CRLF line ends inside; its offsets may count them as one)' : '';
  const at = context.indexOf(text);
  const hint = at < 0 ? 'the answer is not in the context at all' : `the answer stands at ${utf16ToCp(context, at)}`;
  return `answer_start ${start} points at ${JSON.stringify(there)}, not at ${JSON.stringify(text)}; ${hint}${utf16}${crlf}`;
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
