/**
 * Relevance over many items: each map is reduced to its groups' curves, so that a set stays small, every depth can be found again for
 * another threshold, and what was finished before a stop is worth keeping. Pure; `lab-sets.ts` asks the model.
 */
import type { Ask, Language, LabErrorCode, Provenance, TokenGroup } from '../types';
import { GROUPS } from '../types';
import { depthOf, mrd, MRD_THRESHOLD, phasingStability, type NoDepth, type Stability } from './phases';
import type { RelevanceRule, RelevanceTarget } from './relevance';

/** One item's map, reduced. */
export interface RelevanceItem {
  /** Place in the list that was asked for. */
  index: number;
  /** Items by id: the set holds no passages. */
  ask: Ask;
  /** The tokens whose logits were attributed, as text. */
  target: string;
  z: number;
  layers: number;
  /** Relevance by layer [layers + 1] of each group that is there, summed with sign. Groups that are absent stay absent. */
  groups: Partial<Record<TokenGroup, Float64Array>>;
  /** Values of the whole map that are NaN or infinite. */
  notFinite: number;
}

/** An item that could not be measured, and why: it is counted, not guessed. */
export interface MissedItem {
  index: number;
  ask: Ask;
  code: LabErrorCode;
  message: string;
}

/** What every set says of itself. */
export interface SetState {
  /** Items asked for. */
  total: number;
  missed: MissedItem[];
  /**
   * Why it ended before the last item; null when it did not. What is finished is kept and the rest can be resumed. `index`: the item for
   * which the device, the worker or the memory gave out; where it does so again, it is missed and the others go on.
   */
  stopped: { code: LabErrorCode; message: string; index?: number } | null;
  ms: number;
  /** Of the last item. */
  provenance: Provenance | null;
}

export interface RelevanceSet extends SetState {
  kind: 'relevance-set';
  rule: RelevanceRule;
  target: RelevanceTarget;
  /** Number of blocks; curves have one value more. 0 while nothing is finished. */
  layers: number;
  items: RelevanceItem[];
}

/** Mean and spread (one population standard deviation) over `n` items. */
export interface Spread {
  mean: number;
  sd: number;
  n: number;
}

/** NaN where there is nothing to average. Values that are not finite are left out: count them beside. */
export function spread(values: readonly number[]): Spread {
  const finite = values.filter(Number.isFinite);
  const mean = finite.length > 0 ? finite.reduce((s, v) => s + v, 0) / finite.length : NaN;
  return { mean, sd: Math.sqrt(finite.reduce((s, v) => s + (v - mean) ** 2, 0) / finite.length), n: finite.length };
}

export interface GroupCurve {
  group: TokenGroup;
  /** By layer 0..L. */
  mean: Float64Array;
  sd: Float64Array;
  n: Uint32Array;
}

/**
 * 'none': relevance as it is, in logits. 'item': each item's curve divided by its own Σ|R| over the layers, so that items with large
 * scores do not drown the others; layers can still be compared with one another, items' sizes cannot. [O]
 * 'absolute': the same without signs, which is what a depth sums: for and against do not cancel over the items.
 */
export type SetScale = 'none' | 'item' | 'absolute';

export function groupCurves(items: readonly RelevanceItem[], scale: SetScale = 'none'): GroupCurve[] {
  const rows = Math.max(0, ...items.map((item) => item.layers + 1));
  return GROUPS.flatMap((group) => {
    const curves = items.flatMap((item) => (item.groups[group] ? [scaled(item.groups[group], scale)] : []));
    if (curves.length === 0) return [];
    const curve: GroupCurve = { group, mean: new Float64Array(rows), sd: new Float64Array(rows), n: new Uint32Array(rows) };
    for (let l = 0; l < rows; l++) {
      const at = spread(curves.map((values) => values[l]));
      curve.mean[l] = at.mean;
      curve.sd[l] = at.sd;
      curve.n[l] = at.n;
    }
    return [curve];
  });
}

function scaled(values: Float64Array, scale: SetScale): Float64Array {
  if (scale === 'none') return values;
  const sum = values.reduce((s, v) => s + Math.abs(v), 0);
  return sum > 0 ? values.map((v) => (scale === 'absolute' ? Math.abs(v) : v) / sum) : values.map(() => NaN);
}

/** Depths of one item; null where the group is absent or has no finite relevance. */
export interface Depths {
  index: number;
  ask: Ask;
  question: number | null;
  answer: number | null;
}

export function depthsOf(items: readonly RelevanceItem[], threshold = MRD_THRESHOLD): Depths[] {
  const depth = (curve: Float64Array | undefined): number | null => (curve ? mrd(curve, threshold) : null);
  return items.map(({ index, ask, groups }) => ({ index, ask, question: depth(groups.question), answer: depth(groups.answerSpan) }));
}

/** The mean depth of a group over the items that have one, or why none has. */
export function meanDepth(items: readonly RelevanceItem[], group: TokenGroup, threshold = MRD_THRESHOLD): Spread | NoDepth {
  const depths = items.map((item) => depthOf(item.groups[group], threshold));
  const known = spread(depths.filter((d) => typeof d === 'number'));
  if (known.n > 0) return known;
  return depths.includes('not finite') ? 'not finite' : depths.includes('no relevance') ? 'no relevance' : 'absent';
}

export interface DepthSpread {
  /** In layers, over the items that have the depth. */
  question: Spread;
  answer: Spread;
  /** Over the items that have both. */
  stability: Stability;
}

export function depthSpread(depths: readonly Depths[], layers: number): DepthSpread {
  const of = (which: 'question' | 'answer'): Spread => spread(depths.map((d) => d[which] ?? NaN));
  return { question: of('question'), answer: of('answer'), stability: phasingStability([...depths], layers) };
}

/** Phasing stability [O] of one cell: a context language and a question language. */
export interface CellStability extends DepthSpread {
  contextLanguage: Language | null;
  questionLanguage: Language | null;
}

/** One entry for each pair of languages, in the order in which they come. */
export function stabilityByLanguage(items: readonly RelevanceItem[], layers: number, threshold = MRD_THRESHOLD): CellStability[] {
  const cells = new Map<string, Depths[]>();
  for (const d of depthsOf(items, threshold)) {
    const key = `${d.ask.contextLanguage ?? ''} ${d.ask.questionLanguage ?? ''}`;
    cells.set(key, [...(cells.get(key) ?? []), d]);
  }
  return [...cells.values()].map((cell) => ({
    contextLanguage: cell[0].ask.contextLanguage ?? null,
    questionLanguage: cell[0].ask.questionLanguage ?? null,
    ...depthSpread(cell, layers),
  }));
}

/** Everything a set's pictures and tables need, for one threshold. */
export interface SetSummary {
  threshold: number;
  layers: number;
  curves: GroupCurve[];
  /** Each item's curve divided by its own Σ|R|. */
  shares: GroupCurve[];
  depths: Depths[];
  all: DepthSpread;
  byLanguage: CellStability[];
  /** Values that are not finite, and the items that have any: they are in no mean. */
  notFinite: { values: number; items: number };
}

export function summary(set: Pick<RelevanceSet, 'items' | 'layers'>, threshold = MRD_THRESHOLD): SetSummary {
  const { items, layers } = set;
  const depths = depthsOf(items, threshold);
  return {
    threshold,
    layers,
    curves: groupCurves(items),
    shares: groupCurves(items, 'item'),
    depths,
    all: depthSpread(depths, layers),
    byLanguage: stabilityByLanguage(items, layers, threshold),
    notFinite: { values: items.reduce((s, i) => s + i.notFinite, 0), items: items.filter((i) => i.notFinite > 0).length },
  };
}

/** An ask as a set keeps it: a whole item shrinks to its id. */
export function namedAsk(ask: Ask): Ask {
  if (!('item' in ask) || typeof ask.item === 'string') return ask;
  return { ...ask, item: ask.item.id, set: ask.set ?? ask.item.set };
}
