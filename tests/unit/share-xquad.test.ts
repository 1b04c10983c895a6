/** A link to any XQuAD item, with everything that a link can say, is short enough for mail and chat. */
import { existsSync, readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { LINK_LIMIT, makeLink, parseLink, type ProbeLink } from '../../src/share/link';
import { linkAsk } from '../../src/share/link-of';
import { LANGUAGES, type Language } from '../../src/types';
import { loadSquad } from '../../src/xmrc/items';

const XQUAD = process.env['XQUAD_DIR'] ?? new URL('../../../shared/data/xquad/', import.meta.url).pathname;
const missing = !existsSync(`${XQUAD}/xquad.en.json`);
if (missing) console.warn(`skipped: ${XQUAD} is not here, so links to the real XQuAD are not measured`);

it.skipIf(missing)('every item of XQuAD, the fullest view: at most 2,000 characters, and it says the same when it is read', () => {
  const texts = Object.fromEntries(LANGUAGES.map((l) => [l, readFileSync(`${XQUAD}/xquad.${l}.json`, 'utf8')])) as Record<Language, string>;
  const { items } = loadSquad(texts, { name: 'xquad', license: 'CC BY-SA 4.0' });
  expect(items).toHaveLength(1190);
  const base = 'https://an-institute-of-some-length.example.org/department/passage/';
  const model = (name: string): ProbeLink['models'][number] => ({ id: `onnx-community/${name}`, revision: 'c'.repeat(40), dtype: 'q4f16', host: 'https://mirror.an-institute.example.org/hf' });
  let longest = 0;
  for (const item of items) {
    const link: ProbeLink = {
      version: 1,
      ask: linkAsk({ item, set: 'xquad', contextLanguage: 'en', questionLanguage: 'th', prompt: { kind: 'chat', shots: 5, text: 'Read the passage and answer in as few words as you can.\n\n{context}\n\n{question}\n\nAnswer:' } }),
      models: [model('Llama-3.2-1B'), model('Llama-3.2-1B-Instruct')],
      device: 'webgpu',
      deviceB: 'wasm',
      languages: [...LANGUAGES],
      tokens: '0123456789abcdef',
      sketch: 'A'.repeat(64),
      recording: 'english-passage',
      view: {
        tab: 'relevance', layer: 35, token: 599, pins: [...LANGUAGES], pinned: [120000, 120001, 120002, 120003, 120004, 120005, 120006, 120007], groups: ['question', 'readout', 'answerSpan'],
        projection: 'layer-pca', basis: '0123456789abcdef', signs: [1, -1], zoom: { k: 39.999, x: -20000.123, y: -20000.123 }, range: [10, 35], follow: 120007, threshold: 0.85,
        apart: true, shade: 'entropy', followBy: 'rank', spread: 'quartiles', compared: 'retrieval',
        alignment: { items: 100, passage: 'own', how: 'answer-centred', languages: LANGUAGES.filter((l) => l !== 'en' && l !== 'th') },
        mechanism: { rule: 'cp-lrp', target: { kind: 'difference', a: 'ก'.repeat(8), b: 120007, index: 3 }, clean: { item: item.id, language: 'th' }, match: 'mean', maps: { items: 200, languages: 'all' }, sweeps: { items: 200, languages: 'all', clean: 'en' } },
        hide: ['frame', 'controls', 'reading', 'lens', 'views'],
      },
    };
    const made = makeLink(link, base);
    if (!made.ok) throw new Error(`${item.id}: ${made.message}`);
    longest = Math.max(longest, base.length + made.value.length);
    const read = parseLink(made.value);
    expect(read.ok && read.value).toEqual(link);
  }
  expect(longest).toBeLessThanOrEqual(LINK_LIMIT);
});
