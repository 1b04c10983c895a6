/** Token spans against the text they came from: every bundled language, the three kinds of tokenizer that hub decoders have. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Tokenizer } from '@huggingface/tokenizers';
import { describe, expect, test } from 'vitest';
import { tokenPieces, type TokenizerJson } from '../../src/models/pieces';
import { align, groupTokens, type Piece } from '../../src/models/spans';
import { LANGUAGES } from '../../src/types';
import { cpLength, cpSlice } from '../../src/xmrc/codepoints';
import { loadFile } from '../../src/xmrc/items';

const ROOT = join(import.meta.dirname, '../..');
const items = loadFile(readFileSync(join(ROOT, 'public/items/world.json'), 'utf8'), 'world.json').items.slice(0, 12);

function load(name: string): { encode: (text: string) => number[]; piece: (id: number) => Piece } {
  const json = JSON.parse(readFileSync(join(ROOT, `tests/fixtures/tokenizers/${name}.json`), 'utf8')) as TokenizerJson;
  const tokenizer = new Tokenizer(json, {});
  const pieces = tokenPieces(json);
  return { encode: (text) => tokenizer.encode(text, { add_special_tokens: false }).ids, piece: (id) => pieces.get(id) as Piece };
}

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);

describe.each(['byte_level', 'sentencepiece_bpe', 'gemma_bpe'])('%s', (name) => {
  const { encode, piece } = load(name);

  test.each(LANGUAGES)('spans of %s are exact', (language) => {
    for (const item of items) {
      const context = item.context[language] as string;
      const question = item.question[language] as string;
      const answer = item.answer[language] as { text: string; start: number };
      const text = `<|user|>${context}\n\n${question}<|end|><|assistant|>`.normalize('NFC');
      const ids = encode(text);
      const pieces = ids.map(piece);
      const { spans, exact } = align(text, pieces);
      expect(exact).toBe(true);
      expect(spans.map((s) => s.text).join('')).toBe(text);
      expect(spans.some((s) => s.text.includes('\uFFFD'))).toBe(false);

      spans.forEach((span, i) => {
        // A token's bytes lie within the characters of its range; whole characters are those very bytes.
        const covered = bytes(cpSlice(text, span.start, span.end));
        const own = [...pieces[i].bytes];
        const without = own[0] === 0x20 && !cpSlice(text, span.start, span.end).startsWith(' ') ? own.slice(1) : own;
        expect(String.fromCharCode(...covered)).toContain(String.fromCharCode(...without));
        if (i > 0) expect(span.start).toBeGreaterThanOrEqual(spans[i - 1].start);
      });
      // Every character of the text belongs to some token.
      const seen = new Set(spans.flatMap((s) => Array.from({ length: s.end - s.start }, (_, i) => s.start + i)));
      const characters = Array.from(text);
      for (let i = 0; i < characters.length; i++) if (characters[i].trim()) expect(seen.has(i)).toBe(true);

      const at = cpLength('<|user|>');
      const context0 = { start: at, end: at + cpLength(context) };
      const question0 = { start: context0.end + 2, end: context0.end + 2 + cpLength(question) };
      const answerSpan = { start: at + answer.start, end: at + answer.start + cpLength(answer.text) };
      const groups = groupTokens(spans, { context: context0, question: question0, answerSpan });
      const textOf = (group: string): string => {
        const members = spans.filter((_, i) => groups[i] === group);
        return cpSlice(text, Math.min(...members.map((s) => s.start)), Math.max(...members.map((s) => s.end)));
      };
      expect(textOf('answerSpan').trim()).toContain(answer.text);
      // A token may reach over the edge of its range by the space or mark it is glued to, never by more.
      expect(cpLength(textOf('answerSpan'))).toBeLessThanOrEqual(cpLength(answer.text) + 8);
      expect(textOf('question')).toContain(question);
      expect(groups.at(-1)).toBe('readout');
      expect(groups[0]).toBe('template');
      expect(groups.filter((g) => g === 'context').length).toBeGreaterThan(0);
    }
  });

  test('emoji, joined families, flags, combining marks and control characters', () => {
    const text = 'A👩‍👩‍👧‍👦 🇩🇪 e\u0301 a\tb\r\nc 𝔸  x'.normalize('NFC');
    const { spans, exact } = align(text, encode(text).map(piece));
    expect(exact).toBe(true);
    expect(spans.map((s) => s.text).join('')).toBe(text);
  });
});

describe('align', () => {
  const piece = (text: string, special = false): Piece => ({ bytes: bytes(text), special });

  test('a character split over tokens: text goes to the first, ranges overlap', () => {
    const river = bytes('河');
    const { spans } = align('a河b', [piece('a'), { bytes: river.slice(0, 1), special: false }, { bytes: river.slice(1), special: false }, piece('b')]);
    expect(spans).toEqual([
      { start: 0, end: 1, text: 'a' },
      { start: 1, end: 2, text: '河' },
      { start: 1, end: 2, text: '' },
      { start: 2, end: 3, text: 'b' },
    ]);
  });

  test('a BOS that the text does not have is empty and costs nothing', () => {
    const { spans, exact } = align('ab', [piece('<s>', true), piece('ab')]);
    expect(exact).toBe(true);
    expect(spans).toEqual([
      { start: 0, end: 0, text: '' },
      { start: 0, end: 2, text: 'ab' },
    ]);
  });

  test('white space that a special token swallowed is skipped', () => {
    const { spans, exact } = align('<|end|>\nab', [piece('<|end|>', true), piece('ab')]);
    expect(exact).toBe(true);
    expect(spans[1]).toEqual({ start: 8, end: 10, text: '\nab' });
  });

  test('a token that is nowhere in the text is said, and the others stay right', () => {
    const { spans, exact } = align('abcd', [piece('ab'), piece('XY'), piece('cd')]);
    expect(exact).toBe(false);
    expect(spans[1]).toEqual({ start: 2, end: 2, text: '' });
    expect(spans[2]).toEqual({ start: 2, end: 4, text: 'cd' });
  });

  test('surrogate pairs count as one', () => {
    expect(align('𝔸b', [piece('𝔸'), piece('b')]).spans[1]).toEqual({ start: 1, end: 2, text: 'b' });
  });
});
