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
  apart: number[] | null;
  positions: Patching['positions'];
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
        const { layers, groups, clean, corrupted, contrast, positions } = p;
        return { layers, groups, clean, corrupted, contrast, positions, runs, apart: p.whole ? [...p.whole.apart] : null, differences: [...p.differences], effects: [...p.effects], done: [...p.done], whole: p.whole ? [...p.whole.differences] : null };
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
    expect(await patch(visit, ask, { clean: twin, positions: [3, 9999] })).toMatchObject({ code: 'bad-input', message: expect.stringContaining('no position 9999') });
    expect(await patch(visit, ask, { clean: twin, position: [3] } as PatchOptions)).toMatchObject({ code: 'bad-input', message: 'lab.patch has no option “position”.' });
    expect(await relevance(visit, ask, { rules: 'gradient' } as RelevanceOptions)).toMatchObject({ code: 'bad-input', message: 'lab.relevance has no option “rules”.' });
    const text = 'The river flows through the town. '.repeat(3000);
    expect(await relevance(visit, { context: text, question: 'Which?' })).toMatchObject({ code: 'too-long' });
  });

  test('patching a run with its own states changes no bit of a logit', async () => {
    const own = good(await patch(visit, ask, { clean: ask, whole: true }));
    expect(own.contrast).toBe('runner-up');
    expect(own.done.every((d) => d === 1)).toBe(true);
    // the two runs do not differ, so an effect is 0 only where all logits are the same to the bit, and NaN where they are not
    expect(own.effects).toEqual(Array(3 * own.layers.length).fill(0));
    expect(own.clean).toEqual(own.corrupted);
    for (const d of own.whole as number[]) expect(d).toBe(Math.fround(own.whole![0]));
    const question = good(await patch(visit, ask, { clean: ask, groups: ['question'] }));
    for (const d of question.differences) expect(d).toBe(Math.fround(question.corrupted.difference));
  });

  test('all positions at any one layer give the other run; groups give effects by layer', async () => {
    const swept = good(await patch(visit, ask, { clean: twin, whole: true }));
    expect(swept.contrast).toBe('answers');
    expect(swept.groups.map((g) => g.group)).toEqual(['question', 'answerSpan', 'readout']);
    expect(swept.whole).toHaveLength(swept.layers.length);
    for (const d of swept.whole as number[]) expect(Math.abs(d - swept.clean.difference)).toBeLessThanOrEqual(1e-4);
    // not the two that are compared alone: every token's logit
    expect(swept.apart).toHaveLength(swept.layers.length);
    for (const distance of swept.apart as number[]) expect(distance).toBeLessThanOrEqual(1e-4);
    // the readout at the last layer is all that the answer hangs on
    const n = swept.layers.length;
    expect(swept.effects[3 * n - 1]).toBe(1);
    const last = swept.runs[swept.runs.length - 1];
    expect(last[0]).toBe(last[1]);
    for (let i = 1; i < swept.runs.length; i++) expect(swept.runs[i][0]).toBeGreaterThanOrEqual(swept.runs[i - 1][0]);
  });

  test('positions are patched as they are named: instead of the groups, or beside them', async () => {
    const tokens = await visit.page.evaluate(async ({ ask, twin }) => {
      const lab = (window as unknown as { own: LabClient }).own;
      return (await Promise.all([lab.prompt(ask), lab.prompt(twin)])).map((p) => p.tokens.map((t) => t.group));
    }, { ask, twin });
    const at = (side: number) => tokens[side].flatMap((group, i) => (group === 'question' ? [i] : []));
    const n = tokens[0].length;
    const layers = [0, 3, 8];
    const groups = good(await patch(visit, ask, { clean: twin, layers, groups: ['question'], match: 'last' }));
    const [to, from] = [at(0).at(-1) as number, at(1).at(-1) as number];
    const alone = good(await patch(visit, ask, { clean: twin, layers, positions: [{ to, from }] }));
    expect(alone.groups).toEqual([{ group: 'positions', match: 'each' }]);
    expect(alone.positions).toEqual([{ to, from: [from] }]);
    expect(alone.effects).toEqual(groups.effects);
    // the prompt's last position, of the same place in both, is the readout
    const beside = good(await patch(visit, ask, { clean: twin, layers, groups: ['readout'], positions: [n - 1] }));
    expect(beside.groups.map((g) => g.group)).toEqual(['readout', 'positions']);
    expect(beside.effects.slice(3)).toEqual(beside.effects.slice(0, 3));
    expect(beside.effects[2]).toBe(1);
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

describe('sets on the bundled model', () => {
  let visit: Visit;
  beforeAll(async () => {
    visit = await visitLab(browser, served.url);
    await visit.page.evaluate(() => (window as unknown as { own: LabClient }).own.load({ id: 'bundled:passage-post', dtype: 'q4' }, { device: 'wasm' }));
  });
  afterAll(() => visit?.close());

  test('a set whose worker is lost half-way keeps what is finished, and resuming gives what an unbroken one gives', async () => {
    const seen = await visit.page.evaluate(async () => {
      const lab = (window as unknown as { own: LabClient }).own;
      const items = (await lab.items('world')).filter((item) => item.tags?.[0] === 'held-out-facts').slice(0, 6);
      const asks = items.map((item, i): Ask => ({ item, set: 'world', contextLanguage: 'en', questionLanguage: i % 2 ? 'de' : 'th' }));
      const whole = await lab.relevanceSet(asks);
      const broken = await lab.relevanceSet(asks, { onItem: (soFar) => soFar.items.length === 3 && void setTimeout(() => lab.terminate()) });
      const resumed = await lab.relevanceSet(asks, { resume: broken });
      const summary = await lab.summarise(whole, 0.9);
      const curves = (set: typeof whole) => set.items.map((item) => [...(item.groups.question ?? [])]);
      return {
        kept: broken.items.length, stopped: broken.stopped, whole: curves(whole), resumed: curves(resumed), end: resumed.stopped,
        languages: summary.byLanguage.map((c) => [c.questionLanguage, c.stability.n, c.stability.stability]),
        alone: [...((await lab.relevance(asks[0])).groups.question ?? [])],
        asks: whole.items.map((item) => JSON.stringify(item.ask).length),
      };
    });
    expect(seen.kept).toBe(3);
    expect(seen.stopped?.code).toBe('worker-lost');
    expect(seen.end).toBeNull();
    expect(seen.whole).toHaveLength(6);
    expect(seen.resumed).toEqual(seen.whole);
    // an item of a set is the very map of that item alone
    expect(seen.alone).toEqual(seen.whole[0]);
    expect(seen.languages.map(([language, n]) => [language, n])).toEqual([['th', 3], ['de', 3]]);
    for (const [, , stability] of seen.languages) expect(stability).toBeGreaterThanOrEqual(0);
    for (const length of seen.asks) expect(length).toBeLessThan(200);
  });

  test('pairs are patched one after the other; their means are those of the sweeps', async () => {
    const seen = await visit.page.evaluate(async () => {
      const lab = (window as unknown as { own: LabClient }).own;
      const items = (await lab.items('world')).filter((item) => item.tags?.[0] === 'held-out-facts').slice(0, 4);
      const pairs = await lab.pairs(items, { set: 'world', contextLanguage: 'en', questionLanguage: 'de', cleanLanguage: 'en' });
      const set = await lab.patchSet(pairs, { layers: [0, 8], groups: ['readout'] });
      const { curves: [curve] } = await lab.summarise(set);
      return { pairs: pairs.map((p) => [p.ask.questionLanguage, p.clean.questionLanguage]), effects: set.items.map((i) => [...i.effects]), mean: [...curve.mean], flips: [...curve.flips], flippable: [...curve.flippable], stopped: set.stopped };
    });
    expect(seen.stopped).toBeNull();
    expect(seen.pairs.length).toBeGreaterThan(1);
    expect(seen.effects).toHaveLength(seen.pairs.length);
    for (const pair of seen.pairs) expect(pair).toEqual(['de', 'en']);
    // the readout at the last layer is all that the answer hangs on
    expect(seen.mean[1]).toBeCloseTo(1, 2);
    expect(seen.mean[0]).toBeCloseTo(seen.effects.reduce((s, e) => s + e[0], 0) / seen.effects.length, 6);
    expect(seen.flips[1]).toBe(seen.flippable[1]);
  });

  test('4-bit weights too: its own states change no bit of a logit', async () => {
    const ask: Ask = { item: 'held-out-facts-000-0', set: 'world', contextLanguage: 'en', questionLanguage: 'th' };
    const own = good(await patch(visit, ask, { clean: ask }));
    expect(own.effects).toEqual(Array(3 * own.layers.length).fill(0));
  });

  test('a sweep that is cancelled can give what it has, and be finished later', async () => {
    const seen = await visit.page.evaluate(async () => {
      const lab = (window as unknown as { own: LabClient }).own;
      const items = await lab.items('world');
      const [{ ask, clean }] = await lab.pairs(items.slice(0, 4), { set: 'world', contextLanguage: 'en', questionLanguage: 'de' });
      const whole = await lab.patch(ask, { clean });
      const stop = new AbortController();
      const part = await lab.patch(ask, { clean, partial: true, signal: stop.signal, onProgress: (p) => p.phase === 'run' && p.done > 4 && stop.abort() });
      const rest: number[] = [];
      const finished = await lab.patch(ask, { clean, resume: part, onProgress: (p) => void rest.push(p.done) });
      const refused = (given: Ask, options: PatchOptions) => lab.patch(given, { resume: part, ...options }).then(() => 'accepted', (e: Failure) => `${e.code}: ${e.message}`);
      const others = [
        await refused(ask, { clean, layers: [1] }),
        await refused(ask, { clean, groups: ['readout'] }),
        await refused(ask, { clean, match: 'mean' }),
        await refused(ask, { clean, positions: [2], groups: ['question', 'answerSpan', 'readout'] }),
        // the same answers by other prompts, and the same prompts to another model
        await refused({ ...ask, prompt: { shots: 1 } }, { clean }),
        await refused(ask, { clean: { ...clean, prompt: { shots: 1 } } }),
        await refused(ask, { clean, resume: { ...part, provenance: { ...part.provenance, model: 'bundled:passage-base' } } }),
      ];
      return { stopped: part.stopped, done: [...part.done], whole: [...whole.differences], finished: [...finished.differences], end: finished.stopped, others };
    });
    expect(seen.stopped?.code).toBe('cancelled');
    expect(seen.done).toContain(0);
    expect(seen.done).toContain(1);
    expect(seen.finished).toEqual(seen.whole);
    expect(seen.end).toBeNull();
    for (const other of seen.others.slice(0, 4)) expect(other).toMatch(/^bad-input: .*other layers, groups or positions/);
    for (const other of seen.others.slice(4, 6)) expect(other).toMatch(/^bad-input: .*another question or another clean run/);
    expect(seen.others[6]).toMatch(/^bad-input: .*another model/);
  });

  test('a sweep whose worker is killed keeps its finished cells, and goes on with them in a new one', async () => {
    const seen = await visit.page.evaluate(async () => {
      const lab = (window as unknown as { own: LabClient }).own;
      const items = await lab.items('world');
      const [{ ask, clean }] = await lab.pairs(items.slice(0, 4), { set: 'world', contextLanguage: 'en', questionLanguage: 'th' });
      const whole = await lab.patch(ask, { clean });
      const count = (p: Patching) => p.done.reduce((sum, d) => sum + d, 0);
      let told = 0;
      const onPart = (soFar: Patching) => {
        told = count(soFar);
        if (told === 11) lab.terminate();
      };
      const strict = await lab.patch(ask, { clean, onPart }).catch((e: Failure) => e.code);
      const part = await lab.patch(ask, { clean, partial: true, onPart });
      // lost again before a new cell is there: what was brought along is still there
      const again = await lab.patch(ask, { clean, partial: true, resume: part, onProgress: () => lab.terminate() });
      const finished = await lab.patch(ask, { clean, partial: true, resume: again });
      return { strict, told, stopped: part.stopped, cells: [count(part), count(again), count(finished)], same: [...part.differences].filter((d, i) => part.done[i] && d !== whole.differences[i]), whole: [...whole.differences], finished: [...finished.differences], end: finished.stopped };
    });
    expect(seen.strict).toBe('worker-lost');
    expect(seen.stopped?.code).toBe('worker-lost');
    expect(seen.cells).toEqual([11, 11, seen.whole.length]);
    expect(seen.same).toEqual([]);
    expect(seen.finished).toEqual(seen.whole);
    expect(seen.end).toBeNull();
  });
});

describe('what cannot be had', () => {
  let visit: Visit;
  beforeAll(async () => {
    visit = await visitLab(browser, served.url);
  });
  afterAll(() => visit?.close());
  const load = (name: string, dtype: string) =>
    visit.page.evaluate(({ id, host, dtype }) => (window as unknown as { own: LabClient }).own.load({ id, host, dtype }, { device: 'wasm' }).then(() => undefined), { id: `tiny/${name}`, host: `${served.origin}/mirror`, dtype });
  const free: Ask = { context: 'The Elbe flows through Dresden.', question: 'Which river?' };

  test('free text has no answer span: the group is absent, its depth unknown, and nothing is patched there', async () => {
    await load('llama', 'fp32');
    const map = good(await relevance(visit, free, { target: { kind: 'difference', a: 'Elbe', b: 11 } }));
    expect(map.groups).toContain('question');
    expect(map.groups).not.toContain('answerSpan');
    expect(map.groupMrd).not.toHaveProperty('answerSpan');
    expect(map.phases).toMatchObject({ answer: null, retrieval: null });
    const swept = good(await patch(visit, free, { clean: { ...free, question: 'Which city?' }, layers: [1] }));
    expect(swept.groups.map((g) => g.group)).toEqual(['question', 'readout']);
    const nobody = await relevance(visit, free, { target: { kind: 'difference', a: 5, b: 5 } });
    expect(nobody).toMatchObject({ code: 'bad-input', message: expect.stringContaining('same token') });
  });

  /** The fixture as a reader's own files, changed on the way. */
  const dropped = (change: 'nan' | 'long' | 'foreign') =>
    visit.page.evaluate(
      async ({ folder, change }) => {
        const lab = (window as unknown as { own: LabClient }).own;
        const get = async (path: string) => new Uint8Array(await (await fetch(`${folder}/${path}`)).arrayBuffer());
        const config = JSON.parse(new TextDecoder().decode(await get('config.json'))) as Record<string, unknown>;
        if (change === 'long') config['max_position_embeddings'] = 1_000_000;
        const graph = await get('onnx/model.onnx');
        // the middle of the file is the middle of its weights; ones in every bit are NaN, wherever a number begins
        if (change === 'nan') graph.fill(0xff, graph.length >> 1, (graph.length >> 1) + 16);
        // an operator that runs and that nobody has a rule for, in place of one of as many letters
        const letters = [0x22, 7, ...new TextEncoder().encode('Sigmoid')];
        if (change === 'foreign') for (let at = 0; at < graph.length - letters.length; at++) if (letters.every((c, i) => graph[at + i] === c)) graph.set(new TextEncoder().encode('Hardmax'), at + 2);
        const text = (data: BlobPart, path: string) => new File([data], path);
        const files = [text(JSON.stringify(config), 'config.json'), text(await get('tokenizer.json'), 'tokenizer.json'), text(await get('tokenizer_config.json'), 'tokenizer_config.json'), text(graph, 'onnx/model.onnx')];
        await lab.load(await lab.addFiles(files), { device: 'wasm' });
      },
      { folder: `${served.origin}/fixtures/models/llama`, change },
    );

  test('an operator without a rule is named; the model still answers', async () => {
    await dropped('foreign');
    expect(await relevance(visit, free, { target: { kind: 'difference', a: 9, b: 11 } })).toMatchObject({ code: 'unsupported-graph', message: expect.stringContaining('Hardmax') });
    const stopped = await visit.page.evaluate((ask) => (window as unknown as { own: LabClient }).own.relevanceSet([ask, ask], { target: { kind: 'difference', a: 9, b: 11 } }).catch((e: Failure) => e.code), free);
    expect(stopped).toBe('unsupported-graph');
    const tokens = await visit.page.evaluate(async (ask) => (await (window as unknown as { own: LabClient }).own.answer(ask, { maxTokens: 3 })).tokens.length, free);
    expect(tokens).toBeGreaterThan(0);
  });

  test('an 8-bit file has relevance, of the model with its weights unpacked', async () => {
    await load('smollm-optimum', 'q8');
    const map = good(await relevance(visit, free, { rule: 'cp-lrp', target: { kind: 'difference', a: 9, b: 11 } }));
    expect(map.checks).toMatchObject({ notFinite: 0, zeroOffTarget: true });
    expect(map.checks.conservation).toBeLessThanOrEqual(1e-3);
  });

  test('values that are not finite are counted, have no depth, and stand in no mean', async () => {
    await dropped('nan');
    const map = good(await relevance(visit, free, { target: { kind: 'difference', a: 9, b: 11 } }));
    expect(map.checks.notFinite).toBeGreaterThan(0);
    const n = map.tokens.length;
    const broken = map.tokens.flatMap((_, i) => (Array.from({ length: map.layers + 1 }, (_, l) => map.relevance[l * n + i]).every(Number.isFinite) ? [] : [i]));
    expect(broken.length).toBeGreaterThan(0);
    for (const i of broken) expect(map.mrd[i]).toBeNull();
    const summary = await visit.page.evaluate(async (ask) => {
      const lab = (window as unknown as { own: LabClient }).own;
      const { notFinite } = await lab.summarise(await lab.relevanceSet([ask], { target: { kind: 'difference', a: 9, b: 11 } }));
      return notFinite;
    }, free);
    expect(summary).toEqual({ values: map.checks.notFinite, items: 1 });
  });

  test('a prompt too long for the memory at hand is refused before it runs, with the longest that fits', async () => {
    await dropped('long');
    const text = 'The river Elbe flows through Dresden and Hamburg. '.repeat(1500);
    const refused = await relevance(visit, { context: text, question: 'Which?' }, { target: { kind: 'difference', a: 9, b: 11 } });
    expect(refused).toMatchObject({ code: 'too-long' });
    const [, asked, most] = /of (\d+) tokens would not fit into memory; the longest prompt that fits has (\d+)/.exec((refused as Failure).message) ?? [];
    expect(Number(most)).toBeGreaterThan(100);
    expect(Number(most)).toBeLessThan(Number(asked));
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
    const own = good(await patch(visit, ask, { clean: ask }));
    expect(own.groups.map((g) => g.group)).toEqual(['question', 'answerSpan', 'readout']);
    expect(own.effects).toEqual(Array(3 * own.layers.length).fill(0));
    // all positions at one layer: the other run, in every logit
    const other = good(await patch(visit, ask, { clean: { ...ask, question: 'Which river!' }, groups: ['readout'], whole: true }));
    expect(other.apart).toHaveLength(other.layers.length);
    for (const distance of other.apart as number[]) expect(distance).toBeLessThanOrEqual(1e-4);
  } finally {
    await visit.close();
  }
});

test('a sweep that loses its graphics device keeps its cells, and goes on in a model loaded anew', async () => {
  const visit = await visitLab(browser, served.url);
  try {
    const ask: Ask = { context: 'The Elbe flows through Dresden.', question: 'Which river?', answer: { text: 'Elbe', start: 4 } };
    await visit.page.evaluate(() => (window as unknown as { own: LabClient }).own.capabilities());
    // the youngest worker whose script is the lab's, before it has asked for a device
    const worker = visit.page.workers().filter((w) => w.url().includes('lab.worker')).at(-1);
    await worker?.evaluate(() => {
      const { requestDevice } = GPUAdapter.prototype;
      GPUAdapter.prototype.requestDevice = async function (...args) {
        const device = await requestDevice.apply(this, args);
        new BroadcastChannel('lose the device').onmessage = () => device.destroy();
        return device;
      };
    });
    const seen = await visit.page.evaluate(
      async ({ ask, host }) => {
        const lab = (window as unknown as { own: LabClient }).own;
        await lab.load({ id: 'tiny/llama', host, dtype: 'fp32' }, { device: 'webgpu' });
        const options: PatchOptions = { clean: { ...ask, question: 'Which town?' }, groups: ['template', 'context', 'answerSpan', 'question', 'readout'] };
        const channel = new BroadcastChannel('lose the device');
        const onPart = (soFar: Patching) => soFar.done.includes(1) && channel.postMessage(null);
        const part = await lab.patch(ask, { ...options, partial: true, onPart });
        // a dead device stays dead until the model is loaded anew
        const dead = await lab.patch(ask, options).then(() => 'ran', (e: Failure) => e.code);
        const finished = await lab.patch(ask, { ...options, resume: part });
        const whole = await lab.patch(ask, options);
        return { stopped: part.stopped, done: [...part.done], dead, whole: [...whole.differences], finished: [...finished.differences], end: finished.stopped, device: finished.provenance.device };
      },
      { ask, host: `${served.origin}/mirror` },
    );
    expect(seen.stopped?.code).toBe('device-lost');
    expect(seen.done).toContain(1);
    expect(seen.done).toContain(0);
    expect(seen.dead).toBe('device-lost');
    expect(seen.finished).toEqual(seen.whole);
    expect(seen.end).toBeNull();
    expect(seen.device).toBe('webgpu');
  } finally {
    await visit.close();
  }
});
