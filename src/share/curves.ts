/** A record's runs as curves by layer, so that a reader of the file has them without computing: those the page draws, by the same formulas. Pure. */
import { layerCosine, norms } from '../probe/similarity';
import type { Language, Probe, TokenGroup } from '../types';

export interface RecordedCurve {
  name: string;
  layers: number[];
  values: Float64Array;
  language?: Language;
  group?: TokenGroup;
  slot?: 'A' | 'B';
}
interface Run {
  slot: 'A' | 'B';
  probe: Probe;
}

const CURVES = {
  alignment: 'question alignment, raw cosine to the English question',
  retrieval: 'readout–answer similarity, raw cosine',
  norms: 'norm of the mean state',
  likeness: 'cosine, A to B',
} as const;

/** Of each run by itself, of each question beside its English one, and of B beside A. */
export function curvesOf(runs: readonly Run[]): RecordedCurve[] {
  return [...runs.flatMap(ownCurves), ...alignmentCurves(runs), ...likeness(runs)];
}

const about = ({ slot, probe }: Run): Pick<RecordedCurve, 'slot' | 'layers' | 'language'> => ({ layers: probe.layers, slot, ...(probe.ask.questionLanguage ? { language: probe.ask.questionLanguage } : {}) });

function ownCurves(run: Run): RecordedCurve[] {
  const { means, dim } = run.probe;
  const { readout, answerSpan } = means;
  return [
    ...(readout && answerSpan ? [{ ...about(run), name: CURVES.retrieval, group: 'answerSpan' as const, values: layerCosine(readout, answerSpan, dim) }] : []),
    ...(Object.entries(means) as [TokenGroup, Float32Array][]).map(([group, mean]) => ({ ...about(run), name: CURVES.norms, group, values: norms(mean, dim) })),
  ];
}

/** Raw: the mean over items, which one item has not, is not removed. */
function alignmentCurves(runs: readonly Run[]): RecordedCurve[] {
  return runs.flatMap((run) => {
    const english = runs.find((r) => r.slot === run.slot && r.probe.ask.questionLanguage === 'en')?.probe;
    const [own, other] = [run.probe.means.question, english?.means.question];
    if (!english || english === run.probe || !own || !other || !alike(run.probe, english)) return [];
    return [{ ...about(run), name: CURVES.alignment, group: 'question' as const, values: layerCosine(own, other, english.dim) }];
  });
}

/** Where two models part: the cosine of each group's means, where they share layers and width. */
function likeness(runs: readonly Run[]): RecordedCurve[] {
  const [a, b] = (['A', 'B'] as const).map((slot) => runs.find((r) => r.slot === slot)?.probe);
  if (!a || !b || !alike(a, b)) return [];
  return (['question', 'answerSpan', 'readout'] as const).flatMap((group) => {
    const [x, y] = [a.means[group], b.means[group]];
    return x && y ? [{ name: CURVES.likeness, layers: a.layers, values: layerCosine(x, y, a.dim), group }] : [];
  });
}

const alike = (a: Probe, b: Probe): boolean => a.dim === b.dim && a.layers.join() === b.layers.join();

/** What stands between two runs, in long form: slot, model, passage in, question in, layer, measure, of what, value. */
export function besideRows(runs: readonly Run[]): (string | number | null)[][] {
  return [...alignmentCurves(runs), ...likeness(runs)].flatMap(({ slot, name, group, language, layers, values }) => {
    const of = runs.filter((r) => slot === undefined || r.slot === slot).map((r) => r.probe);
    const head = [slot ?? 'A, B', [...new Set(of.map((p) => p.provenance.model))].join(', '), of[0].ask.contextLanguage ?? '', language ?? of[0].ask.questionLanguage ?? ''];
    return layers.map((layer, i) => [...head, layer, name, group ?? '', values[i]]);
  });
}
