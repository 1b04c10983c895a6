/**
 * Activation patching [O], the causal check beside relevance: two runs, clean (question A) and corrupted (question B, same context, or A
 * in one language and B in another). The clean run's h[l] replaces the corrupted run's at one group's positions and one layer; the effect
 * is the recovered share of the logit difference d = logit[A's first token] − logit[B's first token] at the readout:
 *
 *     effect = (d_patched − d_corrupted) / (d_clean − d_corrupted)
 *
 * 0: nothing recovered; 1: as if the clean run had been given; it may leave 0 … 1. Pure; `patch-sweep.ts` runs the plan.
 */
import type { TokenGroup, TokenInfo } from '../types';

/**
 * How a group of one length lands on a group of another. 'each': position by position (equal lengths only); 'last': the last token's state
 * onto the last token; 'mean': the mean state onto every position. What was used belongs beside the numbers.
 */
export type Match = 'each' | 'last' | 'mean';

/** One patch by position: states of the clean run (averaged when several) that go onto one position of the corrupted run. */
export interface Landing {
  to: number;
  from: number[];
}

/** What is patched at once: a token group, or positions that were named one by one. */
export type PatchGroup = TokenGroup | 'positions';

export interface PatchSide {
  ids: readonly number[];
  tokens: Pick<TokenInfo, 'group'>[];
}

export interface GroupPlan {
  group: PatchGroup;
  match: Match;
  landings: Landing[];
  /** The first corrupted position that changes: what comes before it is the unpatched run, whatever the layer. */
  start: number;
}

export interface SweepPlan {
  clean: readonly number[];
  corrupted: readonly number[];
  groups: GroupPlan[];
  layers: number[];
  /** Groups asked for that one of the runs does not have. Not guessed, not patched. */
  absent: TokenGroup[];
  /** First tokens of the two answers: d = logit[a] − logit[b]. */
  a: number;
  b: number;
}

const members = (tokens: PatchSide['tokens'], group: TokenGroup): number[] => tokens.flatMap((t, i) => (t.group === group ? [i] : []));

/** @param match undefined: 'each' where the lengths agree, else 'last'; so is 'each' where they do not */
export function planGroup(clean: PatchSide, corrupted: PatchSide, group: TokenGroup, match?: Match): GroupPlan | null {
  const from = members(clean.tokens, group);
  const to = members(corrupted.tokens, group);
  if (from.length === 0 || to.length === 0) return null;
  const how = match === 'each' && from.length !== to.length ? 'last' : (match ?? (from.length === to.length ? 'each' : 'last'));
  const landings: Landing[] =
    how === 'each'
      ? to.map((position, i) => ({ to: position, from: [from[i]] }))
      : how === 'last'
        ? [{ to: to[to.length - 1], from: [from[from.length - 1]] }]
        : to.map((position) => ({ to: position, from }));
  return { group, match: how, landings, start: Math.min(...landings.map((landing) => landing.to)) };
}

/**
 * A position named one by one: of the asked run, where the clean run's state of the same position lands, or, with `from`, that of another
 * one of the clean run's positions (the mean of several).
 */
export type PositionWish = number | { to: number; from: number | readonly number[] };

/** What is wrong with them in words, or where each lands. */
export function landingsOf(wishes: readonly PositionWish[], clean: number, corrupted: number): { landings: Landing[] } | { problem: string } {
  if (wishes.length === 0) return { problem: 'The list of positions is empty.' };
  const landings = wishes.map((wish): Landing => (typeof wish === 'object' && wish !== null ? { to: wish.to, from: typeof wish.from === 'number' ? [wish.from] : [...(wish.from ?? [])] } : { to: wish, from: [wish] }));
  const inside = (position: number, tokens: number): boolean => Number.isInteger(position) && position >= 0 && position < tokens;
  for (const { to, from } of landings) {
    if (!inside(to, corrupted)) return { problem: `The asked run has no position ${String(to)}: it has ${corrupted} tokens.` };
    if (from.length === 0) return { problem: `No state is named that goes onto position ${to}.` };
    const bad = from.find((position) => !inside(position, clean));
    if (bad !== undefined) return { problem: `The clean run has no position ${String(bad)}: it has ${clean} tokens.` };
  }
  if (new Set(landings.map((l) => l.to)).size < landings.length) return { problem: 'A position is named twice.' };
  return { landings };
}

export interface SweepRequest {
  clean: PatchSide;
  corrupted: PatchSide;
  groups: readonly TokenGroup[];
  /** Patched at once, as a group of their own behind the others. */
  positions?: readonly Landing[] | null;
  layers: readonly number[];
  match?: Match;
  a: number;
  b: number;
}

/** Groups of both sides are their own: the clean run's answer span is A's, the corrupted run's is B's, whatever their places and lengths. */
export function planSweep(request: SweepRequest): SweepPlan {
  const { clean, corrupted } = request;
  const groups: GroupPlan[] = [];
  const absent: TokenGroup[] = [];
  for (const group of request.groups) {
    const plan = planGroup(clean, corrupted, group, request.match);
    if (plan) groups.push(plan);
    else absent.push(group);
  }
  const landings = request.positions ?? [];
  if (landings.length > 0)
    groups.push({ group: 'positions', match: landings.every((l) => l.from.length === 1) ? 'each' : 'mean', landings: [...landings], start: Math.min(...landings.map((l) => l.to)) });
  return { clean: clean.ids, corrupted: corrupted.ids, groups, layers: [...request.layers], absent, a: request.a, b: request.b };
}

/** Positions of the clean run whose states a group needs, ascending. */
export function sourcesOf({ landings }: GroupPlan): number[] {
  return [...new Set(landings.flatMap((landing) => landing.from))].sort((x, y) => x - y);
}

/** The state to put down: one row of the clean run, or the mean of several. `states` is [layers + 1, positions, width]. */
export function landingState(states: Float32Array, positions: readonly number[], width: number, layer: number, landing: Landing): Float32Array {
  const out = new Float32Array(width);
  for (const position of landing.from) {
    const at = (layer * positions.length + positions.indexOf(position)) * width;
    for (let d = 0; d < width; d++) out[d] += states[at + d];
  }
  if (landing.from.length > 1) for (let d = 0; d < width; d++) out[d] /= landing.from.length;
  return out;
}

/** d and the chosen token of one run, from its last row of logits. */
export interface Reading {
  difference: number;
  top: number;
}

export function readDifference(logits: ArrayLike<number>, a: number, b: number): Reading {
  let top = 0;
  for (let i = 1; i < logits.length; i++) if (logits[i] > logits[top]) top = i;
  return { difference: logits[a] - logits[b], top };
}

/**
 * null where the two runs do not differ in d: a share of nothing. NaN readings stay NaN.
 * @param unmoved the patch left every logit as it was, to the bit: it recovered nothing, whatever there was to recover
 */
export function effect(patched: number, corrupted: number, clean: number, unmoved = false): number | null {
  if (unmoved) return 0;
  const whole = clean - corrupted;
  if (Math.abs(whole) < 1e-6) return null;
  return (patched - corrupted) / whole;
}

/** Whether two runs' logits are the same to the last bit, the sign of a zero included; NaN is the same as nothing. */
export function sameLogits(x: ArrayLike<number>, y: ArrayLike<number>): boolean {
  for (let i = 0; i < x.length; i++) if (!Object.is(x[i], y[i]) || Number.isNaN(x[i])) return false;
  return x.length === y.length;
}

export interface SweepResult {
  layers: number[];
  groups: { group: PatchGroup; match: Match }[];
  absent: TokenGroup[];
  /** [groups, layers]; NaN where not finished or not defined. */
  effects: Float32Array;
  /** [groups, layers]: d of the patched runs. */
  differences: Float32Array;
  /** [groups, layers]: 1 when the patched run now chooses A's first token and the corrupted one did not. */
  flips: Uint8Array;
  /** [groups, layers]: 1 when that cell was run: a stopped sweep keeps what it has. */
  done: Uint8Array;
  /** Of the runs beside the group that stands first; those of other groups are cut elsewhere and may round otherwise. */
  clean: Reading;
  corrupted: Reading;
}

/** The cell of each group with the largest effect; groups without a finished cell are left out. */
export function bestLayers(result: Pick<SweepResult, 'layers' | 'groups' | 'effects'>): { group: PatchGroup; layer: number; effect: number }[] {
  const n = result.layers.length;
  return result.groups.flatMap(({ group }, g) => {
    let best = -1;
    for (let k = 0; k < n; k++) {
      const value = result.effects[g * n + k];
      if (Number.isFinite(value) && (best < 0 || value > result.effects[g * n + best])) best = k;
    }
    return best < 0 ? [] : [{ group, layer: result.layers[best], effect: result.effects[g * n + best] }];
  });
}

/** Means and spread of one group over the items of a set. */
export interface PatchCurve {
  group: PatchGroup;
  /** How many items met in which way: a mean over them is of all of these. */
  met: Partial<Record<Match, number>>;
  /** By layer, over the items that have the cell. */
  mean: Float64Array;
  sd: Float64Array;
  n: Uint32Array;
  /** Items whose answer the patch turned to A's. */
  flips: Uint32Array;
  /** Of so many that could turn: the clean run begins with A's token, the unpatched one does not, and the cell was run. */
  flippable: Uint32Array;
}

/** The layers must be the same in all results; `a` is A's first token. */
export function patchCurves(results: readonly (SweepResult & { a: { id: number } })[]): PatchCurve[] {
  const groups = [...new Set(results.flatMap((result) => result.groups.map(({ group }) => group)))];
  const layers = results[0]?.layers.length ?? 0;
  return groups.map((group) => {
    const curve: PatchCurve = { group, met: {}, mean: new Float64Array(layers), sd: new Float64Array(layers), n: new Uint32Array(layers), flips: new Uint32Array(layers), flippable: new Uint32Array(layers) };
    const having = results.flatMap((result) => {
      const g = result.groups.findIndex((entry) => entry.group === group);
      return g < 0 ? [] : [{ result, from: g * layers, match: result.groups[g].match }];
    });
    for (const { match } of having) curve.met[match] = (curve.met[match] ?? 0) + 1;
    for (let k = 0; k < layers; k++) {
      const values: number[] = [];
      for (const { result, from } of having) {
        if (!result.done[from + k]) continue;
        if (result.clean.top === result.a.id && result.corrupted.top !== result.a.id) {
          curve.flippable[k]++;
          curve.flips[k] += result.flips[from + k];
        }
        if (Number.isFinite(result.effects[from + k])) values.push(result.effects[from + k]);
      }
      const mean = values.reduce((s, v) => s + v, 0) / values.length;
      curve.mean[k] = mean;
      curve.sd[k] = Math.sqrt(values.reduce((s, v) => s + (v - mean) ** 2, 0) / values.length);
      curve.n[k] = values.length;
    }
    return curve;
  });
}
