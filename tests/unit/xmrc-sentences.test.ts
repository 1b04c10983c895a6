import { existsSync, readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { LANGUAGES, type Language } from '../../src/types';
import { cpSlice } from '../../src/xmrc/codepoints';
import { loadParallel, loadSquad } from '../../src/xmrc/items';
import { scriptMass, tokenScript } from '../../src/xmrc/script';
import { goldSentences, sentences, without } from '../../src/xmrc/sentences';

const three: Record<Language, string[]> = {
  en: ['Dr. Ida Morrow built it in 1871. ', 'It cost 4.5 million dollars! ', 'Who paid?'],
  de: ['Prof. Berg kam am Montag. ', 'Es regnete, z. B. in Ulm, sehr stark. ', 'Wer blieb?'],
  es: ['El Sr. Gil llegó en mayo. ', '¿Quién lo vio? ', 'Nadie lo sabe.'],
  vi: ['Anh ấy đến vào tháng năm. ', 'Trời mưa rất to! ', 'Ai đã trả tiền?'],
  zh: ['他五月来了。', '下了大雨！', '谁付的钱？'],
  hi: ['वह मई में आया। ', 'बहुत बारिश हुई। ', 'किसने दिया?'],
  ar: ['وصل في شهر مايو. ', 'هطل المطر بغزارة! ', 'من دفع الثمن؟'],
  el: ['Ήρθε τον Μάιο. ', 'Έβρεξε πολύ! ', 'Ποιος πλήρωσε;'],
  ro: ['A venit în luna mai. ', 'A plouat foarte tare! ', 'Cine a plătit?'],
  ru: ['Он приехал в мае. ', 'Шёл сильный дождь! ', 'Кто заплатил?'],
  th: ['เขาเดินทางมาถึงหมู่บ้านเล็กๆ ริมแม่น้ำในเดือนพฤษภาคม ', 'ฝนตกหนักมากตลอดทั้งวันจนชาวบ้านไม่สามารถออกไปทำงานได้ ', 'ไม่มีใครรู้ว่าใครเป็นคนจ่ายเงินค่าซ่อมแซมสะพาน'],
  tr: ['Dr. Kaya mayısta geldi. ', 'Çok yağmur yağdı! ', 'Kim ödedi?'],
};

describe('sentences', () => {
  it.each(LANGUAGES.map((l) => [l]))('%s', (l) => {
    const text = three[l].join('');
    const found = sentences(text, l);
    expect(found.map((s) => s.text)).toEqual(three[l]);
    expect(found.map((s) => cpSlice(text, s.start, s.end))).toEqual(three[l]);
  });
  it('tile the text, count code points, and can be left out', () => {
    const text = '🦊 ran. It hid. 🏠';
    const s = sentences(text, 'en');
    expect(s.map((x) => x.text).join('')).toBe(text);
    expect(s[0]).toEqual({ text: '🦊 ran. ', start: 0, end: 7 });
    expect(without(text, s[0])).toBe('It hid. 🏠');
    expect(without(text, s.at(-1)!)).toBe('🦊 ran. ');
    expect(sentences('', 'en')).toEqual([]);
    expect(sentences('...', 'en')).toHaveLength(1);
  });
  it('know where the answer is, also across a boundary', () => {
    const s = sentences('The fox ran. It hid. It slept.', 'en');
    expect(goldSentences(s, { text: 'hid', start: 16 })).toEqual([1]);
    expect(goldSentences(s, { text: 'ran. It', start: 8 })).toEqual([0, 1]);
    expect(goldSentences(s, { text: 'x', start: 99 })).toEqual([]);
  });
});

describe('the script of a token', () => {
  it.each([
    [' London', 'letters', 'Latin', null],
    ['▁город', 'letters', 'Cyrillic', 'ru'],
    ['江', 'letters', 'Han', 'zh'],
    ['ि', 'letters', 'Devanagari', 'hi'],
    ['สี', 'letters', 'Thai', 'th'],
    ['ال', 'letters', 'Arabic', 'ar'],
    ['Ελ', 'letters', 'Greek', 'el'],
    ['한', 'letters', 'other', null],
    ['12', 'digits', null, null],
    ['.', 'punctuation', null, null],
    ['▁', 'space', null, null],
    ['\ufffd', 'broken', null, null],
  ])('%s', (text, kind, script, language) => {
    expect(tokenScript(text)).toEqual({ kind, script, language });
  });
  it('is special where the tokenizer says so', () => {
    expect(tokenScript('<|end|>', true).kind).toBe('special');
  });
  it('weighs a cell', () => {
    expect(scriptMass([{ text: 'a', p: 0.2 }, { text: 'б', p: 0.5 }, { text: 'b', p: 0.1 }])).toEqual([{ key: 'Cyrillic', p: 0.5 }, { key: 'Latin', p: 0.30000000000000004 }]);
  });
});

const world = 'public/items/world.json';
if (!existsSync(world)) console.warn(`skipped: ${world} is not here`);
describe.skipIf(!existsSync(world))('the shipped world', () => {
  it('has the same number of sentences in every language', () => {
    const set = loadParallel(readFileSync(world, 'utf8'), world);
    expect(set.languages).toEqual([...LANGUAGES]);
    const seen = new Set<string>();
    const differ: Record<string, number> = {};
    for (const item of set.items) {
      if (seen.has(item.paragraph)) continue;
      seen.add(item.paragraph);
      const n = sentences(item.context.en!, 'en').length;
      for (const l of LANGUAGES) if (sentences(item.context[l]!, l).length !== n) differ[l] = (differ[l] ?? 0) + 1;
    }
    console.log(`world: ${seen.size} paragraphs, number of sentences differs from English in`, differ);
    for (const l of LANGUAGES) expect((differ[l] ?? 0) / seen.size, l).toBeLessThan(l === 'th' ? 0.4 : 0.05);
  });
});

const dir = '../shared/data/xquad';
const missing = !existsSync(`${dir}/xquad.en.json`);
if (missing) console.warn(`skipped: ${dir} is not here, so sentences of XQuAD are not counted`);
describe.skipIf(missing)('XQuAD', () => {
  it('has about as many sentences in every language, and an answer lies in one of them', () => {
    const counts: Record<string, string> = {};
    let english = 0;
    for (const l of LANGUAGES) {
      const set = loadSquad({ [l]: readFileSync(`${dir}/xquad.${l}.json`, 'utf8') }, { name: 'x', license: '' });
      const cut = new Map<string, ReturnType<typeof sentences>>();
      let split = 0;
      for (const item of set.items) {
        let s = cut.get(item.paragraph);
        if (!s) cut.set(item.paragraph, (s = sentences(item.context[l]!, l)));
        const gold = goldSentences(s, item.answer[l]!);
        expect(gold.length).toBeGreaterThan(0);
        if (gold.length > 1) split++;
        if (!s.length || s.map((x) => x.text).join('') !== item.context[l]) throw new Error(`${item.id} ${l} not tiled`);
      }
      const n = [...cut.values()].reduce((a, s) => a + s.length, 0) / cut.size;
      if (l === 'en') english = n;
      counts[l] = `${n.toFixed(2)} per paragraph, ${split} answers across a boundary`;
      expect(n / english, l).toBeGreaterThan(0.7);
      expect(n / english, l).toBeLessThan(1.6);
      expect(split / 1190, l).toBeLessThan(l === 'th' ? 0.08 : 0.03);
    }
    console.log('sentences', counts);
  });
});
