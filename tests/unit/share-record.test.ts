import { readFileSync } from 'node:fs';
import { strToU8, unzipSync, zipSync } from 'fflate';
import { describe, expect, it } from 'vitest';
import { jointPca } from '../../src/probe/projection';
import { parseCsv, toCsv, toTsv } from '../../src/share/csv';
import { tokensHash } from '../../src/share/hash';
import { svgSize } from '../../src/share/png';
import { compareRuns, compareSketches, compareWithLink, sketchProbe } from '../../src/share/provenance';
import type { SetAlignment, Spread } from '../../src/probe/set-alignment';
import type { RecordedCurve } from '../../src/share/curves';
import { joinRecord, makeRecord, packRecord, RECORD_LIMIT, RECORD_MIGRATIONS, RECORD_VERSION, splitRecord, unpackRecord, type LabRecord } from '../../src/share/record';
import { readSafetensors, writeSafetensors } from '../../src/share/safetensors';
import { KEYWORDS, validate, type Schema } from '../../src/share/schema';
import { probe } from '../fixtures/share/probe';

const file = (name: string): string => readFileSync(new URL(`../../${name}`, import.meta.url), 'utf8');
const schema = JSON.parse(file('public/schema/record-1.json')) as Schema;

function full(): LabRecord {
  const p = probe();
  return makeRecord(
    [
      {
        slot: 'A',
        probe: p,
        relevance: { rule: 'AttnLRP', target: { text: 'first answer token', ids: [15] }, values: Float32Array.from({ length: 4 * 6 }, (_, i) => (i === 3 ? NaN : i / 7)), rows: 4, threshold: 0.95, mrd: [3, 3, null, 2, 3, 3], groupMrd: { question: 2, answerSpan: 3 } },
        patch: { clean: 'another question', groups: ['question', 'readout'], layers: [0, 1, 2, 3], effects: new Float32Array(8).fill(0.5) },
      },
      { slot: 'B', probe: probe(0.1) },
    ],
    {
      created: '2025-03-01T12:00:00.000Z',
      title: 'Delhi',
      basis: jointPca([{ states: p.means.question ?? [] }, { states: p.means.readout ?? [] }], p.dim),
      curves: [{ name: 'question alignment', layers: [0, 1, 2, 3], values: Float64Array.of(0.1, NaN, 0.3, 0.4), language: 'hi' }],
      view: { tab: 'lens', layer: 2, pins: ['en', 'hi'], projection: 'joint-pca', signs: [1, -1], zoom: { k: 1.5, x: 3, y: -4 }, range: [1, 3] },
    },
  );
}
function setAlignment(): SetAlignment {
  const curve = (k: number): Float64Array => Float64Array.of(k, k / 2, NaN, 1);
  const spread = (k: number): Spread => ({ mean: curve(k), low: curve(k - 1), high: curve(k + 1) });
  return {
    set: 'world', items: ['a', 'b'], contextLanguage: 'en', passage: 'own', layers: [0, 1, 2, 3], chance: 0.5,
    languages: [{ language: 'de', raw: spread(1), centred: null, toEnglish: curve(2), fromEnglish: curve(3) }],
    retrieval: [{ language: 'en', raw: spread(4), centred: spread(5) }],
    ms: 7, provenance: probe().provenance, notes: ['few'],
  };
}
const reopen = (bytes: Uint8Array): LabRecord => {
  const r = unpackRecord(bytes);
  if (!r.ok) throw new Error(r.message);
  return r.value;
};

describe('records', () => {
  it('record → file → record, NaN, arrays and all', () => {
    const record = full();
    const bytes = packRecord(record);
    expect(reopen(bytes)).toEqual(record);
    expect(packRecord(full())).toEqual(bytes);
  });
  it('without raw states the means stay', () => {
    const back = reopen(packRecord(full(), { states: false }));
    expect(back.runs[0].probe.states).toBeNull();
    expect(back.runs[0].probe.means).toEqual(full().runs[0].probe.means);
  });
  it('without raw states those of the chosen token stay, so that its path is there', () => {
    const record = full();
    record.view = { ...record.view, token: 3 };
    const back = reopen(packRecord(record, { states: false }));
    const [whole, kept] = [record.runs[0].probe, back.runs[0].probe];
    expect(kept.positions).toEqual([3]);
    expect([...(kept.states ?? [])]).toEqual(whole.layers.flatMap((l) => [...whole.states!.subarray((l * 6 + 3) * 8, (l * 6 + 4) * 8)]));
    expect(back.runs[1].probe.states).toBeNull();
    expect(reopen(packRecord({ ...record, view: { token: 5000 } }, { states: false })).runs[0].probe.states).toBeNull();
  });
  it('curves come with a record of their own accord, by the formulas of the page', () => {
    const [thai, english, b] = [probe(), probe(0.2), probe(0.1)];
    english.ask = { ...english.ask, questionLanguage: 'en' };
    const { curves } = reopen(packRecord(makeRecord([{ slot: 'A', probe: thai }, { slot: 'A', probe: english }, { slot: 'B', probe: b }])));
    const of = (name: RegExp, more: Partial<RecordedCurve> = {}): RecordedCurve[] => curves.filter((c) => name.test(c.name) && Object.entries(more).every(([k, v]) => c[k as keyof RecordedCurve] === v));
    const cos = (x: Float32Array, y: Float32Array, l: number): number => {
      const [u, v] = [x, y].map((a) => a.subarray(l * 8, (l + 1) * 8));
      return u.reduce((s, w, j) => s + w * v[j], 0) / (Math.hypot(...u) * Math.hypot(...v));
    };
    const [aligned] = of(/^question alignment/);
    expect(aligned).toMatchObject({ slot: 'A', language: 'hi', layers: [0, 1, 2, 3] });
    expect(aligned.values[2]).toBeCloseTo(cos(thai.means.question!, english.means.question!, 2), 12);
    expect(of(/^readout–answer/, { slot: 'A', language: 'hi' })[0].values[1]).toBeCloseTo(cos(thai.means.readout!, thai.means.answerSpan!, 1), 12);
    expect(of(/^norm/, { slot: 'B', group: 'readout' })[0].values[3]).toBeCloseTo(Math.hypot(...b.means.readout!.subarray(24)), 12);
    expect(of(/^cosine, A to B/).map((c) => c.group)).toEqual(['question', 'answerSpan', 'readout']);
  });
  it('alignment over an item set goes along', () => {
    const record = { ...full(), alignment: { model: 'Lab base, fp32', set: setAlignment() } };
    const bytes = packRecord(record);
    expect(reopen(bytes)).toEqual(record);
    expect(validate(splitRecord(record).json, schema)).toEqual([]);
    record.alignment.set.languages[0].raw.low = Float64Array.of(1);
    expect(unpackRecord(packRecord(record))).toMatchObject({ ok: false, message: expect.stringContaining('alignment over a set') });
  });
  it('fits the published schema, which is the one that is checked', () => {
    expect(file('src/share/record-1.schema.json')).toBe(file('public/schema/record-1.json'));
    expect(validate(splitRecord(full()).json, schema)).toEqual([]);
  });
  it('the schema uses no keyword that is not checked', () => {
    const walk = (s: unknown, names: boolean): void => {
      if (Array.isArray(s)) s.forEach((x) => walk(x, false));
      else if (typeof s === 'object' && s !== null)
        for (const [k, v] of Object.entries(s)) {
          if (!names) expect(KEYWORDS).toContain(k);
          walk(v, !names && (k === 'properties' || k === '$defs'));
        }
    };
    walk(schema, false);
  });
  it('arrays have the shapes that Python will see', () => {
    const { arrays } = splitRecord(full());
    expect(arrays.get('runs.0.probe.states')?.shape).toEqual([4, 6, 8]);
    expect(arrays.get('runs.0.probe.means.readout')?.shape).toEqual([4, 8]);
    expect(arrays.get('runs.0.relevance.values')?.shape).toEqual([4, 6]);
    expect(arrays.get('basis.axes')?.shape).toEqual([1, 2, 8]);
  });
  it('a whole item and custom text are asks too', () => {
    const record = full();
    record.runs[0].probe.ask = { context: 'a', question: 'b', answer: { text: 'a', start: 0 } };
    record.runs[1].probe.ask = { item: { id: 'i', set: 's', paragraph: 'p', context: { en: 'x' }, question: { en: 'y' }, answer: { en: { text: 'x', start: 0 } } }, contextLanguage: 'en', questionLanguage: 'en' };
    expect(reopen(packRecord(record))).toEqual(record);
  });
  it('unknown fields are passed over', () => {
    const { json, arrays } = splitRecord(full());
    const r = joinRecord({ ...(json as object), future: { deep: [1, 2] } }, arrays);
    expect(r.ok).toBe(true);
  });
  it('there is a migration from every older version', () => {
    for (let v = 1; v < RECORD_VERSION; v++) expect(RECORD_MIGRATIONS[v]).toBeTypeOf('function');
  });
});

describe('what is wrong with a file is said', () => {
  const message = (bytes: Uint8Array): string => {
    const r = unpackRecord(bytes);
    return r.ok ? 'opened' : `${r.code}: ${r.message}`;
  };
  const alter = (change: (json: Record<string, unknown>) => void): Uint8Array => {
    const files = unzipSync(packRecord(full()));
    const json = JSON.parse(new TextDecoder().decode(files['record.json']));
    change(json);
    return zipSync({ ...files, 'record.json': strToU8(JSON.stringify(json)) });
  };
  it('not a record, newer, cut, missing, misfitting', () => {
    expect(message(new Uint8Array())).toMatch(/^not-a-record/);
    expect(message(strToU8('{"hello":1}'))).toMatch(/^not-a-record/);
    expect(message(zipSync({ 'a.txt': strToU8('x') }))).toMatch(/^not-a-record/);
    expect(message(alter((j) => (j.version = 2)))).toMatch(/^newer-version/);
    expect(message(alter((j) => (j.version = 'x')))).toMatch(/^broken: .*version/);
    expect(message(alter((j) => (j.runs = 5)))).toMatch(/^broken: .*runs: should be array/);
    expect(message(alter((j) => ((j.view as { threshold: number }).threshold = 4)))).toMatch(/^broken: .*threshold/);
    expect(message(alter((j) => ((j.runs as { probe: { dim: number } }[])[0].probe.dim = 7)))).toMatch(/does not fit together/);
    expect(message(alter((j) => ((j.basis as { mean: unknown }).mean = { $array: 'nowhere' })))).toMatch(/names an array/);
  });
  it('a file made to exhaust the reader is refused', () => {
    const nest = (json: string): string => json.replace(/^\{/, `{"future":${'['.repeat(20_000)}${']'.repeat(20_000)},`);
    const files = unzipSync(packRecord(full()));
    const deep = nest(new TextDecoder().decode(files['record.json']));
    expect(message(zipSync({ ...files, 'record.json': strToU8(deep) }))).toMatch(/^broken: .*nests more than/);
    expect(message(strToU8(nest('{"format":"passage-lab/record","version":1}')))).toMatch(/^broken/);
    // the size that the zip's list declares is what would be made room for
    const bomb = packRecord(full()).slice();
    const list = bomb.findLastIndex((_, i) => bomb[i] === 0x50 && bomb[i + 1] === 0x4b && bomb[i + 2] === 1 && bomb[i + 3] === 2 && new TextDecoder().decode(bomb.subarray(i + 46, i + 64)) === 'arrays.safetensors');
    expect(list).toBeGreaterThan(0);
    new DataView(bomb.buffer).setUint32(list + 24, RECORD_LIMIT, true);
    expect(message(bomb)).toMatch(/^too-large/);
  });
  it('a file cut or flipped anywhere throws nowhere', () => {
    const bytes = packRecord(full());
    for (let k = 0; k < 400; k++) {
      const damaged = k % 2 === 0 ? bytes.slice(0, (k * 7919) % bytes.length) : bytes.slice();
      if (k % 2 === 1) damaged[(k * 104729) % bytes.length] ^= 1 << k % 8;
      if (message(damaged).length < 6) expect.fail(`nothing said at ${k}`);
    }
  }, 60_000);
});

describe('safetensors', () => {
  it('round trips, aligned', () => {
    const t = new Map([
      ['b', { data: Uint8Array.of(1, 2, 3), shape: [3] }],
      ['a', { data: Float64Array.of(1, NaN, -0), shape: [3, 1] }],
      ['ü', { data: Int32Array.of(-5), shape: [1] }],
    ]);
    const bytes = writeSafetensors(t);
    const back = readSafetensors(bytes);
    expect(back.ok && Object.fromEntries(back.value)).toEqual(Object.fromEntries(t));
    expect(Number(new DataView(bytes.buffer).getBigUint64(0, true)) % 8).toBe(0);
  });
  it('refuses what does not fit', () => {
    const bytes = writeSafetensors(new Map([['a', { data: Float32Array.of(1, 2), shape: [2] }]]));
    for (const bad of [new Uint8Array(3), bytes.slice(0, -1), bytes.slice(0, 20)]) expect(readSafetensors(bad).ok).toBe(false);
  });
});

describe('how runs compare', () => {
  it('the same run agrees', () => {
    expect(compareRuns(probe(), probe()).text).toBe('Your numbers equal those recorded.');
    const link = { tokens: tokensHash(probe().tokens.slice(0, 5)), sketch: sketchProbe(probe()) ?? undefined };
    expect(compareWithLink(link, probe())).toMatchObject({ sameTokens: true, from: 'sketch' });
    expect(compareWithLink(link, probe()).cos).toBeCloseTo(1, 12);
    expect(compareWithLink(link, probe()).text).toContain('numbers equal');
  });
  it('a different run says by how much, where, and what is not alike', () => {
    const c = compareRuns(probe(), probe(0.05, { device: 'webgpu', adapter: 'x' }));
    expect(c.cos).toBeLessThan(0.99999);
    expect(c.worst).not.toBeNull();
    expect(c.text).toMatch(/differ from those recorded: cos 0\.99.*device: wasm there, webgpu here/s);
  });
  it('a sketch estimates the cosine of close runs', () => {
    const a = sketchProbe(probe()) ?? '';
    const near = compareSketches(a, sketchProbe(probe(0.02)) ?? '') ?? 0;
    const far = compareSketches(a, sketchProbe(probe(0.6)) ?? '') ?? 1;
    expect(near).toBeGreaterThan(0.999);
    expect(far).toBeLessThan(0.97);
    expect(a.length).toBe(64);
    expect(compareSketches(a, 'short')).toBeNull();
  });
  it('a drifted tokenizer is seen', () => {
    const other = probe();
    other.tokens = other.tokens.map((t) => ({ ...t, id: t.id + 1 }));
    expect(compareRuns(probe(), other).text).toContain('cut into other tokens');
    expect(compareWithLink({ tokens: 'ffffffffffffffff' }, probe()).sameTokens).toBe(false);
  });
});

describe('exports', () => {
  const table = { columns: ['token', 'p, %'], rows: [['a "b"\n', 0.1], ['=SUM(A1)', null], ['-', NaN], [' x', Infinity]] as (string | number | null)[][] };
  it('CSV keeps everything and runs nothing', () => {
    expect(parseCsv(toCsv(table))).toEqual([['token', 'p, %'], ['a "b"\n', '0.1'], ["'=SUM(A1)", ''], ['-', 'NaN'], [' x', 'Infinity']]);
    expect(toTsv(table).split('\n')).toHaveLength(5);
  });
  it('an SVG says its size', () => {
    expect(svgSize('<?xml version="1.0"?><svg class="x" width="940" height="120.5"></svg>')).toEqual({ width: 940, height: 120.5 });
    expect(svgSize('<svg></svg>')).toBeNull();
  });
});
