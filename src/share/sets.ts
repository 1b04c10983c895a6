/** Relevance and patching over many items as part of a record: what is kept, whether it fits together, and its means as rows of a table. Pure. */
import { patchSummary, telling, type PatchSet } from '../probe/patch-set';
import { MRD_THRESHOLD } from '../probe/phases';
import { summary, type RelevanceSet } from '../probe/relevance-set';

/** The items themselves are kept: means, spread, depths, flips and stability follow from them, for any threshold. */
export interface RecordedSet {
  slot: 'A' | 'B';
  /** The model's title. */
  model: string;
  set: RelevanceSet | PatchSet;
}

/** What the schema cannot say; null when all arrays are of the lengths their neighbours promise. */
export function setFault({ set }: RecordedSet): string | null {
  if (set.kind === 'relevance-set') {
    const fits = set.items.every((item) => item.layers === set.layers && Object.values(item.groups).every((curve) => curve.length === item.layers + 1));
    return fits ? null : 'the curves of a set are not [layers + 1]';
  }
  const fits = set.items.every((item) => item.layers.join() === set.layers.join() && [item.effects, item.differences, item.flips, item.done].every((cells) => cells.length === item.groups.length * set.layers.length));
  return fits ? null : 'the effects of a set are not [groups, layers]';
}

type Cell = string | number | null;
/** The languages of a set, where all its items have one and the same. */
const only = (values: (string | undefined)[]): string => (new Set(values).size === 1 ? (values[0] ?? '') : '');

/**
 * Slot, model, passage in, question in, layer, measure, of what, value: as the curves of one run. Numbers stand as they are: a mean of
 * nothing is NaN.
 * @param threshold of MRD, as the reader chose it
 */
export function setRows({ slot, set }: RecordedSet, threshold = MRD_THRESHOLD): Cell[][] {
  const rows: Cell[][] = [];
  const told = set.kind === 'patch-set' ? telling(set.items) : set.items;
  const languages = [only(told.map((i) => i.ask.contextLanguage)), only(told.map((i) => i.ask.questionLanguage))];
  const n = `over ${told.length} item${told.length === 1 ? '' : 's'}`;
  const add = (layer: number | null, measure: string, of: string, value: number, asked: Cell[] = languages): void => void rows.push([slot, set.provenance?.model ?? '', ...asked, layer, measure, of, value]);
  if (set.kind === 'patch-set') {
    for (const { group, met, mean, sd, flips, flippable } of patchSummary(set).curves) {
      for (const [match, items] of Object.entries(met)) add(null, `patching ${n}: groups met by “${match}”`, group, items);
      set.layers.forEach((layer, k) => {
        add(layer, `patching effect ${n}: mean`, group, mean[k]);
        add(layer, `patching effect ${n}: sd`, group, sd[k]);
        add(layer, `patching ${n}: flips`, group, flips[k]);
        add(layer, `patching ${n}: runs that could flip`, group, flippable[k]);
      });
    }
    return rows;
  }
  const { curves, shares, all, byLanguage } = summary(set, threshold);
  for (const [measure, list] of [['relevance', curves], ['share of a group’s relevance', shares]] as const)
    for (const { group, mean, sd } of list)
      mean.forEach((value, layer) => {
        add(layer, `${measure} ${n}: mean`, group, value);
        add(layer, `${measure} ${n}: sd`, group, sd[layer]);
      });
  const depth = mrdName(threshold);
  const ofAll = { ...all, contextLanguage: languages[0], questionLanguage: languages[1] };
  for (const { question, answer, stability, contextLanguage, questionLanguage } of byLanguage.length > 1 ? [ofAll, ...byLanguage] : [ofAll]) {
    const asked = [contextLanguage, questionLanguage];
    for (const [group, { mean, sd }] of [['question', question], ['answerSpan', answer]] as const) {
      add(null, `${depth}: mean`, group, mean, asked);
      add(null, `${depth}: sd`, group, sd, asked);
    }
    add(null, 'phasing stability', '', stability.stability, asked);
    add(null, 'question before answer span, share of items', '', stability.ordered, asked);
  }
  return rows;
}

/** What a row with a depth is called. */
export const mrdName = (threshold: number): string => `MRD at ${Math.round(threshold * 1000) / 10} %, in layers`;
