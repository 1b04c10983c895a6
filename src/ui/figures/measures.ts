/** What the layer curves and the phase strip show, taken from probes. Definitions: docs, "What the lab measures". */
import type { LayerCurvesData, LayerSeries } from '../../charts';
import { band } from '../../probe/curves';
import { layerCosine, norms } from '../../probe/similarity';
import type { Probe, TokenGroup } from '../../types';
import { LANGUAGE_NAMES } from '../words';

export type Measure = 'alignment' | 'retrieval' | 'lens' | 'norms';

export const MEASURES: Record<Measure, { name: string; title: string; y: string; definition: string }> = {
  alignment: {
    name: 'Question alignment',
    title: 'Where the question’s languages meet',
    y: 'cosine to the English question',
    definition:
      'Per layer, the cosine between the mean state of the question’s tokens in one language and in English, same item, same passage. Raw: the mean over items is not removed, so a direction that all states share counts as agreement. The lab’s own measure.',
  },
  retrieval: {
    name: 'Readout–answer similarity',
    title: 'Where the readout turns to the answer',
    y: 'cosine, readout to answer span',
    definition:
      'Per layer, the cosine between the readout’s state and the mean state of the answer span in the passage. Raw, as above. The lab’s own measure.',
  },
  lens: {
    name: 'Gold token’s probability',
    title: 'Where the answer appears',
    y: 'probability',
    definition:
      'Logit lens at the readout: probability of the followed token (the gold answer’s first, where there is one) when the final norm and output head are applied to h[l].',
  },
  norms: {
    name: 'Norm of the states',
    title: 'How the states grow',
    y: 'length of the mean state',
    definition: 'Length of the mean state, in the model’s own units. Residual norms grow with depth, which is why the paths are drawn from unit-length states.',
  },
};

/** One line per language, or all of them as one line with a band. */
export type Spread = 'each' | 'range' | 'quartiles';
export const SPREADS: Record<Spread, string> = { each: 'a line for each language', range: 'mean, lowest to highest', quartiles: 'median and middle half' };

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

/** Many curves as one: the mean within the extremes, or the median within the quartiles; named after how many there are. */
export function banded(curves: ArrayLike<number>[], spread: Exclude<Spread, 'each'>, what: string): Pick<LayerSeries, 'name' | 'values' | 'low' | 'high' | 'bounds'> {
  const b = band(curves);
  return spread === 'range'
    ? { name: `mean of ${curves.length} ${what}`, values: b.mean, low: b.min, high: b.max, bounds: ['lowest', 'highest'] }
    : { name: `median of ${curves.length} ${what}`, values: b.median, low: b.low, high: b.high, bounds: ['lower quartile', 'upper quartile'] };
}
/** What the shade means, to stand after the name of the axis. */
export const shaded = (spread: Spread): string => (spread === 'range' ? ' · shaded: lowest to highest' : spread === 'quartiles' ? ' · shaded: middle half' : '');

const NORM_GROUPS: TokenGroup[] = ['question', 'readout', 'answerSpan', 'context'];
const groupName = (g: TokenGroup): string => (g === 'answerSpan' ? 'answer span' : g);

export function curvesOf(measure: Measure, probes: Probe[], spread: Spread = 'each'): LayerCurvesData {
  const [main] = probes;
  const english = probes.find((p) => languageOf(p) === 'en');
  const named = { layers: main.layers, y: MEASURES[measure].y, ...(measure === 'lens' ? { domain: [0, 1] as [number, number] } : {}) };
  if (measure === 'norms') return { ...named, ...normSeries(probes, spread) };
  const curve = (p: Probe): Float64Array | null => (measure === 'alignment' ? alignment(p, english) : measure === 'retrieval' ? retrieval(p) : lensCurve(p));
  const have = probes.flatMap((p) => {
    const values = curve(p);
    return values ? [{ p, values }] : [];
  });
  const line = ({ p, values }: (typeof have)[number], pinned?: boolean): LayerSeries => ({ name: nameOf(p), values, language: languageOf(p), pinned });
  if (spread === 'each' || have.length < 2)
    return { ...named, series: have.map((c) => line(c, probes.length > 3 ? c.p === main || c.p === english : undefined)) };
  const all = banded(have.map((c) => c.values), spread, 'languages');
  // the asked one stands in the band, so that it can be told how it lies among the others
  return { ...named, y: named.y + shaded(spread), series: [all, ...have.filter((c) => c.p === main).map((c) => line(c))] };
}

function normSeries(probes: Probe[], spread: Spread): Pick<LayerCurvesData, 'series'> & { y?: string } {
  const [main] = probes;
  const series = NORM_GROUPS.flatMap((group): LayerSeries[] => {
    const of = (spread === 'each' ? [main] : probes).flatMap((p) => (p.means[group] ? [norms(p.means[group], p.dim)] : []));
    if (!of.length) return [];
    return [spread === 'each' || of.length < 2 ? { name: groupName(group), values: of[0], group } : { ...banded(of, spread, 'languages'), name: groupName(group), group }];
  });
  return spread === 'each' ? { series } : { series, y: `${MEASURES.norms.y}, ${spread === 'range' ? 'mean' : 'median'} of ${probes.length} languages${shaded(spread)}` };
}
