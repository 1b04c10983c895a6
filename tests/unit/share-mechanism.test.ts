/** Relevance and patching in links and records: what is written is what is read, and what is damaged is said. */
import { describe, expect, test } from 'vitest';
import type { RelevanceTarget } from '../../src/probe/relevance';
import { makeLink, parseLink, type ProbeLink } from '../../src/share/link';
import { joinRecord, makeRecord, packRecord, splitRecord, unpackRecord, type LabRecord, type RecordedRun } from '../../src/share/record';
import type { MechanismView } from '../../src/share/view';
import { probe } from '../fixtures/share/probe';

const link = (mechanism: MechanismView): ProbeLink => ({ version: 1, ask: { kind: 'item', set: 'world', item: 'a-0', contextLanguage: 'en', questionLanguage: 'th' }, models: [], view: { tab: 'relevance', token: 7, threshold: 0.9, mechanism } });
const round = (mechanism: MechanismView) => {
  const made = makeLink(link(mechanism));
  if (!made.ok) throw new Error(made.message);
  return { text: made.value, read: parseLink(made.value) };
};

describe('links', () => {
  const targets: RelevanceTarget[] = [
    { kind: 'first' }, { kind: 'gold' }, { kind: 'sum' }, { kind: 'generated', index: 3 },
    { kind: 'difference', a: 12, b: 34 }, { kind: 'difference', a: ' Rome & co', b: 7, index: 2 },
  ];
  test.each(targets)('a map of %o comes back as it was', (target) => {
    const { read } = round({ rule: 'cp-lrp', target });
    expect(read).toMatchObject({ ok: true, remarks: [] });
    expect(read.ok && read.value.view).toEqual({ tab: 'relevance', token: 7, threshold: 0.9, mechanism: { rule: 'cp-lrp', target } });
  });
  test('so does a sweep', () => {
    const mechanism: MechanismView = { clean: { item: 'held-out-facts-000-1', language: 'en' }, match: 'mean' };
    const { read, text } = round(mechanism);
    expect(read.ok && read.value.view.mechanism).toEqual(mechanism);
    expect(text).toContain('pc=held-out-facts-000-1,en&pm=mean');
  });
  test('and what was taken over many items', () => {
    const mechanism: MechanismView = { maps: { items: 50, languages: 'all' }, sweeps: { items: 20, languages: 'asked', clean: 'en' } };
    const { read, text } = round(mechanism);
    expect(read.ok && read.value.view.mechanism).toEqual(mechanism);
    expect(text).toContain('rs=50,all&ps=20,en');
    const damaged = parseLink('#/probe?v=1&set=s&item=i&rs=1e9,all&ps=20,fr');
    expect(damaged.ok && damaged.value.view.mechanism).toBe(undefined);
    expect(damaged.ok && damaged.remarks).toHaveLength(2);
  });
  test('with rule, target and match of their own where these are not the single ones, and how the map is shaded', () => {
    const mechanism: MechanismView = {
      rule: 'attnlrp', target: { kind: 'generated', index: 30 }, match: 'last', scale: 'layer',
      maps: { items: 20, languages: 'asked', rule: 'gradient', target: { kind: 'gold' } }, sweeps: { items: 50, languages: 'asked', match: 'mean' },
    };
    const { read, text } = round(mechanism);
    expect(read).toMatchObject({ ok: true, remarks: [] });
    expect(read.ok && read.value.view.mechanism).toEqual(mechanism);
    expect(text).toContain('rr=attnlrp&rt=at30&pm=last&rs=20&ps=50&rsr=gradient&rst=gold&psm=mean&rv=layer');
    const damaged = parseLink('#/probe?v=1&set=s&item=i&rs=20&rsr=magic&rst=diff&ps=20&psm=never&rv=token');
    expect(damaged.ok && damaged.value.view.mechanism).toEqual({ maps: { items: 20, languages: 'asked' }, sweeps: { items: 20, languages: 'asked' } });
    expect(damaged.ok && damaged.remarks).toHaveLength(4);
    const record = makeRecord([run()], { view: { mechanism } });
    expect(unpackRecord(packRecord(record))).toEqual({ ok: true, value: record, remarks: [] });
  });
  test('what is damaged is named and left out; the rest opens', () => {
    const read = parseLink('#/probe?v=1&set=s&item=i&rr=magic&rt=diff&ra=%231&pc=a/b,en&pm=never&tab=relevance');
    expect(read.ok && read.value.view).toEqual({ tab: 'relevance' });
    expect(read.ok && read.remarks).toHaveLength(4);
    const huge = parseLink('#/probe?v=1&set=s&item=i&rr=gradient&rt=at999999');
    expect(huge.ok && huge.value.view.mechanism).toEqual({ rule: 'gradient', target: { kind: 'generated', index: 1000 } });
  });
});

const run = (): RecordedRun => ({
  slot: 'A', probe: probe(),
  relevance: {
    rule: 'attnlrp', target: { text: 'x', ids: [3] }, values: Float32Array.of(1, 2, NaN, 4), rows: 2, threshold: 0.95, mrd: [0, null], groupMrd: { question: 1 },
    wish: { kind: 'difference', a: 'x', b: 4 }, targets: [{ id: 3, text: 'x', weight: 1 }], z: 4, ms: 5,
  },
  patch: {
    clean: 'another', groups: ['readout'], layers: [0, 1], effects: Float32Array.of(0.5, NaN),
    sweep: {
      cleanAsk: { context: 'c', question: 'p' }, match: ['each'], absent: ['answerSpan'], a: { id: 1, text: 'a' }, b: { id: 2, text: 'b' }, contrast: 'answers',
      clean: { difference: 2, top: 1 }, corrupted: { difference: NaN, top: -1 }, differences: Float32Array.of(1, NaN), flips: Uint8Array.of(1, 0), done: Uint8Array.of(1, 0), ms: 9,
    },
  },
});

/** The record with one thing changed in its JSON. */
function changed(change: (run: { relevance: Record<string, unknown>; patch: { sweep: Record<string, unknown> } }) => void) {
  const { json, arrays } = splitRecord(makeRecord([run()]));
  const copy = JSON.parse(JSON.stringify(json)) as { runs: Parameters<typeof change>[0][] };
  change(copy.runs[0]);
  return joinRecord(copy, arrays);
}

describe('records', () => {
  test('both parts come back whole, NaN and all', () => {
    const record: LabRecord = makeRecord([run()], { created: '2025-03-01T12:00:00.000Z', view: { mechanism: { rule: 'attnlrp', target: { kind: 'sum' }, clean: { item: 'a', language: 'th' } } } });
    const read = unpackRecord(packRecord(record));
    expect(read).toEqual({ ok: true, value: record, remarks: [] });
    expect(splitRecord(record).arrays.get('runs.0.patch.sweep.done')?.shape).toEqual([1, 2]);
    const { patch, ...rest } = run();
    const named = makeRecord([{ ...rest, patch: { ...patch!, groups: ['positions'], sweep: { ...patch!.sweep!, positions: [{ to: 3, from: [2, 4] }] } } }]);
    expect(unpackRecord(packRecord(named))).toEqual({ ok: true, value: named, remarks: [] });
  });
  test('a target, a match or an ask that the lab does not have is refused; so are lengths that do not fit', () => {
    expect(changed(() => undefined).ok).toBe(true);
    expect(changed((r) => (r.relevance.wish = { kind: 'magic' }))).toMatchObject({ ok: false, message: expect.stringContaining('wish.kind') });
    expect(changed((r) => (r.patch.sweep.match = ['sideways']))).toMatchObject({ ok: false, message: expect.stringContaining('match') });
    expect(changed((r) => (r.patch.sweep.cleanAsk = 7))).toMatchObject({ ok: false, message: expect.stringContaining('cleanAsk') });
    expect(changed((r) => (r.patch.sweep.match = []))).toMatchObject({ ok: false, message: expect.stringContaining('how its groups meet') });
    expect(changed((r) => (r.patch.sweep.flips = { $array: 'runs.0.relevance.values' }))).toMatchObject({ ok: false, message: expect.stringContaining('not [groups, layers]') });
    expect(changed((r) => (r.relevance.rows = 1))).toMatchObject({ ok: true });
  });
});
