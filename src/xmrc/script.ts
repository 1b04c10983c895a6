/**
 * Which script, and as far as a few letters can tell which language, a piece of text is in: for the lens ("which language is it
 * thinking in") and as the first step of the language detector.
 */
import type { Language } from '../types';

/** The scripts of the twelve languages, and one name for all the others. */
export type Script = 'Latin' | 'Han' | 'Devanagari' | 'Arabic' | 'Greek' | 'Cyrillic' | 'Thai' | 'other';

const SCRIPTS: [Exclude<Script, 'other'>, RegExp][] = [
  ['Latin', /\p{Script=Latin}/u],
  ['Han', /\p{Script=Han}/u],
  ['Devanagari', /\p{Script=Devanagari}/u],
  ['Arabic', /\p{Script=Arabic}/u],
  ['Greek', /\p{Script=Greek}/u],
  ['Cyrillic', /\p{Script=Cyrillic}/u],
  ['Thai', /\p{Script=Thai}/u],
];

export const SCRIPT_OF: Record<Language, Exclude<Script, 'other'>> = {
  en: 'Latin', de: 'Latin', es: 'Latin', vi: 'Latin', ro: 'Latin', tr: 'Latin',
  zh: 'Han', hi: 'Devanagari', ar: 'Arabic', el: 'Greek', ru: 'Cyrillic', th: 'Thai',
};

/** A script that only one of the twelve languages is written in names that language. */
export const LANGUAGE_OF: Partial<Record<Script, Language>> = {
  Han: 'zh', Devanagari: 'hi', Arabic: 'ar', Greek: 'el', Cyrillic: 'ru', Thai: 'th',
};

/** Letters by script. Marks (vowel signs, tone marks) count with their script; digits, spaces and punctuation do not count. */
export function countScripts(text: string): Map<Script, number> {
  const out = new Map<Script, number>();
  for (const ch of text) {
    if (!/[\p{L}\p{M}]/u.test(ch)) continue;
    const known = SCRIPTS.find(([, re]) => re.test(ch));
    // Marks shared by all scripts (U+0301 …) belong to whatever they stand on.
    if (!known && /\p{Script=Inherited}/u.test(ch)) continue;
    const script = known ? known[0] : 'other';
    out.set(script, (out.get(script) ?? 0) + 1);
  }
  return out;
}

/** The script with most letters and its share of all letters; null where there is no letter. */
export function mainScript(text: string): { script: Script; share: number; letters: number } | null {
  let letters = 0;
  let best: Script | null = null;
  let most = 0;
  for (const [script, n] of countScripts(text)) {
    letters += n;
    if (n > most) {
      most = n;
      best = script;
    }
  }
  return best === null ? null : { script: best, share: most / letters, letters };
}

/** What a lens cell's top token looks like. */
export interface TokenScript {
  kind: 'letters' | 'digits' | 'punctuation' | 'space' | 'broken' | 'special';
  script: Script | null;
  /** The language when the script names one; null for Latin and unknown scripts, where one token cannot tell. */
  language: Language | null;
}

/** `special` is the tokenizer's own word on it; bytes that are no whole character arrive as U+FFFD. */
export function tokenScript(text: string, special = false): TokenScript {
  if (special) return { kind: 'special', script: null, language: null };
  const main = mainScript(text);
  if (main) return { kind: 'letters', script: main.script, language: LANGUAGE_OF[main.script] ?? null };
  const bare = text.replace(/[\s\u2581\u0120]/gu, '');
  if (bare === '') return { kind: 'space', script: null, language: null };
  if (bare.includes('\ufffd')) return { kind: 'broken', script: null, language: null };
  return { kind: /\p{N}/u.test(bare) ? 'digits' : 'punctuation', script: null, language: null };
}

/** Share of each script (or non-letter kind) in a layer's top tokens, weighted by probability: one column of the lens' legend. */
export function scriptMass(top: readonly { text: string; p: number }[]): { key: Script | TokenScript['kind']; p: number }[] {
  const mass = new Map<Script | TokenScript['kind'], number>();
  for (const t of top) {
    const s = tokenScript(t.text);
    const key = s.script ?? s.kind;
    mass.set(key, (mass.get(key) ?? 0) + t.p);
  }
  return [...mass].map(([key, p]) => ({ key, p })).sort((a, b) => b.p - a.p);
}
