/**
 * Relevance R[l, i] = Σ_d h[l, i, d] · ∂z/∂h[l, i, d] [R: layer-wise attribution by AttnLRP]: which score z is asked about, how much
 * memory the answer takes, and what can be read from the map. Pure; `relevance-session.ts` asks a device, `phases.ts` finds depths.
 */
import type { TokenGroup, TokenInfo } from '../types';
import { GROUPS } from '../types';
import { groupRelevance } from './phases';

export type RelevanceRule = 'gradient' | 'attnlrp' | 'cp-lrp';

/** What is attributed. The first generated token is the lab's default [O]. */
export type RelevanceTarget =
  | { kind: 'first' }
  /** The token generated at `index` (0 = first), given the ones before it. */
  | { kind: 'generated'; index: number }
  /** The gold answer's first token, whether generated or not. */
  | { kind: 'gold' }
  /** logit[a] − logit[b] where the token after `index` generated ones is chosen. Token ids, or texts whose first token is meant. */
  | { kind: 'difference'; a: number | string; b: number | string; index?: number }
  /** Every generated token's logit, each given the ones before it. */
  | { kind: 'sum' };

/** z = Σ weight · logit[row, token] over one run of `ids`. */
export interface TargetPlan {
  ids: number[];
  rows: number[];
  tokens: number[];
  weights: number[];
}

export type PlanResult = { plan: TargetPlan } | { problem: string };

/**
 * `answer`: the generated ids without the stop token; `gold`: the gold answer's first token in this prompt, null when unknown;
 * `first`: the first token that a text would be written with here, null when it has none.
 */
export function planTarget(
  target: RelevanceTarget,
  prompt: readonly number[],
  answer: readonly number[],
  gold: number | null,
  first: (text: string) => number | null = () => null,
): PlanResult {
  if (prompt.length === 0) return { problem: 'The prompt is empty.' };
  const at = (index: number, terms: [token: number, weight: number][]): PlanResult => {
    if (!Number.isInteger(index) || index < 0 || index > answer.length) return { problem: `There is no generated token ${index}: the answer has ${answer.length}.` };
    const ids = [...prompt, ...answer.slice(0, index)];
    return { plan: { ids, rows: terms.map(() => ids.length - 1), tokens: terms.map(([token]) => token), weights: terms.map(([, weight]) => weight) } };
  };
  switch (target.kind) {
    case 'first':
    case 'generated': {
      const index = target.kind === 'first' ? 0 : target.index;
      const token = answer[index];
      return token === undefined ? { problem: answer.length === 0 ? 'The model answered nothing.' : `There is no generated token ${index}.` } : at(index, [[token, 1]]);
    }
    case 'gold':
      return gold === null ? { problem: 'No gold answer is known.' } : at(0, [[gold, 1]]);
    case 'difference': {
      const [a, b] = [target.a, target.b].map((token) => (typeof token === 'string' ? first(token) : token));
      if (a === null || b === null) return { problem: `“${String(a === null ? target.a : target.b)}” is no token here.` };
      return a === b ? { problem: 'Both sides of the difference begin with the same token.' } : at(target.index ?? 0, [[a, 1], [b, -1]]);
    }
    case 'sum': {
      if (answer.length === 0) return { problem: 'The model answered nothing.' };
      const ids = [...prompt, ...answer.slice(0, -1)];
      return { plan: { ids, rows: answer.map((_, k) => prompt.length - 1 + k), tokens: [...answer], weights: answer.map(() => 1) } };
    }
  }
}

export interface RelevanceMap {
  rule: RelevanceRule;
  target: RelevanceTarget;
  plan: TargetPlan;
  /** [layers + 1, tokens of plan.ids]; layer 0 = embeddings. */
  relevance: Float32Array;
  layers: number;
  tokens: number;
  /** The score attributed, and the logits it is made of. */
  z: number;
  logits: Float32Array;
  ms: number;
}

/** Relevance of one token by layer, [L+1]. */
export function tokenProfile(map: Pick<RelevanceMap, 'relevance' | 'layers' | 'tokens'>, token: number): Float64Array {
  return Float64Array.from({ length: map.layers + 1 }, (_, l) => map.relevance[l * map.tokens + token]);
}

/** Relevance by layer of every group that is there, summed with sign. Groups that are absent stay absent: no span is guessed. */
export function groupProfiles(map: Pick<RelevanceMap, 'relevance'>, tokens: Pick<TokenInfo, 'group'>[]): Partial<Record<TokenGroup, Float64Array>> {
  const out: Partial<Record<TokenGroup, Float64Array>> = {};
  for (const group of GROUPS) {
    const curve = groupRelevance(map.relevance, tokens, group);
    if (curve) out[group] = curve;
  }
  return out;
}

/** Each layer divided by its largest absolute value (rows can then not be compared with one another). NaN stays NaN. */
export function scaledByLayer(relevance: Float32Array, tokens: number): Float32Array {
  const out = new Float32Array(relevance.length);
  for (let at = 0; at < relevance.length; at += tokens) {
    let largest = 0;
    for (let i = at; i < at + tokens; i++) largest = Math.max(largest, Number.isFinite(relevance[i]) ? Math.abs(relevance[i]) : 0);
    for (let i = at; i < at + tokens; i++) out[i] = largest > 0 ? relevance[i] / largest : relevance[i];
  }
  return out;
}

/** What must hold of any map, and by how much it does. */
export interface RelevanceCheck {
  /** Values that are NaN or infinite. They are to be shown as such. */
  notFinite: number;
  /** Layer L off the target's rows: exactly 0. */
  zeroOffTarget: boolean;
  /** max over layers of |Σ_i R[l, i] − z| / |z|. Small under CP-LRP for models without biases; under the other rules it need not be. */
  conservation: number;
}

export function checkMap(map: RelevanceMap): RelevanceCheck {
  const { relevance, layers, tokens, plan, z } = map;
  const rows = new Set(plan.rows);
  let notFinite = 0;
  for (const value of relevance) if (!Number.isFinite(value)) notFinite++;
  let zeroOffTarget = true;
  for (let i = 0; i < tokens; i++) if (!rows.has(i) && relevance[layers * tokens + i] !== 0) zeroOffTarget = false;
  let conservation = 0;
  for (let l = 0; l <= layers; l++) {
    let sum = 0;
    for (let i = 0; i < tokens; i++) sum += relevance[l * tokens + i];
    conservation = Math.max(conservation, Math.abs(sum - z) / Math.max(1e-12, Math.abs(z)));
  }
  return { notFinite, zeroOffTarget, conservation };
}

export interface ModelShape {
  layers: number;
  width: number;
  heads: number;
  kvHeads: number;
  headDim: number;
  /** Width inside the MLP. */
  inner: number;
  /** Bytes per number in the residual stream: 4, or 2 for fp16 files. */
  bytes?: number;
  /** 4- or 8-bit weights are unpacked one matrix at a time. */
  quantised?: boolean;
}

/**
 * Memory the map needs beyond the weights, an upper bound: the residual sums (two per block) stay; one segment is alive at a time,
 * either the MLP's (about seven [tokens, inner] at once) or attention's (four [heads, tokens, tokens]); one unpacked weight.
 */
export function relevanceBytes(shape: ModelShape, tokens: number): number {
  const { layers, width, heads, kvHeads, headDim, inner, bytes = 4 } = shape;
  const sums = (2 * layers + 1) * tokens * width;
  const mlp = tokens * (7 * inner + 6 * width);
  const attention = 4 * heads * tokens * tokens + 6 * tokens * (heads + 2 * kvHeads) * headDim;
  const weight = shape.quantised ? 2 * inner * width : 0;
  return bytes * (sums + Math.max(mlp, attention) + tokens * tokens + weight);
}

/** The longest prompt whose map fits into `budget` bytes; 0 when none does. */
export function longestFor(shape: ModelShape, budget: number): number {
  let low = 0;
  let high = 1 << 20;
  while (low < high) {
    const middle = Math.ceil((low + high) / 2);
    if (relevanceBytes(shape, middle) <= budget) low = middle;
    else high = middle - 1;
  }
  return low;
}
