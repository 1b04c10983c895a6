/**
 * Graph to graph: a decoder's forward → a model that computes, in one run, the relevance of every token at every layer,
 *
 *     R[l, i] = Σ_d h[l, i, d] · ∂z/∂h[l, i, d],   z = Σ_k weight_k · logit[row_k, token_k],
 *
 * under the gradient, AttnLRP or CP-LRP rules. Only R [layers + 1, tokens] (and z) leave the device. The model is a file of its own
 * over the same weight files, or a second program within the decoder's file; its inputs are the prompt and the target.
 */
import type { Residual } from '../residual';
import { readModel } from '../read';
import type { OnnxModel } from '../types';
import { Adjoints, Scope, differentiableFrom, pullBack, type Pass } from './backward';
import { asBranch } from './branch';
import { findChain, type Chain } from './chain';
import { Emitter, type Port } from './emit';
import { headGradient } from './head';
import { canonical, type GNode } from './ir';
import { ruleSet } from './lrp';
import { dtypeOf, type RuleName } from './rule';
import { inferShapes } from './shapes';

export type { RuleName } from './rule';

/** AttributeProto.type of a sub-graph. */
const GRAPH = 5;

export interface DifferentiateOptions {
  rule: RuleName;
  /** Heads and width of the caches, where the graph leaves them open. They are empty, and part of the graph. */
  cache: { kvHeads: number; headDim: number };
  /** Layers whose gradients [1, tokens, width] are given out as well (`gradient.{l}`), for tests and for the curious. */
  gradients?: readonly number[];
}

export interface Differentiated {
  /** A file of its own, over the same weight files; weights inside the forward are copied along, so move them out first (prepare.ts). */
  bytes: Uint8Array;
  /** Number of blocks; R has layers + 1 rows. */
  layers: number;
}

/** Within the decoder's own file, and so over the decoder's own weights in memory. */
export interface Joined {
  bytes: Uint8Array;
  /** What the way back is fed with, `OUTSIDE` before each name; `SWITCH` besides. */
  inputs: readonly Port[];
  layers: number;
}

/** The target's inputs: z = Σ weight · logit[row, token]; rows are positions of this run. */
export const TARGET_INPUTS = { rows: 'target.rows', tokens: 'target.tokens', weights: 'target.weights' } as const;
/** `relevance` float32 [layers+1, tokens]; `z` float32 [1]; `logits` float32 [targets], the scores that z weighs. */
export const RELEVANCE_OUTPUTS = { relevance: 'relevance', z: 'z', logits: 'target.logits' } as const;

/**
 * `residual`: h[0] … h[L] as the search in `residual.ts` finds them, so that relevance and states speak of the same layers; null: found here.
 * Throws NoGradientError, naming the operator, for a graph beyond the rules.
 */
export function differentiate(model: OnnxModel, residual: Residual | null, options: DifferentiateOptions): Differentiated {
  const { e, layers } = wayBack(model, residual, 'file', options);
  return { bytes: e.file(), layers };
}

/**
 * The same as a second program in the decoder's file (branch.ts): its weights are in memory once, and it costs nothing while it is off.
 * `decoder`: the session's own file, made from `model` by prepareModel. Null where that cannot be: the graph has branches of its own,
 * whose names could not be kept apart.
 */
export function differentiateWithin(decoder: Uint8Array, model: OnnxModel, residual: Residual | null, options: DifferentiateOptions): Joined | null {
  if (model.graph.nodes.some((node) => [...node.attributes.values()].some(({ type }) => type === GRAPH))) return null;
  const { e, layers } = wayBack(model, residual, 'branch', options);
  return { bytes: asBranch(readModel(decoder), e), inputs: e.inputs, layers };
}

function wayBack(model: OnnxModel, residual: Residual | null, place: Emitter['place'], { rule, cache, gradients = [] }: DifferentiateOptions): { e: Emitter; layers: number } {
  const tape = canonical(model);
  const infos = inferShapes(tape);
  const chain = findChain(tape, residual?.hidden.map((point) => point.tensor ?? '') ?? null);
  const e = new Emitter(tape, place);
  const inputs = model.graph.inputs.filter((input) => !model.graph.initializers.has(input.name));
  for (const { name, elemType, shape } of inputs) {
    if (!name.startsWith('past_key_values')) e.input(name, elemType, shape ?? []);
    else e.empty(name, elemType, [1, cache.kvHeads, 0, cache.headDim].map((value, i) => (i % 2 === 1 && typeof shape?.[i] === 'number' ? shape[i] : value)));
  }
  const differentiable = differentiableFrom(tape, [chain.sums[0]], infos);
  const target = {
    rows: e.input(TARGET_INPUTS.rows, 7, ['targets']),
    tokens: e.input(TARGET_INPUTS.tokens, 7, ['targets']),
    weights: e.input(TARGET_INPUTS.weights, 1, ['targets']),
  };

  const pool = new Map<string, string>();
  const shared = (key: string, make: () => string): string => {
    if (!pool.has(key)) pool.set(key, make());
    return pool.get(key)!;
  };
  const ids = inputs.find((input) => input.name === 'input_ids') ?? inputs[0];
  const tokens = (): string => shared('tokens', () => e.op('Gather', [e.op('Shape', [ids.name]), e.ints([1], true)], { axis: { int: 0 } }));
  const rules = ruleSet(tape, rule, (name) => differentiable.has(name));
  const pass: Pass = { e, tape, infos, rules, differentiable, shared, tokens };

  const head = headGradient(pass, chain, target);
  const rows = sweep(pass, chain, head.gradient, gradients);
  e.node('Concat', rows, [RELEVANCE_OUTPUTS.relevance], { axis: { int: 0 } });
  e.node('Identity', [head.z], [RELEVANCE_OUTPUTS.z]);
  e.node('Identity', [head.logits], [RELEVANCE_OUTPUTS.logits]);
  e.output(RELEVANCE_OUTPUTS.relevance, 1, ['layers', 'sequence_length']);
  e.output(RELEVANCE_OUTPUTS.z, 1, [1]);
  e.output(RELEVANCE_OUTPUTS.logits, 1, ['targets']);
  return { e, layers: chain.layers.length - 1 };
}

/** From ∂z/∂h[L] down to ∂z/∂h[0]; returns the rows of R, h[0] first, each [1, tokens]. */
function sweep(pass: Pass, chain: Chain, top: string, wanted: readonly number[]): string[] {
  const { e, infos, differentiable } = pass;
  const { segments, of } = segmentsOf(pass, chain);
  const adjoints = new Adjoints(e);
  adjoints.add(chain.sums.at(-1)!, top);
  const rows: string[] = [];
  for (let s = chain.sums.length - 1; ; s--) {
    const sum = chain.sums[s];
    const g = adjoints.get(sum)!;
    const dtype = dtypeOf(infos.get(sum)!);
    const layer = chain.layers.indexOf(s);
    let late = g;
    if (layer >= 0) {
      const state = e.cast(e.forward(sum), dtype, 1);
      late = e.sum(e.mul(state, e.cast(g, dtype, 1)), [-1], false);
      rows.unshift(late);
      if (wanted.includes(layer)) {
        e.node('Identity', [g], [`gradient.${layer}`]);
        e.output(`gradient.${layer}`, dtype, [1, 'sequence_length', null]);
      }
    }
    if (s === chain.layers[0]) return rows;
    // One number of what is known only now, times zero.
    const one = layer >= 0 ? e.op('Slice', [late, e.ints([0]), e.ints([1]), e.ints([1])]) : e.cast(e.reshape(e.op('Slice', [g, e.ints([0, 0]), e.ints([1, 1]), e.ints([1, 2])]), [1, 1]), dtype, 1);
    const pulse = e.reshape(e.mul(one, e.scalar(0, 1)), [1]);
    const base = chain.sums[s - 1];
    const entry = e.add(e.forward(base), e.cast(pulse, 1, dtypeOf(infos.get(base)!)));
    const owns = (name: string): boolean => of.get(name) === s - 1 && name !== base;
    const scope = new Scope(e, pass.tape, `again.${s - 1}.`, [[base, entry]], owns);
    // `sum` itself is the last node of this segment.
    pullBack({ ...pass, differentiable }, segments[s - 1], scope, adjoints, pulse);
  }
}

/** Assigns every node that depends on the stream to the last residual sum it depends on. */
function segmentsOf(pass: Pass, chain: Chain): { segments: GNode[][]; of: Map<string, number> } {
  const at = new Map(chain.sums.map((name, i) => [name, i] as const));
  const of = new Map<string, number>([[chain.sums[0], 0]]);
  const segments: GNode[][] = chain.sums.map(() => []);
  for (const node of pass.tape.nodes) {
    if (node.outputs.includes(chain.sums[0])) continue;
    let segment = -1;
    for (const input of node.inputs) segment = Math.max(segment, of.get(input) ?? -1);
    if (segment < 0) continue;
    // The sum that ends a segment belongs to it as a node, and begins the next one as a tensor.
    for (const output of node.outputs) if (output) of.set(output, at.get(output) ?? segment);
    segments[segment].push(node);
  }
  return { segments, of };
}
