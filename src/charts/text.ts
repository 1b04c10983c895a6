/** Text in charts: widths without a DOM, cutting without tearing graphemes, direction, and which script a token is in. */

const segmenter = new Intl.Segmenter('und', { granularity: 'grapheme' });

/** Approximate advance width in em of one code point in a sans face; wide scripts 1, marks 0. Errs on the wide side. */
function advance(cp: number, ch: string): number {
  if (cp < 0x250) {
    if (/[iljI.,:;'|! ]/.test(ch)) return 0.3;
    if (/[tfr()\-/]/.test(ch)) return 0.42;
    if (/[mwMW%@]/.test(ch)) return 0.92;
    return ch >= 'A' && ch <= 'Z' ? 0.7 : 0.6;
  }
  if ((cp >= 0x1100 && cp <= 0x115f) || (cp >= 0x2e80 && cp <= 0xa4cf) || (cp >= 0xac00 && cp <= 0xd7a3) || (cp >= 0xf900 && cp <= 0xfaff) || (cp >= 0xfe30 && cp <= 0xfe6f) || (cp >= 0xff00 && cp <= 0xff60) || cp >= 0x1f300) return 1; // prettier-ignore
  if (/\p{M}/u.test(ch)) return 0;
  return 0.62;
}

/** Estimated width in px of `text` at `size` px. */
export function textWidth(text: string, size: number): number {
  let em = 0;
  for (const ch of text) em += advance(ch.codePointAt(0) ?? 0, ch);
  return em * size;
}

/** Cuts to `width` px with an ellipsis, between graphemes only: a Devanagari or Thai cluster is never torn. */
export function fit(text: string, width: number, size: number): string {
  if (textWidth(text, size) <= width) return text;
  const room = width - 0.7 * size;
  let out = '';
  let used = 0;
  for (const { segment } of segmenter.segment(text)) {
    used += textWidth(segment, size);
    if (used > room) break;
    out += segment;
  }
  return `${out}…`;
}

/** Breaks a name after spaces, hyphens, slashes and underscores into lines of at most `width` px; a piece too long for a line is cut. */
export function wrap(text: string, width: number, size: number): string[] {
  const lines: string[] = [];
  for (const piece of text.split(/(?<=[-/ _])/)) {
    const last = lines[lines.length - 1];
    if (last !== undefined && textWidth(last + piece, size) <= width) lines[lines.length - 1] = last + piece;
    else lines.push(piece);
  }
  return lines.map((l) => fit(l.trimEnd(), width, size));
}

/** How a token that is no whole character is shown. */
const BYTES = /‹[0-9A-F]{2}(?: [0-9A-F]{2})*›/g;

/** Such a token, or a space of another. */
const BYTES_OR_SPACE = new RegExp(`${BYTES.source}| `, 'g');

/** A token as it can be seen: leading space, newline and tab are made visible, control characters and the empty string too. */
export function tokenText(text: string): string {
  if (text === '') return '∅';
  return text
    // bytes that are no whole character stand as ‹E4 BB›: that space is not the token's
    .replace(BYTES_OR_SPACE, (m) => (m === ' ' ? '\u2423' : m))
    .replace(/\n/g, '↵')
    .replace(/\t/g, '⇥')
    .replace(/[\u0000-\u001F\u007F]/g, '\uFFFD');
}
/** As above, but one leading space, which most word-initial tokens have, is left out: in a column of readings it says nothing. */
export const wordText = (text: string): string => tokenText(text.length > 1 && text.startsWith(' ') ? text.slice(1) : text);

const SCRIPTS: [string, RegExp][] = [
  ['Latin', /\p{Script=Latin}/u],
  ['Han', /\p{Script=Han}/u],
  ['Cyrillic', /\p{Script=Cyrillic}/u],
  ['Arabic', /\p{Script=Arabic}/u],
  ['Devanagari', /\p{Script=Devanagari}/u],
  ['Thai', /\p{Script=Thai}/u],
  ['Greek', /\p{Script=Greek}/u],
  ['Hangul', /\p{Script=Hangul}/u],
  ['Kana', /[\p{Script=Hiragana}\p{Script=Katakana}]/u],
  ['Hebrew', /\p{Script=Hebrew}/u],
];
/** The script of the first letter; 'bytes' of a torn character, whose script is not known; 'digits', 'marks' or '' where there is none. [O] */
export function scriptOf(shown: string): string {
  const text = shown.replace(BYTES, '');
  if (text === '' && shown !== '') return 'bytes';
  for (const ch of text) for (const [name, test] of SCRIPTS) if (test.test(ch)) return name;
  if (/\p{N}/u.test(text)) return 'digits';
  return text.trim() === '' ? '' : 'marks';
}

/** Right-to-left by first strong letter (the Unicode bidi rule, for the scripts at hand). */
export function isRtl(text: string): boolean {
  const strong = /\p{L}/u.exec(text);
  return strong !== null && /[\p{Script=Arabic}\p{Script=Hebrew}]/u.test(strong[0]);
}

/** Text that stands in a sentence of another direction: the numbers after an Arabic word stay where they belong. */
export const isolated = (text: string): string => (/[\p{Script=Arabic}\p{Script=Hebrew}]/u.test(text) ? `\u2068${text}\u2069` : text);

/** 41 %; small ones 0.3 %, tiny ones <0.1 %. */
export function percent(p: number): string {
  if (!Number.isFinite(p)) return '–';
  const v = p * 100;
  if (v > 0 && v < 0.1) return '<0.1 %';
  return `${v >= 9.95 || v === 0 ? Math.round(v) : v.toFixed(1)} %`;
}
/** 1 item, 2 items. */
export const many = (n: number, one: string, more = `${one}s`): string => `${n} ${n === 1 ? one : more}`;
/** Three significant digits without trailing noise; NaN as a dash. Minus is a true minus. */
export function short(n: number): string {
  if (!Number.isFinite(n)) return Number.isNaN(n) ? '–' : n > 0 ? '∞' : '−∞';
  const s = Math.abs(n) >= 1e5 || (n !== 0 && Math.abs(n) < 1e-3) ? n.toExponential(1) : String(Number(n.toPrecision(3)));
  return s.replace('-', '−');
}
