import { describe, expect, it } from 'vitest';
import * as ort from 'onnxruntime-web/wasm';
import { prepareModel } from '../../src/onnx';
import { sweep, type PatchDecoder, type SweepStopped } from '../../src/probe/patch-sweep';
import { bestLayers, effect, landingState, landingsOf, patchCurves, planGroup, planSweep, readDifference, sameLogits, type PatchSide } from '../../src/probe/patching';
import { checkMap, groupProfiles, longestFor, planTarget, relevanceBytes, scaledByLayer, tokenProfile, type RelevanceMap } from '../../src/probe/relevance';
import type { TokenGroup } from '../../src/types';
import { fixture, open } from './onnx-fixtures';

const side = (ids: number[], groups: TokenGroup[]): PatchSide => ({ ids, tokens: groups.map((group) => ({ group })) });

describe('targets', () => {
  const prompt = [5, 6, 7];
  const answer = [10, 11, 12];
  it('names rows and tokens of each kind', () => {
    expect(planTarget({ kind: 'first' }, prompt, answer, null)).toEqual({ plan: { ids: prompt, rows: [2], tokens: [10], weights: [1] } });
    expect(planTarget({ kind: 'generated', index: 2 }, prompt, answer, null)).toEqual({ plan: { ids: [5, 6, 7, 10, 11], rows: [4], tokens: [12], weights: [1] } });
    expect(planTarget({ kind: 'gold' }, prompt, answer, 99)).toEqual({ plan: { ids: prompt, rows: [2], tokens: [99], weights: [1] } });
    expect(planTarget({ kind: 'difference', a: 1, b: 2 }, prompt, answer, null)).toEqual({ plan: { ids: prompt, rows: [2, 2], tokens: [1, 2], weights: [1, -1] } });
    expect(planTarget({ kind: 'sum' }, prompt, answer, null)).toEqual({ plan: { ids: [5, 6, 7, 10, 11], rows: [2, 3, 4], tokens: answer, weights: [1, 1, 1] } });
  });
  it('says what is missing', () => {
    for (const target of [{ kind: 'gold' }, { kind: 'generated', index: 3 }] as const) expect(planTarget(target, prompt, answer, null)).toHaveProperty('problem');
    for (const target of [{ kind: 'first' }, { kind: 'sum' }] as const) expect(planTarget(target, prompt, [], null)).toHaveProperty('problem');
    expect(planTarget({ kind: 'first' }, [], answer, null)).toHaveProperty('problem');
  });
});

describe('maps', () => {
  const map: RelevanceMap = {
    rule: 'cp-lrp', target: { kind: 'first' }, plan: { ids: [1, 2, 3], rows: [2], tokens: [4], weights: [1] },
    relevance: Float32Array.of(1, 2, 1, 0, 1, 3, 0, 0, 4), layers: 2, tokens: 3, z: 4, logits: Float32Array.of(4), ms: 0,
  };
  it('reads profiles, laws and scaling', () => {
    expect([...tokenProfile(map, 1)]).toEqual([2, 1, 0]);
    const groups = groupProfiles(map, [{ group: 'context' }, { group: 'question' }, { group: 'question' }]);
    expect([...groups.question!]).toEqual([3, 4, 4]);
    expect(groups.answerSpan).toBeUndefined();
    expect(checkMap(map)).toEqual({ notFinite: 0, zeroOffTarget: true, conservation: 0 });
    expect(checkMap({ ...map, relevance: Float32Array.of(NaN, 2, 1, 0, 1, 3, 1, 0, 4) })).toMatchObject({ notFinite: 1, zeroOffTarget: false });
    expect([...scaledByLayer(Float32Array.of(1, -2, NaN, 0), 2)]).toEqual([0.5, -1, NaN, 0]);
  });
  it('knows the longest prompt that fits', () => {
    const shape = { layers: 24, width: 896, heads: 14, kvHeads: 2, headDim: 64, inner: 4864 };
    const n = longestFor(shape, 256 * 2 ** 20);
    expect(relevanceBytes(shape, n)).toBeLessThanOrEqual(256 * 2 ** 20);
    expect(relevanceBytes(shape, n + 1)).toBeGreaterThan(256 * 2 ** 20);
    expect(longestFor(shape, 10)).toBe(0);
  });
});

describe('patching plans', () => {
  const clean = side([1, 2, 3, 4, 5], ['context', 'answerSpan', 'question', 'question', 'readout']);
  const corrupted = side([1, 2, 6, 7, 8, 5], ['context', 'context', 'question', 'question', 'question', 'readout']);
  it('matches positions and says how', () => {
    expect(planGroup(clean, corrupted, 'question')).toEqual({ group: 'question', match: 'last', landings: [{ to: 4, from: [3] }], start: 4 });
    expect(planGroup(clean, corrupted, 'question', 'mean')).toMatchObject({ match: 'mean', start: 2, landings: [2, 3, 4].map((to) => ({ to, from: [2, 3] })) });
    expect(planGroup(clean, corrupted, 'readout')).toMatchObject({ match: 'each', landings: [{ to: 5, from: [4] }] });
    const plan = planSweep({ clean, corrupted, groups: ['question', 'answerSpan', 'readout'], layers: [0, 1], a: 1, b: 2 });
    expect(plan.absent).toEqual(['answerSpan']);
    expect(plan.groups.map((g) => g.group)).toEqual(['question', 'readout']);
  });
  it('takes positions one by one, of the same place or another, as a group of their own; what is not there is named', () => {
    const made = landingsOf([4, { to: 2, from: 3 }, { to: 0, from: [0, 1] }], 5, 6);
    if ('problem' in made) throw new Error(made.problem);
    expect(made.landings).toEqual([{ to: 4, from: [4] }, { to: 2, from: [3] }, { to: 0, from: [0, 1] }]);
    const plan = planSweep({ clean, corrupted, groups: ['readout'], positions: made.landings, layers: [1], a: 1, b: 2 });
    expect(plan.groups.map(({ group, match, start }) => [group, match, start])).toEqual([['readout', 'each', 5], ['positions', 'mean', 0]]);
    expect(planSweep({ clean, corrupted, groups: [], positions: [{ to: 3, from: [2] }], layers: [1], a: 1, b: 2 }).groups).toMatchObject([{ group: 'positions', match: 'each', start: 3 }]);
    const problems = ([[], [6], [5], [-1], [1.5], [{ to: 1, from: [] }], [{ to: 0, from: 9 }], [2, { to: 2, from: 1 }]] as Parameters<typeof landingsOf>[0][]).map((wish) => landingsOf(wish, 5, 6));
    expect(problems.map((p) => ('problem' in p ? p.problem : 'none'))).toEqual([
      'The list of positions is empty.', 'The asked run has no position 6: it has 6 tokens.', 'The clean run has no position 5: it has 5 tokens.', 'The asked run has no position -1: it has 6 tokens.',
      'The asked run has no position 1.5: it has 6 tokens.', 'No state is named that goes onto position 1.', 'The clean run has no position 9: it has 5 tokens.', 'A position is named twice.',
    ]);
  });
  it('averages states, and shares only what there is', () => {
    const states = Float32Array.of(1, 2, 3, 4, /* layer 1 */ 5, 6, 7, 8);
    expect([...landingState(states, [3, 9], 2, 1, { to: 0, from: [3, 9] })]).toEqual([6, 7]);
    expect(effect(2, 1, 3)).toBe(0.5);
    expect(effect(2, 1, 1)).toBeNull();
    expect([effect(1, 1, 1), effect(1, 1, 1, true), effect(1, 1, 3)]).toEqual([null, 0, 0]);
    expect([sameLogits([1, -0], [1, 0]), sameLogits([1, NaN], [1, NaN]), sameLogits([1], [1, 2]), sameLogits([1, 2], [1, 2.0000001])]).toEqual([false, false, false, false]);
    expect(sameLogits([1, -0, -3], [1, -0, -3])).toBe(true);
    expect(readDifference([0, 5, 2], 1, 2)).toEqual({ difference: 3, top: 1 });
  });
});

/** A decoder over one fixture in Node, without the page's loader. */
async function decoder(name: string): Promise<PatchDecoder & { tokens: { n: number }; release(): Promise<void> }> {
  const f = fixture(name);
  const prepared = prepareModel(f.bytes, { layers: f.config.num_hidden_layers });
  const session = await open(prepared.bytes, [...f.external, ...(prepared.selfPath ? [{ path: prepared.selfPath, data: f.bytes }] : [])]);
  const tensor = (type: ort.Tensor.Type, data: ort.Tensor.DataType, dims: readonly number[]) => new ort.Tensor(type, data, dims);
  const int64 = (values: ArrayLike<number>, dims: readonly number[] = [values.length]) => tensor('int64', BigInt64Array.from(Array.from(values), BigInt), dims);
  const headDim = f.config.head_dim ?? f.config.hidden_size / f.config.num_attention_heads;
  const cache = { kvHeads: f.config.num_key_value_heads, headDim };
  const lab = prepared.lab!;
  const tokens = { n: 0 };
  const run = (feeds: Record<string, ort.Tensor>, fetches: readonly string[]) => {
    tokens.n += feeds.input_ids.dims[1];
    return session.run(feeds, fetches) as Promise<Record<string, ort.Tensor>>;
  };
  return {
    session: {
      inputs: session.inputMetadata.map((m) => ({ name: m.name, type: m.isTensor ? m.type : '', shape: m.isTensor ? m.shape : [] })),
      int64: int64 as never,
      tensor: tensor as never,
      run: run as never,
    },
    config: cache,
    instruments: lab,
    opaque: null,
    width: lab.width,
    checkLength: () => undefined,
    tokens,
    release: () => session.release(),
  };
}

describe.each(['llama/model', 'smollm-optimum/model'])('a sweep on %s', (name) => {
  it('obeys the laws of patching', { timeout: 120_000 }, async () => {
    const d = await decoder(name);
    const ids = fixture(name).golden.ids;
    const other = ids.map((id, i) => (i >= 12 && i < 18 ? (id + 41) % 300 : id));
    const n = ids.length;
    const layers = Array.from({ length: d.instruments!.layers + 1 }, (_, l) => l);
    const groups = ids.map((_, i): TokenGroup => (i < 12 ? 'context' : i < 18 ? 'question' : i === n - 1 ? 'readout' : 'template'));
    // without a group there is nothing to patch, but still two runs
    const bare = await sweep(d, planSweep({ clean: side(ids, groups), corrupted: side(ids, groups), groups: [], layers, a: 0, b: 1 }));
    const { top } = bare.clean;
    expect(bare.corrupted).toEqual(bare.clean);
    const [a, b] = [top, (top + 7) % 300];

    // Its own states change nothing, to the bit: every logit is the same, and so the effect is 0 and not a share of a rounding error.
    const same = planSweep({ clean: side(ids, groups), corrupted: side(ids, groups), groups: ['readout', 'context', 'question'], layers, a, b });
    for (const reusePrefix of [true, false]) {
      const own = await sweep(d, same, { reusePrefix });
      expect(own.clean).toEqual(own.corrupted);
      expect([...own.effects]).toEqual(Array(3 * layers.length).fill(0));
      expect([...own.done].every((done) => done === 1)).toBe(true);
      expect([...own.flips].every((f) => f === 0)).toBe(true);
    }

    // All positions at one layer: the other run.
    const all = ids.map((): TokenGroup => 'context');
    const far: number[] = [];
    const onLogits = (k: number, patched: Float32Array, clean: Float32Array): void => {
      far[k] = Math.max(...patched.map((v, i) => Math.abs(v - clean[i])));
    };
    const whole = await sweep(d, planSweep({ clean: side(ids, all), corrupted: side(other, all), groups: ['context'], layers, a, b }), { onLogits });
    expect(far).toHaveLength(layers.length);
    for (const distance of far) expect(distance).toBeLessThanOrEqual(1e-4);
    for (const value of whole.effects) expect(Math.abs(value - 1)).toBeLessThan(1e-4);
    expect([...whole.flips].every((f) => f === (whole.corrupted.top === a ? 0 : 1))).toBe(true);

    // A kept beginning gives the same numbers for a part of the work.
    const plan = planSweep({ clean: side(ids, groups), corrupted: side(other, groups), groups: ['question', 'readout'], layers, a, b });
    d.tokens.n = 0;
    const plain = await sweep(d, plan, { reusePrefix: false });
    const plainTokens = d.tokens.n;
    d.tokens.n = 0;
    const kept = await sweep(d, plan);
    expect(d.tokens.n).toBeLessThan(0.65 * plainTokens);
    kept.effects.forEach((value, i) => expect(Math.abs(value - plain.effects[i])).toBeLessThan(1e-3));
    // At the last layer the readout's state is the answer; at the first, the two readouts are the same token.
    const at = layers.length;
    expect(kept.effects[2 * at - 1]).toBe(1);
    expect(kept.effects[at]).toBeCloseTo(0, 3);
    expect(kept.effects[0]).toBeCloseTo(1, 3);
    expect(bestLayers(kept).map((x) => x.group)).toEqual(['question', 'readout']);
    const curve = patchCurves([{ ...kept, a: { id: a } }, { ...kept, a: { id: a } }])[0];
    expect(curve.n[0]).toBe(2);
    expect(curve.sd[0]).toBe(0);
    expect(curve.met).toEqual({ each: 2 });

    // The question's positions named one by one are the question.
    const named = landingsOf(ids.flatMap((_, i) => (groups[i] === 'question' ? [i] : [])), n, n);
    if ('problem' in named) throw new Error(named.problem);
    const byPosition = await sweep(d, planSweep({ clean: side(ids, groups), corrupted: side(other, groups), groups: [], positions: named.landings, layers, a, b }));
    expect(byPosition.groups).toEqual([{ group: 'positions', match: 'each' }]);
    expect([...byPosition.effects]).toEqual([...kept.effects.subarray(0, layers.length)]);

    // Stopped half-way: what was done is kept, and the rest can follow.
    const stop = new AbortController();
    const stopped = (await sweep(d, plan, { signal: stop.signal, onProgress: (done) => done === 5 && stop.abort(new Error('enough')) }).catch((error: SweepStopped) => error.soFar)) as typeof kept;
    expect([...stopped.done].filter(Boolean).length).toBe(3);
    const resumed = await sweep(d, plan, { resume: stopped });
    expect([...resumed.effects]).toEqual([...kept.effects]);
    await d.release();
  });
});
