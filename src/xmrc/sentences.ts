/**
 * Sentences of a context, for the leave-one-out oracle. `Intl.Segmenter` does the work; the rules on top are ours: pieces without
 * a letter or digit join their neighbour, abbreviations do not end a Latin-script sentence, a Devanagari danda does, and Thai,
 * which marks no sentence ends, is cut at the spaces that its writers put between clauses.
 *
 * Ranges are code points, end exclusive, and tile the text: joined, they are the text again.
 */
import type { Language } from '../types';
import { cpLength, cpSlice } from './codepoints';

export interface Sentence {
  text: string;
  start: number;
  end: number;
}

const ABBREVIATION =
  /(?:^|[\s(„"“«])(?:\p{Lu}|z|Dr|Mr|Mrs|Ms|Prof|St|Sr|Jr|vs|No|Nr|Abs|Art|Bd|bzw|ca|approx|etc|Inc|Ltd|Co|Corp|Gen|Col|Lt|Sgt|Rev|Hon|vol|ed|pp|Sra|Srta|EE|UU|TP|Ths|TS|Hr|Fr|hl|jh|nr|str|dl|dna|yy|M\.Ö|M\.S|т|г|гг|в|им|ул|д-р|др|π\.χ|μ\.Χ|π\.Χ|κ|डॉ|श्री)\.\s*$/u;

/**
 * Thai clauses shorter than this (in code points) join the next, because spaces also stand inside sentences. Two sizes: prose
 * has long sentences of several clauses, texts up to `short` code points are taken to have short ones.
 */
const THAI_CLAUSE = { short: 450, inShort: 18, inLong: 80 };

const segmenters = new Map<Language, Intl.Segmenter>();
function segmenter(language: Language): Intl.Segmenter {
  let s = segmenters.get(language);
  if (!s) segmenters.set(language, (s = new Intl.Segmenter(language, { granularity: 'sentence' })));
  return s;
}

export function sentences(text: string, language: Language): Sentence[] {
  let pieces = Array.from(segmenter(language).segment(text), (s) => s.segment);
  if (language === 'th') {
    const least = cpLength(text) <= THAI_CLAUSE.short ? THAI_CLAUSE.inShort : THAI_CLAUSE.inLong;
    pieces = pieces.flatMap((p) => thaiClauses(p, least));
  }
  if (language === 'hi') pieces = pieces.flatMap((p) => p.split(/(?<=[।॥]\s*)(?=[^\s।॥"”’')\]])/u));
  const joined: string[] = [];
  let pending = '';
  pieces.forEach((piece, i) => {
    pending += piece;
    const complete = /[\p{L}\p{N}]/u.test(pending) && !(i < pieces.length - 1 && endsEarly(pending, language));
    if (complete) {
      joined.push(pending);
      pending = '';
    }
  });
  if (pending) {
    if (joined.length > 0 && !/[\p{L}\p{N}]/u.test(pending)) joined[joined.length - 1] += pending;
    else joined.push(pending);
  }
  let start = 0;
  return joined.map((t) => {
    const end = start + cpLength(t);
    const sentence = { text: t, start, end };
    start = end;
    return sentence;
  });
}

/** In German a day or a century is written "5." and a sentence rarely ends with so small a number. */
function endsEarly(text: string, language: Language): boolean {
  return ABBREVIATION.test(text) || (language === 'de' && /(?<!\p{N}|\p{N}[.,])\p{N}{1,2}\.\s*$/u.test(text));
}

function thaiClauses(text: string, least: number): string[] {
  const out: string[] = [];
  let clause = '';
  // Only a space before a Thai letter can end a clause; one before a digit or a Latin letter belongs to the number or the name,
  // and after ๆ (repetition) a space is only spelling.
  for (const part of text.split(/(?<=[^ๆ]\s)(?=["“‘(]?\p{Script=Thai})/u)) {
    clause += part;
    if (cpLength(clause.trim()) >= least) {
      out.push(clause);
      clause = '';
    }
  }
  if (clause) {
    if (out.length > 0 && cpLength(clause.trim()) < least) out[out.length - 1] += clause;
    else out.push(clause);
  }
  return out;
}

/** The sentences that hold any part of the answer; usually one. Empty where the answer lies outside the text. */
export function goldSentences(all: readonly Sentence[], answer: { text: string; start: number }): number[] {
  const end = answer.start + cpLength(answer.text);
  return all.flatMap((s, i) => (s.start < end && answer.start < s.end ? [i] : []));
}

/** The context without sentence `i`, the rest as it stands. */
export function without(text: string, sentence: Sentence): string {
  return cpSlice(text, 0, sentence.start) + cpSlice(text, sentence.end, Infinity);
}
