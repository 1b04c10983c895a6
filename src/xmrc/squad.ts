/**
 * One SQuAD v1.1 file, read question by question. Whatever is wrong is named by id and line, and nothing wrong is quietly mended: an
 * offset that misses its answer makes every later measurement of the answer span wrong.
 */
import { LANGUAGES, type Language } from '../types';
import { cpLength, cpSlice, utf16ToCp } from './codepoints';
import { BrokenJson, parseJson, place } from './json';

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
export interface Question {
  id: string;
  title: string;
  paragraph: string;
  context: string;
  question: string;
  answer: { text: string; start: number } | null;
  tags?: string[];
}

export class Problems {
  readonly list: ItemProblem[] = [];
  add(file: string, message: string, id: string | null = null, line: number | null = null): void {
    if (this.list.length < MOST_PROBLEMS) this.list.push({ file, line, id, message });
  }
  check(): void {
    if (this.list.length > 0) throw new ItemsError(this.list);
  }
}

type Json = Record<string, unknown>;
export const isObject = (v: unknown): v is Json => typeof v === 'object' && v !== null && !Array.isArray(v);

export function parse(file: string, text: string, problems: Problems): unknown {
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
export function lineOf(text: string, id: string, nth = 0): number | null {
  const needle = JSON.stringify(id);
  let at = -1;
  for (let k = 0; k <= nth; k++) {
    at = text.indexOf(needle, at + 1);
    if (at < 0) return null;
  }
  return place(text, at).line;
}

/** Every question of one file; what is wrong with it is added to `problems`. `text` is for finding lines in. */
export function readSquad(file: string, root: unknown, text: string, problems: Problems): Question[] {
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
