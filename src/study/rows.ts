/** One square of the matrix, from its columns: every mean with its n and, of enough items, its interval. */
import type { Match } from '../probe/patching';
import type { Language, Scenario, TokenGroup } from '../types';
import { ERROR_TYPES, type ErrorType } from '../xmrc/errors';
import { SCORES, type Layered, type RowColumns, type Score } from './columns';
import { estimateMeans, estimateShare, mean, ofItems, quantile, sd, type BootstrapOptions, type Estimate } from './stats';

/** Over the items that have the layer. */
export interface LayerCurve {
  layers: number[];
  mean: number[];
  /** Shares of a difference have wild outliers where the difference is small: their middle is what is shown. */
  median: number[];
  sd: number[];
  n: number[];
}

export interface PatchedCurve extends LayerCurve {
  group: TokenGroup;
  /** null: not the same for all items. */
  match: Match | null;
  /** Share of the items whose answer the patch turned to the clean one's. */
  flips: number[];
}

/** A model in a scenario with a pair of languages. */
export interface Row extends Record<Score, Estimate> {
  model: string;
  scenario: Scenario;
  contextLanguage: Language;
  questionLanguage: Language;
  /** Cells that ran. */
  n: number;
  failed: number;
  /** Counts, adding up to n. */
  errors: Record<ErrorType, number>;
  /** How many of them a reader has corrected. */
  corrected: number;
  /** null where the oracle was not measured. */
  oracle: { hit: Estimate; chance: number; control: Estimate | null } | null;
  /** null where relevance was not measured. */
  phasing: { stability: number; ordered: number; question: number; answerSpan: number; n: number } | null;
  /** Question alignment by layer; null where it was not measured. */
  alignment: LayerCurve | null;
  /** Patching by group; empty where it was not measured. */
  patching: PatchedCurve[];
  seconds: number;
  /** Set where any of the cells came from a model that had failed its self-test. */
  selfTestFailed?: true;
}

/** The varying language of a row: x. */
export function rowLanguage(row: Pick<Row, 'scenario' | 'contextLanguage' | 'questionLanguage'>): Language {
  return row.scenario === 'en-x' ? row.questionLanguage : row.contextLanguage;
}

/**
 * Phasing stability (the lab's own formula): 1 − (sd(MRD_question/L) + sd(MRD_answer/L)), in 0..1, and the share of items whose
 * question is encoded before their answer span. null for fewer than two items.
 */
export function phasing(depths: readonly { question: number; answerSpan: number; layers: number }[]): Row['phasing'] {
  if (depths.length < 2) return null;
  const q = depths.map((d) => d.question / d.layers);
  const a = depths.map((d) => d.answerSpan / d.layers);
  return {
    stability: 1 - (sd(q) + sd(a)),
    ordered: depths.filter((d) => d.question < d.answerSpan).length / depths.length,
    question: mean(q),
    answerSpan: mean(a),
    n: depths.length,
  };
}

/** Scores that are right or wrong, nothing between. */
const SHARES: ReadonlySet<Score> = new Set(['em', 'languageAwareEm']);

/** Cells that ran, in the order of their items: intervals must not depend on the order in which cells were finished. */
export function ranOf({ items, numbers }: RowColumns): number[] {
  const order = items.flatMap((_, i) => (numbers.failed[i] ? [] : [i]));
  return order.sort((a, b) => (items[a] < items[b] ? -1 : 1));
}

export function rowOf(columns: RowColumns, options: BootstrapOptions): Row {
  const { numbers, items, model, scenario, contextLanguage, questionLanguage } = columns;
  const ran = ranOf(columns);
  const of = (column: keyof RowColumns['numbers']): Float64Array => Float64Array.from(ran, (i) => numbers[column][i]);
  const scores = estimateMeans(SCORES.map(of), ran.length, options).map((e, k) => (SHARES.has(SCORES[k]) ? estimateShare(of(SCORES[k])) : ofItems(e)));
  const errors = Object.fromEntries(ERROR_TYPES.map((t) => [t, 0])) as Record<ErrorType, number>;
  for (const i of ran) errors[ERROR_TYPES[numbers.error[i]]]++;
  const depths = ran.filter((i) => Number.isFinite(numbers.mrdLayers[i])).map((i) => ({ question: numbers.mrdQuestion[i], answerSpan: numbers.mrdAnswer[i], layers: numbers.mrdLayers[i] }));
  return {
    model, scenario, contextLanguage, questionLanguage,
    n: ran.length,
    failed: items.length - ran.length,
    ...(Object.fromEntries(SCORES.map((s, k) => [s, scores[k]])) as Record<Score, Estimate>),
    errors,
    corrected: ran.reduce((n, i) => n + numbers.corrected[i], 0),
    oracle: oracleOf(of('hit'), of('chance'), of('control')),
    phasing: phasing(depths),
    alignment: columns.alignment && layerCurve(columns.alignment, ran),
    patching: columns.patching.map((c) => ({ group: c.group, match: c.match, ...layerCurve(c, ran), flips: layerCurve({ layers: c.layers, values: c.flips }, ran).mean })),
    seconds: of('ms').reduce((a, b) => a + b, 0) / 1000,
    ...(columns.selfTestFailed && { selfTestFailed: columns.selfTestFailed }),
  };
}

function oracleOf(hit: Float64Array, chance: Float64Array, control: Float64Array): Row['oracle'] {
  const measured = (column: Float64Array): Float64Array => column.filter(Number.isFinite);
  const hits = measured(hit);
  const controls = measured(control);
  if (hits.length === 0) return null;
  return {
    hit: estimateShare(hits),
    chance: mean(measured(chance)),
    control: controls.length === 0 ? null : estimateShare(controls),
  };
}

function layerCurve({ layers, values }: Layered, ran: readonly number[]): LayerCurve {
  const columns = layers.map((_, k) => {
    const column: number[] = [];
    for (const i of ran) {
      const value = values[i * layers.length + k];
      if (Number.isFinite(value)) column.push(value);
    }
    return column;
  });
  return { layers: [...layers], mean: columns.map(mean), median: columns.map(median), sd: columns.map(sd), n: columns.map((c) => c.length) };
}

const median = (values: readonly number[]): number => (values.length === 0 ? NaN : quantile(Float64Array.from(values).sort(), 0.5));

/** The layer of a curve with the largest median; null where nothing was measured. */
export function strongest(curve: PatchedCurve): { layer: number; effect: number; flips: number; n: number } | null {
  let best = -1;
  for (let k = 0; k < curve.layers.length; k++) if (Number.isFinite(curve.median[k]) && (best < 0 || curve.median[k] > curve.median[best])) best = k;
  return best < 0 ? null : { layer: curve.layers[best], effect: curve.median[best], flips: curve.flips[best], n: curve.n[best] };
}
