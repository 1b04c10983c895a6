import { expect, test } from 'vitest';
import { goldOf, ownSpan, placesOf } from '../../src/xmrc/answer';
import { cpSlice } from '../../src/xmrc/codepoints';

test('places count code points, whatever stands before them', () => {
  for (const [text, part, places] of [
    ['Sophie 🎭 lives in Bonn, not in Bonn-Ost.', 'Bonn', [18, 31]],
    ['𝔅onn und 𝔅erlin', '𝔅erlin', [9]],
    ['تسكن صوفي في بون.', 'بون', [13]],
    ['索菲住在波恩。', '波恩', [4]],
    ['Sophie lives in Bonn.', 'bonn', []],
    ['Sophie', '', []],
  ] as const) {
    expect(placesOf(text, part), text).toEqual(places);
    for (const start of places) expect(cpSlice(text, start, start + [...part].length)).toBe(part);
  }
});

test('what a model wrote is a span only where it stands in one place, word for word; and never gold', () => {
  const own = ownSpan('Sophie lives in Bonn. Luigi lives in Trieste.', ' Bonn\n');
  expect(own).toEqual({ text: 'Bonn', start: 16, own: true });
  for (const written of ['lives', 'bonn', 'Genoa', '  ']) expect(ownSpan('Sophie lives in Bonn. Luigi lives in Trieste.', written), written).toBeNull();
  expect(goldOf(own ?? undefined)).toBeNull();
  expect(goldOf({ text: 'Bonn', start: 16 })).toEqual({ text: 'Bonn', start: 16 });
  expect(goldOf(undefined)).toBeNull();
});
