/** Signs that a text is no answer in any language. Each returns a sentence for the reader, or null. Ours. */
import { countScripts, SCRIPT_OF, type Script } from './script';

/** An n-gram of words said over and over: at least 3 times in a row (4 for single words) and most of the text. */
function repeatedWords(text: string): string | null {
  const words = text.toLowerCase().split(/\s+/u).filter(Boolean);
  for (let n = 1; n <= 6; n++) {
    const need = n === 1 ? 4 : 3;
    for (let i = 0; i + n * need <= words.length; i++) {
      let times = 1;
      while (i + n * (times + 1) <= words.length && same(words, i, i + n * times, n)) times++;
      if (times >= need && n * times >= 0.5 * words.length) return `“${words.slice(i, i + n).join(' ')}” ${times} times in a row`;
    }
  }
  if (words.length >= 12 && new Set(words).size / words.length < 0.35) return 'few words, said again and again';
  return null;
}

function same(words: string[], a: number, b: number, n: number): boolean {
  for (let k = 0; k < n; k++) if (words[a + k] !== words[b + k]) return false;
  return true;
}

/** A run of the same few characters, for scripts without spaces and for "aaaa"; digits may repeat (1000000). */
function repeatedCharacters(text: string): string | null {
  const bare = text.replace(/\s+/gu, '');
  const m = /([^\p{N}]{1,12}?)\1{3,}/u.exec(bare);
  if (m && m[0].length >= 0.6 * bare.length && m[0].length >= 6) return `“${m[1]}” over and over`;
  return null;
}

function mostlySymbols(text: string): string | null {
  const bare = text.replace(/\s+/gu, '');
  if (bare === '') return null;
  const good = bare.match(/[\p{L}\p{M}\p{N}]/gu)?.length ?? 0;
  if (good === 0) return 'neither letter nor digit';
  return bare.length >= 6 && good < 0.5 * bare.length ? 'more signs than letters' : null;
}

/** Words no mouth can say: no vowel in five letters and more, or letters, digits and signs mixed at random. */
function unpronounceable(text: string): string | null {
  const words = text.split(/\s+/u).filter((w) => /\p{Script=Latin}/u.test(w));
  if (words.length === 0) return null;
  const bad = words.filter((w) => {
    const letters = w.normalize('NFD').replace(/[^\p{Script=Latin}]/gu, '');
    if (letters.length >= 5 && !/[aeiouyıæøœ]/iu.test(letters) && letters !== letters.toUpperCase()) return true;
    return /\p{L}\p{N}+\p{L}+\p{N}+\p{L}/u.test(w) || /\p{Ll}[#$%^&*_=+~|\\{}<>]\p{L}/u.test(w);
  });
  return bad.length >= 0.5 * words.length ? 'words without vowels or with signs inside' : null;
}

/** Letters of several scripts inside one word, such as "прhelloमिट". */
function mixedWords(text: string): string | null {
  const words = text.split(/[\s\p{P}]+/u).filter((w) => /\p{L}/u.test(w));
  const scripts = new Set(countScripts(text).keys());
  const mixed = words.filter((w) => {
    const own = countScripts(w);
    // "TCP协议", "cpडीएनए" and "สหรัฐUSA" are how real texts write; three scripts in a word, or Greek–Cyrillic–Latin salads, are not.
    return own.size >= 3 || (own.size === 2 && ['Cyrillic', 'Greek', 'other'].some((s) => own.has(s as Script)) && Math.min(...own.values()) >= 2);
  });
  if (words.length > 0 && mixed.length >= 0.5 * words.length) return 'scripts mixed inside words';
  return scripts.size >= 4 ? `${scripts.size} scripts in one answer` : null;
}

/** Letters, but none of a script that the prompt, the gold answer or any of the twelve languages has. */
function strangeScript(text: string, expected: string): string | null {
  const scripts = countScripts(text);
  if (scripts.size === 0) return null;
  const lab = new Set<Script>(Object.values(SCRIPT_OF) as Script[]);
  const prompt = countScripts(expected);
  for (const s of scripts.keys()) if (lab.has(s) || prompt.has(s)) return null;
  return 'no letter of any script in the prompt, the gold answer or the lab’s languages';
}

/** Marks of a script in an order nobody writes: a vowel or tone sign without its consonant. */
function looseMarks(text: string): string | null {
  const marks = text.match(/(?:^|[\s\p{P}\p{N}])[\p{M}]/gu)?.length ?? 0;
  const words = text.split(/\s+/u).filter(Boolean).length;
  return marks > 0 && marks >= 0.5 * words ? 'vowel or tone signs without a letter to carry them' : null;
}

/** `expected`: prompt and gold, whose scripts are no surprise. */
export function findGibberish(text: string, expected: string): string | null {
  if (text.includes('\ufffd')) return 'broken characters (U+FFFD)';
  return (
    mostlySymbols(text) ?? repeatedWords(text) ?? repeatedCharacters(text) ?? mixedWords(text) ?? looseMarks(text) ?? strangeScript(text, expected) ?? unpronounceable(text)
  );
}
