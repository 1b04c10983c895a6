/** What the layer curves and the phase strip show, taken from probes. Definitions: docs, "What the lab measures". */
import type { LayerCurvesData, LayerSeries } from '../../charts';
import { layerCosine, norms } from '../../probe/similarity';
import type { Probe } from '../../types';
import { LANGUAGE_NAMES } from '../words';

export type Measure = 'alignment' | 'retrieval' | 'lens' | 'norms';

export const MEASURES: Record<Measure, { name: string; title: string; definition: string }> = {
  alignment: {
    name: 'Question alignment',
    title: 'Where the question’s languages meet',
    definition:
      'Per layer, the cosine between the mean state of the question’s tokens in one language and in English, same item, same passage. Raw: the mean over items is not removed, so a direction that all states share counts as agreement. The lab’s own measure.',
  },
  retrieval: {
    name: 'Readout–answer similarity',
    title: 'Where the readout turns to the answer',
    definition:
      'Per layer, the cosine between the readout’s state and the mean state of the answer span in the passage. Raw, as above. The lab’s own measure.',
  },
  lens: {
    name: 'Gold token’s probability',
    title: 'Where the answer appears',
    definition:
      'Logit lens at the readout: probability of the followed token (the gold answer’s first, where there is one) when the final norm and output head are applied to h[l].',
  },
  norms: {
    name: 'Norm of the states',
    title: 'How the states grow',
    definition: 'Length of the mean state, in the model’s own units. Residual norms grow with depth, which is why the paths are drawn from unit-length states.',
  },
};

export const languageOf = (p: Probe): string => p.ask.questionLanguage ?? '';
const nameOf = (p: Probe): string => (p.ask.questionLanguage ? LANGUAGE_NAMES[p.ask.questionLanguage].english : 'your text');

export const alignment = (p: Probe, english: Probe | undefined): Float64Array | null =>
  english && p !== english && p.means.question && english.means.question ? layerCosine(p.means.question, english.means.question, p.dim) : null;
export const retrieval = (p: Probe): Float64Array | null =>
  p.means.readout && p.means.answerSpan ? layerCosine(p.means.readout, p.means.answerSpan, p.dim) : null;

export function lensCurve(p: Probe, follow = 0): Float64Array | null {
  const readout = p.tokens.findIndex((t) => t.group === 'readout');
  const at = new Map(p.lens.filter((c) => c.position === readout).map((c) => [c.layer, c]));
  const values = Float64Array.from(p.layers, (l) => at.get(l)?.followed[follow]?.p ?? NaN);
  return values.some(Number.isFinite) ? values : null;
}

export function curvesOf(measure: Measure, probes: Probe[]): LayerCurvesData {
  const english = probes.find((p) => languageOf(p) === 'en');
  const main = probes[0];
  const series: LayerSeries[] = [];
  const add = (p: Probe, values: ArrayLike<number> | null, extra: Partial<LayerSeries> = {}) => {
    if (values) series.push({ name: nameOf(p), values, language: languageOf(p), pinned: probes.length > 3 ? p === main || p === english : undefined, ...extra });
  };
  for (const p of probes) {
    if (measure === 'alignment') add(p, alignment(p, english));
    else if (measure === 'retrieval') add(p, retrieval(p));
    else if (measure === 'lens') add(p, lensCurve(p));
  }
  if (measure === 'norms')
    for (const group of ['question', 'readout', 'answerSpan', 'context'] as const) {
      const states = main.means[group];
      if (states) series.push({ name: group === 'answerSpan' ? 'answer span' : group, values: norms(states, main.dim), group });
    }
  const y = { alignment: 'cosine to the English question', retrieval: 'cosine, readout to answer span', lens: 'probability', norms: 'length of the mean state' }[measure];
  return { series, layers: main.layers, y, ...(measure === 'lens' ? { domain: [0, 1] as [number, number] } : {}) };
}
