/** Question alignment and readout–answer similarity over an item set as part of a record: whether it fits together, and its curves as rows of a table. Pure. */
import type { SetAlignment, Spread } from '../probe/set-alignment';
import type { Language } from '../types';

export interface RecordedAlignment {
  /** The model's title and file. */
  model: string;
  set: SetAlignment;
}

const both = ({ raw, centred }: { raw: Spread; centred: Spread | null }): Float64Array[] => [raw, centred].flatMap((s) => (s ? [s.mean, s.low, s.high] : []));

/** What the schema cannot say; null when every curve has one value per layer. */
export function alignmentFault({ set }: RecordedAlignment): string | null {
  const curves = [...set.languages.flatMap((l) => [...both(l), l.toEnglish, l.fromEnglish]), ...(set.retrieval ?? []).flatMap(both)];
  return curves.every((curve) => curve.length === set.layers.length) ? null : 'a curve of the alignment over a set has not one value per layer';
}

type Cell = string | number | null;

/** Slot, model, passage in, question in, layer, measure, of what, value: as the curves of one run. */
export function alignmentRows({ set }: RecordedAlignment): Cell[][] {
  const n = `over ${set.items.length} items`;
  const rows = (language: Language, measure: string, of: string, values: Float64Array): Cell[][] =>
    set.layers.map((layer, i) => ['A', set.provenance.model, set.contextLanguage, language, layer, measure, of, values[i]]);
  const spread = (language: Language, measure: string, of: string, s: Spread | null): Cell[][] =>
    s ? [...rows(language, `${measure} ${n}: mean`, of, s.mean), ...rows(language, `${measure} ${n}: lower quartile`, of, s.low), ...rows(language, `${measure} ${n}: upper quartile`, of, s.high)] : [];
  return [
    ...set.languages.flatMap((l) => [
      ...spread(l.language, 'question alignment, raw cosine', 'question', l.raw),
      ...spread(l.language, 'question alignment, centred cosine', 'question', l.centred),
      ...rows(l.language, `nearest neighbour to English ${n}: share that finds its translation`, 'question', l.toEnglish),
      ...rows(l.language, `nearest neighbour from English ${n}: share that finds its translation`, 'question', l.fromEnglish),
    ]),
    ...(set.retrieval ?? []).flatMap((l) => [
      ...spread(l.language, 'readout–answer similarity, raw cosine', 'readout to answer span', l.raw),
      ...spread(l.language, 'readout–answer similarity, centred cosine', 'readout to answer span', l.centred),
    ]),
  ];
}
