/** Relevance and patching over many items as part of a record: what is kept, whether it fits together, and its means as rows of a table. Pure. */
import type { PatchSet } from '../probe/patch-set';
import { patchCurves } from '../probe/patching';
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
const finite = (value: number): number | null => (Number.isFinite(value) ? value : null);
/** The languages of a set, where all its items have one and the same. */
const only = (values: (string | undefined)[]): string => (new Set(values).size === 1 ? (values[0] ?? '') : '');

/** Slot, model, passage in, question in, layer, measure, of what, value: as the curves of one run. */
export function setRows({ slot, set }: RecordedSet): Cell[][] {
  const asks = set.items.map((item) => item.ask);
  const model = set.provenance?.model ?? '';
  const head = [slot, model, only(asks.map((a) => a.contextLanguage)), only(asks.map((a) => a.questionLanguage))];
  const rows: Cell[][] = [];
  const n = `over ${set.items.length} item${set.items.length === 1 ? '' : 's'}`;
  const add = (layer: number | null, measure: string, of: string, value: number, languages = head): void => void rows.push([...languages, layer, measure, of, finite(value)]);
  if (set.kind === 'patch-set') {
    for (const { group, mean, sd, flips, flippable } of patchCurves(set.items))
      set.layers.forEach((layer, k) => {
        add(layer, `patching effect ${n}: mean`, group, mean[k]);
        add(layer, `patching effect ${n}: sd`, group, sd[k]);
        add(layer, `patching ${n}: flips`, group, flips[k]);
        add(layer, `patching ${n}: runs that could flip`, group, flippable[k]);
      });
    return rows;
  }
  const { curves, shares, all, byLanguage } = summary(set);
  for (const [measure, list] of [['relevance', curves], ['share of a group’s relevance', shares]] as const)
    for (const { group, mean, sd } of list)
      mean.forEach((value, layer) => {
        add(layer, `${measure} ${n}: mean`, group, value);
        add(layer, `${measure} ${n}: sd`, group, sd[layer]);
      });
  for (const depths of [{ ...all, languages: head }, ...byLanguage.map((c) => ({ ...c, languages: [slot, model, c.contextLanguage ?? '', c.questionLanguage ?? ''] }))]) {
    for (const [group, { mean, sd }] of [['question', depths.question], ['answerSpan', depths.answer]] as const) {
      add(null, 'MRD in layers: mean', group, mean, depths.languages);
      add(null, 'MRD in layers: sd', group, sd, depths.languages);
    }
    add(null, 'phasing stability', '', depths.stability.stability, depths.languages);
    add(null, 'question before answer span, share of items', '', depths.stability.ordered, depths.languages);
  }
  return rows;
}
