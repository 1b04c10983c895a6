/**
 * F1 and exact match, with two normalisers side by side.
 *
 * `squad`: the official SQuAD v1.1 script (Rajpurkar et al., EMNLP 2016): lower-case, drop ASCII punctuation, drop a/an/the,
 * collapse whitespace. This is what lm-evaluation-harness reports.
 *
 * `languageAware`: the rules of MLQA's official script (Lewis et al., ACL 2020), keyed by the language of the **answer**, for
 * en es de vi ar hi zh; the rules for el ru th tr ro are the lab's own extension in the same spirit and are named so on screen.
 *
 * Both scripts are Python, and Python's notions of whitespace and of a word character differ from JavaScript's `\s` and `\b`;
 * the sets below are Python's, so that scores are equal and not merely close.
 */
import type { Language, Scores } from '../types';

/** `str.isspace()` of Python: no U+FEFF, but U+001C–1F and U+0085. */
const SPACE = '\\t-\\r\\x1c-\\x20\\x85\\xa0\\u1680\\u2000-\\u200a\\u2028\\u2029\\u202f\\u205f\\u3000';
const SPACES = new RegExp(`[${SPACE}]+`);
/** `\w` of Python's re: alphanumeric or underscore; combining marks are not word characters. */
const WORD = '[\\p{L}\\p{N}_]';
const ASCII_PUNCTUATION = /[!-/:-@[-`{-~]/g;
const ALL_PUNCTUATION = /[\p{P}!-/:-@[-`{-~]/gu;

function words(list: string): RegExp {
  return new RegExp(`(?<!${WORD})(?:${list.split(' ').join('|')})(?!${WORD})`, 'gu');
}

const SQUAD_ARTICLES = words('a an the');

/** Articles per language. MLQA's own for the first seven; ours for el and ro; the other three have none. */
const ARTICLES: Partial<Record<Language, RegExp>> = {
  en: SQUAD_ARTICLES,
  es: words('un una unos unas el la los las'),
  de: words('ein eine einen einem eines einer der die das den dem des'),
  vi: words('của là cái chiếc những'),
  // MLQA's pattern as it stands: its first branch can never match, so in effect every "ال" goes.
  ar: new RegExp(`[${SPACE}]ال^|ال`, 'gu'),
  el: words('ο η το οι τα του της των τον την τη τους τις στο στη στην στον στους στις στα ένας ένα ενός μια μία μιας'),
  // Romanian's definite article is a suffix and stays; these are the indefinite and the genitival ones.
  ro: words('un o unui unei niște al a ai ale'),
};

export const LANGUAGE_RULES: Record<Language, 'MLQA' | 'lab'> = {
  en: 'MLQA', es: 'MLQA', de: 'MLQA', vi: 'MLQA', ar: 'MLQA', hi: 'MLQA', zh: 'MLQA',
  el: 'lab', ru: 'lab', th: 'lab', tr: 'lab', ro: 'lab',
};

function splitSpaces(text: string): string[] {
  return text.split(SPACES).filter((t) => t !== '');
}

/** MLQA's `mixed_segmentation`: every Han character (or punctuation mark) a token, other runs split on whitespace. */
function mixedSegmentation(text: string): string[] {
  const out: string[] = [];
  let run = '';
  for (const ch of text) {
    if (/[\u4e00-\u9fa5]/.test(ch) || /[\p{P}!-/:-@[-`{-~]/u.test(ch)) {
      out.push(...splitSpaces(run), ch);
      run = '';
    } else run += ch;
  }
  out.push(...splitSpaces(run));
  return out.filter((t) => splitSpaces(t).length > 0);
}

let thai: Intl.Segmenter | undefined;
/** Thai is written without spaces between words; ICU's dictionary finds them. Spaces separate phrases and are not tokens. */
function thaiWords(text: string): string[] {
  thai ??= new Intl.Segmenter('th', { granularity: 'word' });
  return splitSpaces(text).flatMap((run) => Array.from(thai!.segment(run), (s) => s.segment));
}

/** Lower-casing that knows Turkish's two i's without asking the host's locale data. */
function lower(text: string, language: Language): string {
  return language === 'tr' ? text.replace(/İ/g, 'i').replace(/I/g, 'ı').toLowerCase() : text.toLowerCase();
}

/** One spelling per letter (ours): Romanian's cedilla letters are a legacy encoding of the comma letters. */
function unify(text: string, language: Language): string {
  if (language !== 'ro') return text;
  return text.normalize('NFC').replace(/ş/g, 'ș').replace(/ţ/g, 'ț');
}

export function squadTokens(text: string): string[] {
  return splitSpaces(text.toLowerCase().replace(ASCII_PUNCTUATION, '').replace(SQUAD_ARTICLES, ' '));
}

export function languageAwareTokens(text: string, language: Language): string[] {
  const bare = unify(lower(text, language), language).replace(ALL_PUNCTUATION, '');
  const articles = ARTICLES[language];
  const rest = articles ? bare.replace(articles, ' ') : bare;
  if (language === 'zh') return mixedSegmentation(rest);
  if (language === 'th') return thaiWords(rest);
  return splitSpaces(rest);
}

export const normalizeSquad = (text: string): string => squadTokens(text).join(' ');
export const normalizeLanguageAware = (text: string, language: Language): string => languageAwareTokens(text, language).join(' ');

/** Multiset overlap F1. Two empty strings score 0, as in both scripts. */
export function tokenF1(prediction: readonly string[], gold: readonly string[]): number {
  const left = new Map<string, number>();
  for (const t of gold) left.set(t, (left.get(t) ?? 0) + 1);
  let same = 0;
  for (const t of prediction) {
    const n = left.get(t) ?? 0;
    if (n > 0) {
      same++;
      left.set(t, n - 1);
    }
  }
  if (same === 0) return 0;
  const precision = same / prediction.length;
  const recall = same / gold.length;
  return (2 * precision * recall) / (precision + recall);
}

function scores(prediction: string[], gold: string[]): Scores {
  return { f1: tokenF1(prediction, gold), em: prediction.join(' ') === gold.join(' ') ? 1 : 0 };
}

/** Best over the gold answers, each measure on its own, as both official scripts do. */
function best(golds: readonly string[], one: (gold: string) => Scores): Scores {
  const out: Scores = { f1: 0, em: 0 };
  for (const gold of golds) {
    const s = one(gold);
    out.f1 = Math.max(out.f1, s.f1);
    out.em = Math.max(out.em, s.em);
  }
  return out;
}

const list = (gold: string | readonly string[]): readonly string[] => (typeof gold === 'string' ? [gold] : gold);

export function scoreSquad(prediction: string, gold: string | readonly string[]): Scores {
  const tokens = squadTokens(prediction);
  return best(list(gold), (g) => scores(tokens, squadTokens(g)));
}

/** `language` is the language of the answer, that is of the context, never of the question. */
export function scoreLanguageAware(prediction: string, gold: string | readonly string[], language: Language): Scores {
  const tokens = languageAwareTokens(prediction, language);
  return best(list(gold), (g) => scores(tokens, languageAwareTokens(g, language)));
}

export interface BothScores {
  squad: Scores;
  languageAware: Scores;
}

export function score(prediction: string, gold: string | readonly string[], options: { language: Language }): BothScores {
  return { squad: scoreSquad(prediction, gold), languageAware: scoreLanguageAware(prediction, gold, options.language) };
}
