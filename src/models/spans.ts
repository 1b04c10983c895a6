/**
 * Which token covers which piece of the text, exactly. The tokenizers give no offsets, but every token is a known string of
 * bytes, so the tokens of a text are laid over the text's own UTF-8 bytes. One Chinese or Thai character can be several
 * tokens and one token can be several words: ranges are in Unicode code points, and may overlap where a character is split.
 * Pure: nothing here knows a tokenizer.
 */
import type { TokenGroup } from '../types';

/** A half-open range of code points. */
export interface Range {
  start: number;
  end: number;
}

export interface Piece {
  /** The bytes this token stands for ('▁' already a space, '<0xE6>' already a byte). */
  bytes: Uint8Array;
  special: boolean;
}

export interface Span extends Range {
  /** Graphemes that begin in this token; '' for a token that only continues one. */
  text: string;
}

export interface Alignment {
  spans: Span[];
  /** False when some token's bytes were not found in the text (a tokenizer that rewrites text): its range is then empty. */
  exact: boolean;
}

/**
 * Lays tokens over the text they were made from. Allowed on the way, because tokenizers do it: a leading space the text does
 * not have, white space of the text that no token has (around special tokens), special tokens the text does not have (BOS).
 */
export function align(text: string, pieces: readonly Piece[]): Alignment {
  const source = new TextEncoder().encode(text);
  let cursor = 0;
  let exact = true;
  const ranges = pieces.map(({ bytes, special }): Range => {
    for (const at of [cursor, afterSpace(source, cursor)]) {
      for (const skip of bytes[0] === 0x20 ? [0, 1] : [0]) {
        if (bytes.length > skip && matches(source, at, bytes, skip)) {
          cursor = at + bytes.length - skip;
          return { start: at, end: cursor };
        }
      }
    }
    if (!special && bytes.some((b) => b !== 0x20 && (b < 0x09 || b > 0x0d))) exact = false;
    return { start: cursor, end: cursor };
  });
  return { spans: toCodePoints(text, source, ranges), exact };
}

function matches(source: Uint8Array, at: number, bytes: Uint8Array, skip: number): boolean {
  if (at + bytes.length - skip > source.length) return false;
  for (let i = skip; i < bytes.length; i++) if (source[at + i - skip] !== bytes[i]) return false;
  return true;
}

function afterSpace(source: Uint8Array, at: number): number {
  while (at < source.length && (source[at] === 0x20 || (source[at] >= 0x09 && source[at] <= 0x0d))) at++;
  return at;
}

/** Byte ranges → code-point ranges, and each grapheme to the token its first byte lies in. */
function toCodePoints(text: string, source: Uint8Array, ranges: Range[]): Span[] {
  // pointAt[b] = index of the code point that byte b belongs to.
  const pointAt = new Uint32Array(source.length + 1);
  let point = -1;
  for (let b = 0; b < source.length; b++) {
    if ((source[b] & 0xc0) !== 0x80) point++;
    pointAt[b] = point;
  }
  pointAt[source.length] = point + 1;

  const spans: Span[] = ranges.map(({ start, end }) => ({
    start: pointAt[start],
    end: end > start ? pointAt[end - 1] + 1 : pointAt[start],
    text: '',
  }));

  const encoder = new TextEncoder();
  let byte = 0;
  let token = 0;
  for (const grapheme of graphemes(text)) {
    // Bytes that no token claims (dropped white space) go to the next token that has any.
    while (token < ranges.length - 1 && ranges[token].end <= byte) token++;
    if (spans[token]) spans[token].text += grapheme;
    byte += encoder.encode(grapheme).length;
  }
  return spans;
}

let segmenter: Intl.Segmenter | null = null;
export function graphemes(text: string): string[] {
  // Older Firefox has no Intl.Segmenter: code points are the honest floor.
  if (typeof Intl.Segmenter === 'undefined') return Array.from(text);
  segmenter ??= new Intl.Segmenter('und', { granularity: 'grapheme' });
  return Array.from(segmenter.segment(text), (s) => s.segment);
}

/** Where the pieces of a prompt lie in it; null when they are not in it any more. */
export interface PromptRanges {
  context: Range | null;
  question: Range | null;
  answerSpan: Range | null;
}

/** A group per token. A token belongs to the narrowest range that it shares a character with; the last one is the readout. */
export function groupTokens(spans: readonly Range[], ranges: PromptRanges): TokenGroup[] {
  const within = (span: Range, range: Range | null): boolean =>
    range !== null && span.end > span.start && span.start < range.end && span.end > range.start;
  const groups = spans.map((span): TokenGroup => {
    if (within(span, ranges.answerSpan)) return 'answerSpan';
    if (within(span, ranges.question)) return 'question';
    if (within(span, ranges.context)) return 'context';
    return 'template';
  });
  if (groups.length) groups[groups.length - 1] = 'readout';
  return groups;
}
