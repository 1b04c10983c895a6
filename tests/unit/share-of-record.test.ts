/** What a record gives away: its link, and its files. */
import { readdirSync, readFileSync } from 'node:fs';
import { unzipSync } from 'fflate';
import { describe, expect, it } from 'vitest';
import { parseCsv } from '../../src/share/csv';
import { tokensHash } from '../../src/share/hash';
import { makeLink, parseLink } from '../../src/share/link';
import { askOfLink, linkAsk, linkOfRecord } from '../../src/share/link-of';
import { asRecord, exportRecord, EXPORTS } from '../../src/share/of-record';
import { makeRecord, splitRecord, unpackRecord, type RecordedRun } from '../../src/share/record';
import { readSafetensors } from '../../src/share/safetensors';
import { validate, type Schema } from '../../src/share/schema';
import type { Ask } from '../../src/types';
import { probe } from '../fixtures/share/probe';

const root = new URL('../../', import.meta.url);

describe('record → link', () => {
  const b = probe(0.1, { model: 'bundled:passage-post', revision: 'r2', dtype: 'q8' });
  b.model = { ...b.model, ref: { id: 'bundled:passage-post' }, dtype: 'q8', device: 'webgpu' };
  const other = probe(0.2);
  other.ask = { ...other.ask, questionLanguage: 'en' };
  const record = makeRecord([{ slot: 'A', probe: probe() }, { slot: 'A', probe: other }, { slot: 'B', probe: b }], { view: { tab: 'compare', layer: 2, pinned: [15], basis: 'ab'.repeat(8), signs: [-1, 1], range: [1, 3] } });

  it('names what was asked, both models with their commits, dtypes and devices, and the view', () => {
    const link = linkOfRecord(record);
    expect(link).toMatchObject({
      ask: { kind: 'item', set: 'world', item: 'item-1', contextLanguage: 'en', questionLanguage: 'hi' },
      models: [
        { id: 'bundled:passage-base', revision: 'r1', dtype: 'fp32' },
        { id: 'bundled:passage-post', revision: 'r2', dtype: 'q8' },
      ],
      device: 'wasm',
      deviceB: 'webgpu',
      languages: ['en'],
      tokens: tokensHash(probe().tokens.slice(0, 5)),
      view: record.view,
    });
    const made = makeLink(link);
    expect(made.ok && parseLink(made.value)).toEqual({ ok: true, value: link, remarks: [] });
  });
  it('leaves the device to the opener where it was not chosen', () => {
    const alone = probe();
    alone.model = { ...alone.model, deviceReason: 'no WebGPU' };
    expect(linkOfRecord(asRecord(alone)).device).toBeUndefined();
    expect(linkOfRecord(asRecord(probe())).device).toBe('wasm');
  });
  it('ask → link → ask; an item of no set travels as its text', () => {
    const asks: Ask[] = [
      { item: 'a', set: 'world', contextLanguage: 'en', questionLanguage: 'th', prompt: { kind: 'chat', shots: 2 } },
      { context: 'x y', question: 'x?', contextLanguage: 'ru', questionLanguage: 'ru', answer: { text: 'y', start: 2 }, prompt: { text: 'P' } },
      { context: 'x', question: 'y' },
    ];
    for (const ask of asks) {
      const made = makeLink({ version: 1, ask: linkAsk(ask), models: [], view: {} });
      const read = made.ok ? parseLink(made.value) : null;
      expect(read?.ok && askOfLink(read.value.ask)).toEqual(ask);
    }
    // the model's own answer is no gold: who opens the link finds its own; the English wording goes along
    const own = linkAsk({ context: 'x y', question: 'x?', answer: { text: 'y', start: 2, own: true } });
    expect(own).toEqual({ kind: 'text', context: 'x y', question: 'x?' });
    const worded = makeLink({ version: 1, ask: { kind: 'text', context: 'x y', question: 'в?', questionLanguage: 'ru', english: 'x?' }, models: [], view: {} });
    const back = worded.ok ? parseLink(worded.value) : null;
    expect(back?.ok && back.value.ask).toEqual({ kind: 'text', context: 'x y', question: 'в?', questionLanguage: 'ru', english: 'x?' });
    expect(back?.ok && askOfLink(back.value.ask)).toEqual({ context: 'x y', question: 'в?', questionLanguage: 'ru' });
    // a file's name may hold what a link's may not
    const dropped = { id: 'a b', set: 'my set', paragraph: 'p', context: { en: 'Oslo is cold.' }, question: { de: 'Was ist kalt?' }, answer: { en: { text: 'Oslo', start: 0 } } };
    expect(linkAsk({ item: dropped, set: 'my set', contextLanguage: 'en', questionLanguage: 'de' })).toMatchObject({ kind: 'text', context: 'Oslo is cold.', answer: { text: 'Oslo', start: 0 } });
    const item = { id: 'i', set: '', paragraph: 'p', context: { en: 'Oslo is cold.' }, question: { de: 'Was ist kalt?' }, answer: { en: { text: 'Oslo', start: 0 } } };
    expect(linkAsk({ item, contextLanguage: 'en', questionLanguage: 'de' })).toEqual({ kind: 'text', context: 'Oslo is cold.', question: 'Was ist kalt?', contextLanguage: 'en', questionLanguage: 'de', answer: { text: 'Oslo', start: 0 } });
    expect(askOfLink(null)).toBeNull();
  });
});

describe('record → files', () => {
  const record = asRecord(probe());
  it('every format holds what it says', () => {
    const bytes = Object.fromEntries(EXPORTS.map((f) => [f, exportRecord(record, f).bytes]));
    expect(Object.keys(unzipSync(bytes.zip)).sort()).toEqual(['README.txt', 'arrays.safetensors', 'record.json']);
    expect(JSON.parse(new TextDecoder().decode(bytes.json))).toEqual(splitRecord(record).json);
    const arrays = readSafetensors(bytes.safetensors);
    expect(arrays.ok && arrays.value.get('runs.0.probe.states')?.shape).toEqual([4, 6, 8]);
    const few = readSafetensors(exportRecord(record, 'safetensors', { states: false }).bytes);
    expect(few.ok && few.value.has('runs.0.probe.states')).toBe(false);
  });
  it('the CSV has every curve, one number a row', () => {
    const [head, ...rows] = parseCsv(new TextDecoder().decode(exportRecord(record, 'csv').bytes)).filter((r) => r.length > 1);
    expect(head).toEqual(['slot', 'model', 'passage in', 'question in', 'layer', 'measure', 'of', 'value']);
    const of = (measure: string, what: string): string[] => rows.filter((r) => r[5] === measure && r[6] === what).map((r) => r[7]);
    expect(of('norm of the mean state', 'question').map(Number)).toEqual([0, 1, 2, 3].map((l) => Math.hypot(...record.runs[0].probe.means.question!.slice(8 * l, 8 * l + 8))).map((n) => expect.closeTo(n, 6)));
    expect(of('cosine', 'readout to answer span')).toHaveLength(4);
    expect(of('lens: entropy, nats', 'position 4')).toEqual(['NaN']);
    expect(of('lens: probability of a followed token', 'position 4: “दिल्ली”')).toEqual(['0.9']);
  });
});

it('the CSV has a run’s map and sweep; NaN and infinity stand by their names, what was not run has no row', () => {
  const run: RecordedRun = {
    slot: 'A', probe: probe(),
    relevance: { rule: 'attnlrp', target: { text: 'x', ids: [3] }, values: Float32Array.of(1, 2, 3, 4, 5, 1, 2, NaN, Infinity, 1), rows: 2, threshold: 0.95, mrd: [], groupMrd: {} },
    patch: {
      clean: 'another', groups: ['question', 'readout'], layers: [0, 3], effects: Float32Array.of(0.5, NaN, 1, NaN),
      sweep: {
        cleanAsk: { context: 'c', question: 'p' }, match: ['last', 'each'], absent: [], a: { id: 1, text: 'a' }, b: { id: 2, text: 'b' }, contrast: 'answers',
        clean: { difference: 2, top: 1 }, corrupted: { difference: 0, top: 2 }, differences: Float32Array.of(1, 0, 2, NaN), flips: Uint8Array.of(1, 0, 1, 0), done: Uint8Array.of(1, 1, 1, 0), ms: 9,
      },
    },
  };
  const rows = parseCsv(new TextDecoder().decode(exportRecord(makeRecord([run], { view: { threshold: 0.5 } }), 'csv').bytes));
  const of = (measure: string, what: string): string[] => rows.filter((r) => r[5] === measure && r[6] === what).map((r) => `${r[4]} ${r[7]}`);
  expect(of('relevance, attnlrp', 'answerSpan')).toEqual(['0 2', '1 2']);
  expect(of('relevance, attnlrp', 'context')).toEqual(['0 3', '1 NaN']);
  expect(of('relevance, attnlrp', 'token 3: “ कहाँ?”')).toEqual(['0 4', '1 Infinity']);
  expect(of('relevance, attnlrp: MRD at 50 %, in layers', 'answerSpan')).toEqual([' 0']);
  expect(of('relevance, attnlrp: MRD at 50 %, in layers', 'context')).toEqual([' ']);
  expect(of('patching effect', 'question, met by “last”')).toEqual(['0 0.5', '3 NaN']);
  expect(of('patching effect', 'readout, met by “each”')).toEqual(['0 1']);
  expect(of('patching: logit of “a” minus logit of “b”', 'readout, met by “each”')).toEqual(['0 2']);
  expect(of('patching: begins with “a” only once patched', 'question, met by “last”')).toEqual(['0 1', '3 0']);
});

it('the README’s line of Python names what is in the files', () => {
  const line = /ZipFile\("([^"]+)"\)\.read\("([^"]+)"\)\)\["([^"]+)"\]\s+# \[layers, dim\]/.exec(readFileSync(new URL('README.md', root), 'utf8'));
  const { name, bytes } = exportRecord(asRecord(probe()), 'zip');
  expect(line?.[1]).toBe(name);
  const arrays = readSafetensors(unzipSync(bytes)[line?.[2] ?? ''] ?? new Uint8Array());
  expect(arrays.ok && arrays.value.get(line?.[3] ?? '')?.shape).toEqual([4, 8]);
});

describe('the recordings that ship', () => {
  const schema = JSON.parse(readFileSync(new URL('public/schema/record-1.json', root), 'utf8')) as Schema;
  const files = readdirSync(new URL('public/recordings', root)).filter((f) => f.endsWith('.zip'));
  it('are there', () => expect(files.length).toBeGreaterThanOrEqual(2));
  for (const name of files)
    it(`${name} fits the published schema, and opens`, () => {
      const bytes = new Uint8Array(readFileSync(new URL(`public/recordings/${name}`, root)));
      expect(validate(JSON.parse(new TextDecoder().decode(unzipSync(bytes)['record.json'])), schema)).toEqual([]);
      const read = unpackRecord(bytes);
      expect(read.ok && read.value.runs[0].probe.lens.length).toBeGreaterThan(0);
      // and it can be pointed to
      const made = read.ok ? makeLink(linkOfRecord(read.value)) : null;
      expect(made?.ok && made.value).toMatch(/^#\/probe\?v=1&set=world&item=/);
    });
});
