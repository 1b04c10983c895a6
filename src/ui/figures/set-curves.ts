/** The curves of an alignment over an item set. */
import type { LayerCurvesData, LayerSeries } from '../../charts';
import type { SetAlignment, Spread as Bounds } from '../../probe/set-alignment';
import { ALIGNED } from '../../share/view';
import type { Language } from '../../types';
import { english } from '../words';
import { banded, shaded, type Spread } from './measures';

export type How = (typeof ALIGNED)[number];

export const HOW: Record<How, { name: string; y: string; definition: string }> = {
  nearest: {
    name: 'Nearest neighbour, to English',
    y: 'share that finds its translation',
    definition:
      'Per layer, the share of the questions whose nearest English question, by the cosine of the questions’ mean states, is their own translation. A tie is a miss. The dotted line is chance, one in the number of items.',
  },
  back: {
    name: 'Nearest neighbour, from English',
    y: 'share that finds its translation',
    definition: 'As above, the other way round: from each English question to the nearest question in the other language.',
  },
  raw: {
    name: 'Cosine, raw',
    y: 'cosine to the English question',
    definition: 'Per layer, the cosine between a question’s mean state and that of its English wording, mean over the items. Raw: a direction that all states share counts as agreement.',
  },
  centred: {
    name: 'Cosine, centred',
    y: 'centred cosine to the English question',
    definition:
      'As the raw cosine, after the mean over all items of both languages has been removed at each layer: what is left is what tells the questions apart. Needs at least eight items.',
  },
  'answer-raw': {
    name: 'Readout–answer similarity, raw',
    y: 'cosine, readout to answer span',
    definition: 'Per layer, the cosine between the readout’s state and the mean state of the answer span in the item’s own passage, mean over the items. Raw: a direction that all states share counts as agreement.',
  },
  'answer-centred': {
    name: 'Readout–answer similarity, centred',
    y: 'centred cosine, readout to answer span',
    definition:
      'As the raw cosine, after the mean over all readouts has been removed from the readouts, and that over all answer spans from the answer spans: what is left is whether a readout turns to its own answer rather than to any. Needs at least eight items.',
  },
};
/** The measures that a result has: only an item’s own passage holds its answer. */
export const measured = ({ retrieval }: SetAlignment): How[] => ALIGNED.filter((how) => retrieval !== undefined || !how.startsWith('answer'));

/** null where the measure needs more items, or passages of their own. With one language the band is the middle half of its items, where the measure has one. */
export function setCurves(result: SetAlignment, how: How, spread: Spread): LayerCurvesData | null {
  const accuracy = how === 'nearest' || how === 'back';
  const answer = how.startsWith('answer');
  const band = (language: Language, s: Bounds | null): LayerSeries | null =>
    s && { name: english(language), language, values: s.mean, ...(result.languages.length === 1 && !answer ? { low: s.low, high: s.high, bounds: ['lower quartile', 'upper quartile'] as const } : {}) };
  const lines = answer
    ? (result.retrieval ?? []).map((l) => band(l.language, how === 'answer-raw' ? l.raw : l.centred))
    : result.languages.map((l): LayerSeries | null => (accuracy ? { name: english(l.language), language: l.language, values: how === 'nearest' ? l.toEnglish : l.fromEnglish } : band(l.language, how === 'raw' ? l.raw : l.centred)));
  const series = lines.filter((s) => s !== null);
  if (series.length === 0) return null;
  const whole = spread !== 'each' && series.length > 1;
  return {
    layers: result.layers,
    series: whole ? [banded(series.map((s) => s.values), spread, 'languages')] : series,
    y: HOW[how].y + (whole ? shaded(spread) : series[0].low ? ' · shaded: middle half of the items' : ''),
    ...(accuracy ? { domain: [0, 1], references: [{ value: result.chance, text: 'chance' }] } : {}),
  };
}
