/**
 * Relevance and patching in a real page, held to the laws that need no reference: conservation, zeros off the target's row, and
 * patches that must change nothing or everything.
 */
import type { Browser } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { LabClient } from '../../src/lab-client';
import type { Patching, PatchOptions, Relevance, RelevanceOptions } from '../../src/lab-mechanism';
import type { Ask, Item, Progress } from '../../src/types';
import { launch, serve, visitLab, type Served, type Visit } from '../harness';

let served: Served;
let browser: Browser;
beforeAll(async () => {
  served = await serve();
  browser = await launch();
});
afterAll(async () => {
  await browser?.close();
  await served?.close();
});

type Failure = { code: string; message: string };
type Plain<T> = { [K in keyof T]: T[K] extends Float32Array ? number[] : T[K] };
type Seen = Plain<Pick<Relevance, 'rule' | 'relevance' | 'layers' | 'tokens' | 'mrd' | 'groupMrd' | 'phases' | 'z' | 'checks' | 'ms' | 'targets'>> & { groups: string[]; phasesSeen: string[] };

async function relevance(visit: Visit, ask: Ask, options: RelevanceOptions = {}): Promise<Seen | Failure> {
  return visit.page.evaluate(
    async ({ ask, options }) => {
      const phasesSeen: string[] = [];
      try {
        const r = await (window as unknown as { own: LabClient }).own.relevance(ask, { ...options, onProgress: (p: Progress) => void phasesSeen.push(p.phase) });
        const { rule, layers, tokens, mrd, groupMrd, phases, z, checks, ms, targets } = r;
        return { rule, layers, tokens, mrd, groupMrd, phases, z, checks, ms, targets, relevance: [...r.relevance], groups: Object.keys(r.groups), phasesSeen };
      } catch (e) {
        const { code, message } = e as Failure;
        return { code, message };
      }
    },
    { ask, options },
  );
}

interface Swept {
  layers: number[];
  groups: Patching['groups'];
  differences: number[];
  effects: number[];
  whole: number[] | null;
  done: number[];
  clean: Patching['clean'];
  corrupted: Patching['corrupted'];
  contrast: string;
  runs: [number, number | null][];
}

async function patch(visit: Visit, ask: Ask, options: PatchOptions): Promise<Swept | Failure> {
  return visit.page.evaluate(
    async ({ ask, options }) => {
      const runs: [number, number | null][] = [];
      try {
        const p = await (window as unknown as { own: LabClient }).own.patch(ask, { ...options, onProgress: (s: Progress) => void runs.push([s.done, s.total]) });
        const { layers, groups, clean, corrupted, contrast } = p;
        return { layers, groups, clean, corrupted, contrast, runs, differences: [...p.differences], effects: [...p.effects], done: [...p.done], whole: p.whole ? [...p.whole.differences] : null };
      } catch (e) {
        const { code, message } = e as Failure;
        return { code, message };
      }
    },
    { ask, options },
  );
}

function good<T extends object>(value: T | Failure): T {
  if ('code' in value) throw new Error(`${value.code}: ${value.message}`);
  return value;
}

describe('the bundled model on WASM', () => {
  let visit: Visit;
  let ask: Ask;
  /** Another question of the same passage whose prompt is as long in tokens. */
  let twin: Ask;
  beforeAll(async () => {
    visit = await visitLab(browser, served.url);
    const found = await visit.page.evaluate(async () => {
      const lab = (window as unknown as { own: LabClient }).own;
      await lab.load({ id: 'bundled:passage-post', dtype: 'fp32' }, { device: 'wasm' });
      const items = await lab.items('world');
      const askOf = (item: Item): Ask => ({ item: item.id, set: 'world', contextLanguage: 'en', questionLanguage: 'de' });
      const lengths = new Map<string, number>();
      const length = async (item: Item): Promise<number> => {
        const known = lengths.get(item.id) ?? (await lab.probe(askOf(item), { generate: false, states: false, positions: ['readout'] })).tokens.length;
        lengths.set(item.id, known);
        return known;
      };
      for (const item of items.slice(0, 24))
        for (const other of items)
          if (other.id !== item.id && other.paragraph === item.paragraph && other.answer.en?.text !== item.answer.en?.text && (await length(item)) === (await length(other)))
            return { ask: askOf(item), twin: askOf(other) };
      return null;
    });
    if (!found) throw new Error('No two questions of equal length.');
    ({ ask, twin } = found);
  });
  afterAll(() => visit?.close());

  test.each(['attnlrp', 'cp-lrp', 'gradient'] as const)('a map by %s: every layer and token, zero off the target at the top', async (rule) => {
    const map = good(await relevance(visit, ask, { rule }));
    expect(map.rule).toBe(rule);
    expect(map.relevance).toHaveLength((map.layers + 1) * map.tokens.length);
    expect(map.mrd).toHaveLength(map.tokens.length);
    expect(map.groups).toEqual(expect.arrayContaining(['template', 'context', 'answerSpan', 'question', 'readout']));
    expect(map.checks.notFinite).toBe(0);
    const n = map.tokens.length;
    const top = map.relevance.slice(map.layers * n);
    expect(top.slice(0, -1).every((v) => v === 0)).toBe(true);
    expect(map.tokens[n - 1].group).toBe('readout');
    expect(top[n - 1]).not.toBe(0);
    expect(map.groupMrd.readout).not.toBeUndefined();
    if (rule === 'cp-lrp')
      for (let l = 0; l <= map.layers; l++) {
        const sum = map.relevance.slice(l * n, (l + 1) * n).reduce((s, v) => s + v, 0);
        expect(Math.abs(sum - map.z) / Math.abs(map.z), `layer ${l}: ${sum}, z ${map.z}`).toBeLessThanOrEqual(1e-3);
      }
  });

  test('a rule is compiled once; the threshold and the target move what they should', async () => {
    const again = good(await relevance(visit, ask, { rule: 'attnlrp', threshold: 0.5 }));
    expect(again.phasesSeen).not.toContain('compile');
    const all = good(await relevance(visit, ask, { rule: 'attnlrp', threshold: 1 }));
    again.mrd.forEach((m, i) => m !== null && expect(m).toBeLessThanOrEqual(all.mrd[i] as number));
    const gold = good(await relevance(visit, ask, { target: { kind: 'gold' } }));
    expect(gold.targets).toHaveLength(1);
    const sum = good(await relevance(visit, ask, { target: { kind: 'sum' } }));
    expect(sum.tokens.length).toBe(all.tokens.length + sum.targets.length - 1);
  });

  test('bad wishes are refused in words', async () => {
    expect(await relevance(visit, ask, { target: { kind: 'generated', index: 400 } })).toMatchObject({ code: 'bad-input', message: expect.stringContaining('400') });
    expect(await relevance(visit, ask, { threshold: 0 })).toMatchObject({ code: 'bad-input' });
    expect(await patch(visit, ask, { clean: twin, layers: [99] })).toMatchObject({ code: 'bad-input' });
    const text = 'The river flows through the town. '.repeat(3000);
    expect(await relevance(visit, { context: text, question: 'Which?' })).toMatchObject({ code: 'too-long' });
  });

  test('patching a run with its own states changes nothing', async () => {
    const own = good(await patch(visit, ask, { clean: ask }));
    expect(own.contrast).toBe('runner-up');
    expect(own.done.every((d) => d === 1)).toBe(true);
    // what comes before a group is read from a cache: rounding of another order, no more
    for (const d of own.differences) expect(Math.abs(d - own.corrupted.difference)).toBeLessThanOrEqual(1e-4);
    expect(own.clean.top).toBe(own.corrupted.top);
  });

  test('all positions at any one layer give the other run; groups give effects by layer', async () => {
    const swept = good(await patch(visit, ask, { clean: twin, whole: true }));
    expect(swept.contrast).toBe('answers');
    expect(swept.groups.map((g) => g.group)).toEqual(['question', 'answerSpan', 'readout']);
    expect(swept.whole).toHaveLength(swept.layers.length);
    for (const d of swept.whole as number[]) expect(Math.abs(d - swept.clean.difference)).toBeLessThanOrEqual(1e-4);
    // the readout at the last layer is all that the answer hangs on
    const n = swept.layers.length;
    expect(swept.effects[3 * n - 1]).toBeCloseTo(1, 3);
    const last = swept.runs[swept.runs.length - 1];
    expect(last[0]).toBe(last[1]);
    for (let i = 1; i < swept.runs.length; i++) expect(swept.runs[i][0]).toBeGreaterThanOrEqual(swept.runs[i - 1][0]);
  });

  test('a sweep ends when it is cancelled', async () => {
    const ended = await visit.page.evaluate(
      async ({ ask, twin }) => {
        const abort = new AbortController();
        try {
          // progress is reported every so often: the first word of the runs comes before any of them
          await (window as unknown as { own: LabClient }).own.patch(ask, { clean: twin, whole: true, signal: abort.signal, onProgress: (p) => p.phase === 'run' && abort.abort() });
          return 'done';
        } catch (e) {
          return (e as Failure).code;
        }
      },
      { ask, twin },
    );
    expect(ended).toBe('cancelled');
  });
});

test('a small model on WebGPU: the same laws', async () => {
  const visit = await visitLab(browser, served.url);
  try {
    const device = await visit.page.evaluate(
      async (host) => (await (window as unknown as { own: LabClient }).own.load({ id: 'tiny/llama', host, dtype: 'fp32' }, { device: 'webgpu' })).device,
      `${served.origin}/mirror`,
    );
    expect(device).toBe('webgpu');
    const ask: Ask = { context: 'The Elbe flows through Dresden.', question: 'Which river?', answer: { text: 'Elbe', start: 4 } };
    const map = good(await relevance(visit, ask, { rule: 'cp-lrp', target: { kind: 'gold' } }));
    expect(map.checks.notFinite).toBe(0);
    expect(map.checks.zeroOffTarget).toBe(true);
    expect(map.checks.conservation).toBeLessThanOrEqual(1e-3);
    const own = good(await patch(visit, ask, { clean: ask, groups: ['question', 'readout'], layers: [0, 1] }));
    for (const d of own.differences) expect(Math.abs(d - own.corrupted.difference)).toBeLessThanOrEqual(1e-4);
  } finally {
    await visit.close();
  }
});
