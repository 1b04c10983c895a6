/** The item sets that ship: every offset, every parallel id, every script, and no language a copy of another. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { LANGUAGES, type Language } from '../../src/types';
import { cpSlice } from '../../src/xmrc/codepoints';
import { loadFile } from '../../src/xmrc/items';
import { mainScript, SCRIPT_OF } from '../../src/xmrc/script';

const FOLDER = join(import.meta.dirname, '../../public/items');
describe.each([
  { name: 'world', paragraphs: 80, questions: 3 },
  { name: 'atlas', paragraphs: 12, questions: 3 },
])('$name', ({ name, paragraphs, questions }) => {
  // loading refuses wrong offsets, double ids and sets that are not parallel
  const { items } = loadFile(readFileSync(join(FOLDER, `${name}.json`), 'utf8'), `${name}.json`);

  test('enough of it, in twelve languages', () => {
    const per = new Map<string, number>();
    for (const item of items) per.set(item.paragraph, (per.get(item.paragraph) ?? 0) + 1);
    expect([...per.values()].filter((n) => n >= questions).length).toBeGreaterThanOrEqual(paragraphs);
    expect(new Set(items.map((i) => i.id)).size).toBe(items.length);
    for (const item of items) for (const l of LANGUAGES) expect(item.context[l] && item.question[l] && item.answer[l]?.text, `${item.id} ${l}`).toBeTruthy();
  });

  test('every answer stands where its offset says, in code points', () => {
    for (const item of items)
      for (const l of LANGUAGES) {
        const answer = item.answer[l];
        if (!answer) throw new Error(`${item.id} ${l}: no answer`);
        expect(cpSlice(item.context[l] ?? '', answer.start, answer.start + [...answer.text].length), `${item.id} ${l}`).toBe(answer.text);
      }
  });

  test('every text is in its language’s script, and none is a copy of another', () => {
    for (const item of items) {
      const seen = new Map<string, Language>();
      for (const l of LANGUAGES) {
        const text = item.context[l] ?? '';
        const main = mainScript(text);
        expect(main?.script, `${item.id} ${l}`).toBe(SCRIPT_OF[l]);
        expect(main?.share, `${item.id} ${l}`).toBeGreaterThan(0.9);
        expect(text, `${item.id} ${l}`).not.toMatch(/\uFFFD|[{}<>]/);
        expect(seen.get(text), `${item.id}: ${l} copies`).toBeUndefined();
        seen.set(text, l);
      }
      expect(new Set(LANGUAGES.map((l) => item.question[l])).size, item.id).toBe(LANGUAGES.length);
    }
  });
});

test('atlas paragraphs have 80 to 150 English words', () => {
  const { items } = loadFile(readFileSync(join(FOLDER, 'atlas.json'), 'utf8'), 'atlas.json');
  for (const item of items) {
    const words = (item.context.en ?? '').split(/\s+/).length;
    expect(words, item.id).toBeGreaterThanOrEqual(80);
    expect(words, item.id).toBeLessThanOrEqual(150);
  }
});
