/**
 * Depths and phases. MRD's words are [R], its formula and everything built on it [O] (see docs, "What the lab measures").
 * Layers are 0 = embeddings .. L = after the last block; a depth is a layer number.
 */
import type { LensCell, TokenGroup, TokenInfo } from '../types';

/** Share of the absolute relevance that counts as "encoded". */
export const MRD_THRESHOLD = 0.95;

/**
 * Major relevance depth: min { l : Σ_{k≤l} |R[k]| ≥ threshold · Σ_{k≤L} |R[k]| } for one token's or group's relevance by layer [L+1].
 * null when there is no relevance at all or a value is not finite: a depth would be made up.
 */
export function mrd(relevance: ArrayLike<number>, threshold = MRD_THRESHOLD): number | null {
  let total = 0;
  for (let l = 0; l < relevance.length; l++) total += Math.abs(relevance[l]);
  if (!(total > 0) || !Number.isFinite(total)) return null;
  // a hair of slack, so that the exact threshold is reached in spite of rounding in the running sum
  const goal = Math.min(1, Math.max(0, threshold)) * total * (1 - 1e-12);
  let sum = 0;
  for (let l = 0; l < relevance.length; l++) {
    sum += Math.abs(relevance[l]);
    if (sum >= goal) return l;
  }
  return relevance.length - 1;
}

/** Why a depth is not known: nothing in the prompt belongs to the group; a value is NaN or infinite; all values are 0. */
export type NoDepth = 'absent' | 'not finite' | 'no relevance';

/** A depth, or why there is none. `relevance` is null where no token is in the group. */
export function depthOf(relevance: ArrayLike<number> | null | undefined, threshold = MRD_THRESHOLD): number | NoDepth {
  if (!relevance) return 'absent';
  for (let l = 0; l < relevance.length; l++) if (!Number.isFinite(relevance[l])) return 'not finite';
  return mrd(relevance, threshold) ?? 'no relevance';
}

/** Relevance of a group by layer [L+1]: summed (with sign) over its tokens. `relevance` is [L+1, tokens]. null when no token is in the group. */
export function groupRelevance(relevance: ArrayLike<number>, tokens: Pick<TokenInfo, 'group'>[], group: TokenGroup): Float64Array | null {
  const n = tokens.length;
  if (n === 0 || !tokens.some((t) => t.group === group)) return null;
  const out = new Float64Array(Math.floor(relevance.length / n));
  for (let l = 0; l < out.length; l++) for (let i = 0; i < n; i++) if (tokens[i].group === group) out[l] += relevance[l * n + i];
  return out;
}

/** MRD of every token; null where undefined. */
export function tokenMrds(relevance: ArrayLike<number>, tokens: number, threshold = MRD_THRESHOLD): (number | null)[] {
  const layers = tokens === 0 ? 0 : Math.floor(relevance.length / tokens);
  const one = new Float64Array(layers);
  return Array.from({ length: tokens }, (_, i) => {
    for (let l = 0; l < layers; l++) one[l] = relevance[l * tokens + i];
    return mrd(one, threshold);
  });
}

export interface Phases {
  /** The last layer number L. */
  layers: number;
  threshold: number;
  /** MRD of the groups; null when the group is absent or has no relevance. */
  question: number | null;
  answer: number | null;
  /** Question encoding = blocks 1..MRD(question); null when that is 0 or unknown. Inclusive. */
  encoding: [number, number] | null;
  /** Answer retrieval = from there to MRD(answer span); null unless it lies deeper. Inclusive. */
  retrieval: [number, number] | null;
}

/** The two phases [O] of one relevance map [L+1, tokens]. */
export function phases(relevance: ArrayLike<number>, tokens: Pick<TokenInfo, 'group'>[], threshold = MRD_THRESHOLD): Phases {
  const depth = (g: TokenGroup): number | null => {
    const r = groupRelevance(relevance, tokens, g);
    return r === null ? null : mrd(r, threshold);
  };
  return phasesOf(depth('question'), depth('answerSpan'), tokens.length === 0 ? 0 : Math.floor(relevance.length / tokens.length) - 1, threshold);
}

export function phasesOf(question: number | null, answer: number | null, layers: number, threshold = MRD_THRESHOLD): Phases {
  return {
    layers,
    threshold,
    question,
    answer,
    encoding: question !== null && question >= 1 ? [1, question] : null,
    retrieval: question !== null && answer !== null && answer > question ? [question + 1, answer] : null,
  };
}

export interface Stability {
  /** 1 − (sd(MRD_question/L) + sd(MRD_answer/L)), population sd (each at most 0.5), so 0..1; NaN without items. */
  stability: number;
  sdQuestion: number;
  sdAnswer: number;
  /** Mean depths as a share of L. */
  meanQuestion: number;
  meanAnswer: number;
  /** Share of the items with MRD(question) < MRD(answer span). */
  ordered: number;
  /** Items with both depths; the others are left out and counted here. */
  n: number;
  missing: number;
}

/** Phasing stability [O] over the items of one (model, scenario, language). */
export function phasingStability(items: { question: number | null; answer: number | null }[], layers: number): Stability {
  const q: number[] = [];
  const a: number[] = [];
  for (const it of items) {
    if (it.question === null || it.answer === null) continue;
    q.push(it.question / layers);
    a.push(it.answer / layers);
  }
  const mean = (v: number[]): number => (v.length > 0 ? v.reduce((s, x) => s + x, 0) / v.length : NaN);
  const sd = (v: number[]): number => {
    const m = mean(v);
    return Math.sqrt(mean(v.map((x) => (x - m) ** 2)));
  };
  const sdQuestion = sd(q);
  const sdAnswer = sd(a);
  return {
    stability: 1 - (sdQuestion + sdAnswer),
    sdQuestion,
    sdAnswer,
    meanQuestion: mean(q),
    meanAnswer: mean(a),
    ordered: mean(q.map((x, i) => Number(x < a[i]))),
    n: q.length,
    missing: items.length - q.length,
  };
}

/** First layer at which a curve has made `share` of its rise from layer 0 to its highest point; null when it does not rise. [O] */
export function riseLayer(curve: ArrayLike<number>, share = 0.95): number | null {
  let max = -Infinity;
  let base = NaN;
  for (let l = 0; l < curve.length; l++) {
    if (!Number.isFinite(curve[l])) continue;
    if (Number.isNaN(base)) base = curve[l];
    max = Math.max(max, curve[l]);
  }
  if (!(max - base > 1e-6)) return null;
  const goal = base + share * (max - base) - 1e-12;
  for (let l = 0; l < curve.length; l++) if (curve[l] >= goal) return l;
  return null;
}

/** First layer from which the followed token is the lens' top reading and stays so to the last; null when it is not top at the end. [O] */
export function emergenceLayer(cells: LensCell[], position: number, follow = 0): number | null {
  const column = cells.filter((c) => c.position === position).sort((x, y) => y.layer - x.layer);
  let found: number | null = null;
  for (const c of column) {
    if (c.followed[follow]?.rank !== 0) break;
    found = c.layer;
  }
  return found;
}

/** What can be said of the phases before relevance exists, each piece named for what it is. [O] */
export interface PhaseEvidence {
  kind: 'similarity and lens';
  /** Question alignment has made 95 % of its rise here: the languages' questions have met. */
  alignment: { layer: number | null; peak: number; peakLayer: number | null } | null;
  /** Readout–answer similarity has made half of its rise here. */
  retrieval: { layer: number | null; peak: number; peakLayer: number | null } | null;
  /** The gold token is on top of the lens from here to the end. */
  emergence: { layer: number | null; finalP: number; finalRank: number | null } | null;
}

export function phaseEvidence(input: { questionAlignment?: ArrayLike<number> | null; readoutAnswer?: ArrayLike<number> | null; lens?: { cells: LensCell[]; position: number; follow?: number } | null }): PhaseEvidence {
  const peak = (c: ArrayLike<number>): { peak: number; peakLayer: number | null } => {
    let at: number | null = null;
    for (let l = 0; l < c.length; l++) if (Number.isFinite(c[l]) && (at === null || c[l] > c[at])) at = l;
    return { peak: at === null ? NaN : c[at], peakLayer: at };
  };
  const { questionAlignment: q, readoutAnswer: r, lens } = input;
  const last = lens?.cells.filter((c) => c.position === lens.position).reduce<LensCell | null>((a, b) => (a === null || b.layer > a.layer ? b : a), null);
  const f = last?.followed[lens?.follow ?? 0];
  return {
    kind: 'similarity and lens',
    alignment: q ? { layer: riseLayer(q, 0.95), ...peak(q) } : null,
    retrieval: r ? { layer: riseLayer(r, 0.5), ...peak(r) } : null,
    emergence: lens && f ? { layer: emergenceLayer(lens.cells, lens.position, lens.follow ?? 0), finalP: f.p, finalRank: f.rank } : null,
  };
}
