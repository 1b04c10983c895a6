/**
 * The error types that a review of the paper names (content, language, gibberish, refusal, blank), told by detectors of our own
 * design. They are tried in a fixed order, and the first that fires gives its reason in words, so that a reader can disagree.
 *
 *   blank      nothing is left after normalisation
 *   correct    exact match, or F1 ≥ `threshold` (language-aware)
 *   refusal    a phrase of a list per language, unless the text itself says it
 *   gibberish  repeated n-grams, U+FFFD, scripts of nowhere, …
 *   language   the output's script or language is not the answer's; never for numbers, for names in Latin script (or in the answer's
 *              own), for words that stand in the context, or where the gold answer is the same string in both languages
 *   content    none of these
 *
 * A name written in a foreign script (Лондон for London) is a language error: it cannot be the same string, and its content is right.
 */
import type { Language, Scores } from '../types';
import { normalizeLanguageAware, normalizeSquad, scoreLanguageAware, scoreSquad } from './score';
import { findGibberish } from './gibberish';
import { identify, looksLikeName, looksLikeNumber } from './language';
import { findRefusal } from './refusals';
import { countScripts, mainScript, SCRIPT_OF } from './script';

export const ERROR_TYPES = ['correct', 'content', 'language', 'gibberish', 'refusal', 'blank'] as const;
export type ErrorType = (typeof ERROR_TYPES)[number];

/** F1 from which an answer counts as correct when errors are sorted into types. Ours; travels with every study. */
export const CORRECT_F1 = 0.5;

export interface AnswerToClassify {
  prediction: string;
  /** null for literal text without a known answer; nothing can then be called correct or a content error. */
  gold: string | null;
  /** The answer's language, that is the context's. */
  language: Language;
  context?: string;
  question?: string;
  /** The gold answer in other languages, where the set has them: they tell a right answer in the wrong language. */
  golds?: Partial<Record<Language, string>>;
  threshold?: number;
}

export interface Classified {
  /** null: nothing fired and there is no gold answer to compare with. */
  type: ErrorType | null;
  reason: string;
  /** The language the prediction is in, as far as can be told. */
  language: Language | null;
  /** The score as if language did not matter: the best language-aware F1 and EM against the gold answer in any language at hand. */
  contentOnly: Scores | null;
}

/** End-of-text marks that some exports leave in the output. */
const SPECIAL = /<\|[^|>]*\|>|<\/?(?:s|pad|unk|eos|bos|end_of_turn|start_of_turn)>|\[(?:PAD|UNK|SEP|CLS)\]/g;

export function classify(answer: AnswerToClassify): Classified {
  const { gold, language } = answer;
  const prediction = answer.prediction.replace(SPECIAL, ' ').trim();
  const contentOnly = contentOnlyScore(prediction, answer);
  const identified = identify(prediction);
  const say = (type: ErrorType | null, reason: string): Classified => ({ type, reason, language: identified.language, contentOnly });

  if (isBlank(prediction, language)) {
    // "the the the the" and a page of brackets leave nothing either, but somebody said something.
    const noise = prediction.replace(/\s/gu, '').length >= 8 ? findGibberish(prediction, '') : null;
    return noise ? say('gibberish', noise) : say('blank', 'nothing is left after normalisation');
  }
  if (gold !== null) {
    const own = scoreLanguageAware(prediction, gold, language);
    if (own.em === 1 || scoreSquad(prediction, gold).em === 1) return say('correct', 'exact match');
    const threshold = answer.threshold ?? CORRECT_F1;
    if (own.f1 >= threshold) return say('correct', `F1 ${own.f1.toFixed(2)} is at least ${threshold}`);
  }
  const quoted = isSpan(prediction, answer.context, language);
  const refusal = quoted ? null : findRefusal(prediction);
  if (refusal) return say('refusal', `says “${refusal.phrase}” (${refusal.language})`);
  const nonsense = quoted ? null : findGibberish(prediction, [gold, answer.context, answer.question].join(' '));
  if (nonsense) return say('gibberish', nonsense);
  const foreign = quoted ? null : wrongLanguage(prediction, answer);
  if (foreign) return say('language', foreign);
  return say(gold === null ? null : 'content', quoted ? 'a span of the context, but not the gold answer' : 'none of the other types');
}

/** Best of the gold answers in all languages at hand, each under its own language's rules. */
export function contentOnlyScore(prediction: string, answer: Pick<AnswerToClassify, 'gold' | 'golds' | 'language'>): Scores | null {
  const golds = Object.entries({ ...answer.golds, ...(answer.gold !== null && { [answer.language]: answer.gold }) }) as [Language, string][];
  if (golds.length === 0) return null;
  const best: Scores = { f1: 0, em: 0 };
  for (const [language, gold] of golds) {
    const s = scoreLanguageAware(prediction, gold, language);
    best.f1 = Math.max(best.f1, s.f1);
    best.em = Math.max(best.em, s.em);
  }
  return best;
}

function isBlank(prediction: string, language: Language): boolean {
  if (/^[\s\p{C}]*$/u.test(prediction) && !prediction.includes('\ufffd')) return true;
  return normalizeLanguageAware(prediction, language) === '' || normalizeSquad(prediction) === '';
}

/** Words of the context as they stand, whole: a quotation cannot be in the wrong language. */
function isSpan(prediction: string, context: string | undefined, language: Language): boolean {
  if (!context) return false;
  const needle = normalizeLanguageAware(prediction, language);
  return needle !== '' && ` ${normalizeLanguageAware(context, language)} `.includes(` ${needle} `);
}

function wrongLanguage(prediction: string, answer: AnswerToClassify): string | null {
  const { gold, golds, language } = answer;
  if (looksLikeNumber(prediction)) return null;
  const main = mainScript(prediction);
  if (!main) return null;
  const home = SCRIPT_OF[language];
  // A gold answer in a script that is not its language's own (NFL in a Thai text) makes that script normal.
  const allowed = new Set([home, ...(gold === null ? [] : [mainScript(gold)?.script ?? home])]);
  if (!allowed.has(main.script as typeof home)) {
    if (main.script === 'Latin' && looksLikeName(prediction)) return null;
    return `written in ${main.script} script; the answer’s is ${home}`;
  }
  if (main.script !== 'Latin') {
    const latin = countScripts(prediction).get('Latin') ?? 0;
    // Half of the letters English words, as in "the река near деревни": not the answer's language any more.
    return latin >= 0.45 * main.letters && identify(prediction.replace(/[^\p{Script=Latin}\s]/gu, ' ')).language !== null && !looksLikeName(prediction.replace(/[^\p{Script=Latin}\s]/gu, ' '))
      ? 'half of it is in Latin script'
      : null;
  }
  const english = golds?.en ?? (language === 'en' ? gold : null);
  const isName = looksLikeName(english ?? gold ?? '');
  for (const [other, text] of Object.entries(golds ?? {}) as [Language, string][]) {
    if (other === language || isName || SCRIPT_OF[other] !== 'Latin') continue;
    if (gold !== null && normalizeLanguageAware(text, other) === normalizeLanguageAware(gold, other)) continue;
    if (scoreLanguageAware(prediction, text, other).f1 >= 0.8 && scoreLanguageAware(prediction, text, other).f1 > scoreLanguageAware(prediction, gold ?? '', language).f1 + 0.3) {
      return `matches the gold answer in ${other}, not in ${language}`;
    }
  }
  if (home !== 'Latin') return null;
  const found = identify(prediction);
  if (found.language === null || found.language === language) return null;
  if (looksLikeName(prediction) || (isName && mainScript(gold ?? '')?.script === 'Latin')) return null;
  return `reads as ${found.language}; the answer is in ${language}`;
}
