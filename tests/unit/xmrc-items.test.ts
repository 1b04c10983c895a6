import { existsSync, readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { LANGUAGES, type Language } from '../../src/types';
import { cpLength, cpSlice } from '../../src/xmrc/codepoints';
import { ItemsError, loadFile, loadMlqa, loadParallel, loadSquad, mlqaLanguages, requireLanguages, sampleItems } from '../../src/xmrc/items';
import { parseJson } from '../../src/xmrc/json';
import { seeded } from '../../src/xmrc/random';

const qa = (id: string, text: string, start: number, question = `${id}?`, tags?: string[]) => ({ id, question, answers: [{ text, answer_start: start }], ...(tags && { tags }) });
const squad = (context: string, ...qas: unknown[]) => ({ version: '1.1', data: [{ title: 'T', paragraphs: [{ context, qas }] }] });
const text = (v: unknown) => JSON.stringify(v, null, 2);
const info = { name: 's', license: 'x' };
const problem = (f: () => unknown) => {
  try {
    f();
  } catch (e) {
    if (e instanceof ItemsError) return e.message;
    throw e;
  }
  return 'accepted';
};

describe('loading', () => {
  const en = squad('🦊 The fox ran home.', qa('a', 'fox', 6, 'Who ran?', ['kind']), qa('b', 'home', 14));
  const de = squad('Der Fuchs 🦊 lief heim.', qa('b', 'heim', 17), qa('a', 'Fuchs', 4));
  it('joins parallel files by id', () => {
    const set = loadSquad({ de: text(de), en: text(en) }, info);
    expect(set.languages).toEqual(['en', 'de']);
    expect(set.items.map((i) => i.id)).toEqual(['a', 'b']);
    expect(set.items[0].answer).toEqual({ en: { text: 'fox', start: 6 }, de: { text: 'Fuchs', start: 4 } });
    expect(set.items[0].tags).toEqual(['kind']);
    expect(set.items[0].paragraph).toBe('T/0');
  });
  it('reads the parallel shape, and any shape as a dropped file', () => {
    const whole = text({ name: 'world', license: 'CC0', languages: ['en', 'de'], sets: { en, de } });
    const set = loadParallel(whole);
    expect(set).toMatchObject({ name: 'world', license: 'CC0', languages: ['en', 'de'] });
    expect(loadFile(whole, 'w.json').items).toEqual(set.items);
    expect(loadFile(text(de), 'mine.de.json')).toMatchObject({ name: 'mine', languages: ['de'] });
  });
  it('accepts CRLF, a byte order mark and CRLF inside a context whose offsets count it', () => {
    expect(loadSquad({ en: '\ufeff' + text(en).replace(/\n/g, '\r\n') }, info).items).toHaveLength(2);
    expect(loadSquad({ en: text(squad('a\r\nfox', qa('q', 'fox', 3))) }, info).items).toHaveLength(1);
  });
  it('joins MLQA files', () => {
    expect(mlqaLanguages('test-context-de-question-es.json')).toEqual({ contextLanguage: 'de', questionLanguage: 'es' });
    expect(mlqaLanguages('dev.json')).toBeNull();
    const files = [
      { contextLanguage: 'en' as const, questionLanguage: 'de' as const, text: text(squad('The fox.', qa('a', 'fox', 4, 'Wer?'))) },
      { contextLanguage: 'de' as const, questionLanguage: 'es' as const, text: text(squad('Der Fuchs.', qa('a', 'Fuchs', 4, '¿Quién?'), qa('c', 'Der', 0))) },
    ];
    const set = loadMlqa(files);
    expect(set.languages).toEqual(['en', 'de', 'es']);
    expect(set.items[0]).toMatchObject({ context: { en: 'The fox.', de: 'Der Fuchs.' }, question: { de: 'Wer?', es: '¿Quién?' } });
    expect(problem(() => loadMlqa([...files, { ...files[0], text: text(squad('A fox.', qa('a', 'fox', 2, 'Wer?'))) }]))).toContain('different en context');
  });
});

describe('refusing', () => {
  const good = squad('The fox.', qa('a', 'fox', 4));
  it.each<[string, () => unknown, RegExp]>([
    ['broken JSON', () => loadSquad({ en: text(good).replace('"id": "a",', '"id": "a"') }, info), /^s\.en, line 12: not JSON: column 15: "," or "}" expected/],
    ['a cut file', () => loadSquad({ en: text(good).slice(0, -10) }, info), /line 2\d: .*the file ends/],
    ['not SQuAD', () => loadSquad({ en: '[]' }, info), /list "data"/],
    ['no paragraphs', () => loadSquad({ en: '{"data":[{}]}' }, info), /data\[0\] has no list/],
    ['no qas', () => loadSquad({ en: '{"data":[{"paragraphs":[{"context":"c"}]}]}' }, info), /paragraphs\[0\] lacks/],
    ['no id', () => loadSquad({ en: text(squad('c', { question: 'q' })) }, info), /qas\[0\] lacks "id"/],
    ['a wrong offset', () => loadSquad({ en: text(squad('The fox.', qa('a', 'fox', 3))) }, info), /^s\.en, line 11, id a: answer_start 3 points at " fo".*stands at 4/],
    ['a negative offset', () => loadSquad({ en: text(squad('The fox.', qa('a', 'The', -1))) }, info), /answer_start -1/],
    ['UTF-16 offsets', () => loadSquad({ en: text(squad('🦊 fox', qa('a', 'fox', 3))) }, info), /UTF-16 units/],
    ['CRLF counted as one', () => loadSquad({ en: text(squad('a\r\nfox', qa('a', 'fox', 2))) }, info), /CRLF/],
    ['an answer not there', () => loadSquad({ en: text(squad('The fox.', qa('a', 'dog', 4))) }, info), /not in the context at all/],
    ['an empty answer', () => loadSquad({ en: text(squad('The fox.', qa('a', '', 4))) }, info), /empty/],
    ['a duplicate id', () => loadSquad({ en: text(squad('The fox.', qa('a', 'fox', 4), qa('a', 'The', 0))) }, info), /line 21, id a: .*second time/],
    ['files that are not parallel', () => loadSquad({ en: text(good), de: text(squad('Der Fuchs.', qa('z', 'Fuchs', 4))) }, info), /s\.de, id a: not parallel with s\.en: 1 of its 1 ids are missing/],
    ['a language the set lacks', () => requireLanguages(loadSquad({ en: text(good) }, info), ['en', 'th']), /no th; it has en/],
    ['a listed language without set', () => loadParallel(text({ languages: ['en', 'th'], sets: { en: good } })), /th is listed but has no set/],
    ['an unlisted one', () => loadParallel(text({ languages: ['en'], sets: { en: good, th: good } })), /th is not listed/],
    ['an unknown language', () => loadParallel(text({ languages: ['en', 'xx'], sets: { en: good } })), /unknown language "xx"/],
    ['no sets', () => loadParallel('{}'), /"sets" is expected/],
    ['nothing', () => loadSquad({}, info), /no language at all/],
  ])('%s', (_, run, message) => {
    expect(problem(run)).toMatch(message);
  });
  it('names many problems, five at a time', () => {
    const many = squad('The fox.', ...Array.from({ length: 9 }, (_, i) => qa(`q${i}`, 'fox', 0)));
    expect(problem(() => loadSquad({ en: text(many) }, info))).toContain('and 4 more');
  });
});

describe('the JSON scanner', () => {
  it('agrees with JSON.parse on what is broken', () => {
    const random = seeded(7);
    const whole = text({ a: [1, -2.5e3, 'x\\"é', null, true, { b: [] }, {}], c: '\u2028' });
    for (let i = 0; i < 2000; i++) {
      const at = Math.floor(random() * whole.length);
      const broken = whole.slice(0, at) + '{}[]",:0eé\n\\'[Math.floor(random() * 12)] + whole.slice(at + 1);
      let valid = true;
      try {
        JSON.parse(broken);
      } catch {
        valid = false;
      }
      if (valid) expect(() => parseJson(broken)).not.toThrow();
      else expect(() => parseJson(broken)).toThrow(/^line \d+, column \d+: .*(expected|the file ends)/);
    }
  });
  it('survives deep nesting', () => {
    expect(() => parseJson('['.repeat(100_000))).toThrow('the file ends');
  });
});

describe('sampling', () => {
  const set = loadSquad({ en: text({ data: Array.from({ length: 6 }, (_, p) => ({ title: `t${p}`, paragraphs: [{ context: 'The fox.', qas: [0, 1, 2].map((q) => qa(`p${p}q${q}`, 'fox', 4)) }] })) }) }, info);
  it('is the same for the same seed, for good', () => {
    expect(sampleItems(set.items, { seed: 1, items: 4 }).map((i) => i.id)).toMatchInlineSnapshot(`
      [
        "p0q1",
        "p3q1",
        "p3q2",
        "p5q2",
      ]
    `);
    expect(sampleItems(set.items, { seed: 2, paragraphs: 2 }).map((i) => i.id)).toMatchInlineSnapshot(`
      [
        "p2q0",
        "p2q1",
        "p2q2",
        "p4q0",
        "p4q1",
        "p4q2",
      ]
    `);
    expect(sampleItems(set.items, { seed: 2, items: 99 })).toHaveLength(18);
    const random = seeded(42);
    expect([random(), random(), random()]).toMatchInlineSnapshot(`
      [
        0.6011037519201636,
        0.44829055899754167,
        0.8524657934904099,
      ]
    `);
  });
});

const dir = '../shared/data/xquad';
const missing = !existsSync(`${dir}/xquad.en.json`);
if (missing) console.warn(`skipped: ${dir} is not here, so the real XQuAD is not loaded`);
describe.skipIf(missing)('XQuAD', () => {
  it('loads: twelve languages, 1190 parallel ids, every span found by code point', () => {
    const files = Object.fromEntries(LANGUAGES.map((l) => [l, readFileSync(`${dir}/xquad.${l}.json`, 'utf8')])) as Record<Language, string>;
    const t = performance.now();
    const set = loadSquad(files, { name: 'xquad', license: 'CC BY-SA 4.0' });
    console.log(`XQuAD: ${set.items.length} items in ${Math.round(performance.now() - t)} ms`);
    expect(set.languages).toEqual([...LANGUAGES]);
    expect(set.items).toHaveLength(1190);
    expect(new Set(set.items.map((i) => i.paragraph)).size).toBe(240);
    for (const item of set.items) {
      for (const l of LANGUAGES) {
        const a = item.answer[l]!;
        expect(cpSlice(item.context[l]!, a.start, a.start + cpLength(a.text))).toBe(a.text);
        expect(item.question[l]).toBeTruthy();
      }
    }
  });
});
