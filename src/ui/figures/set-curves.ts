/** The curves of an alignment over an item set. */
import type { LayerCurvesData, LayerSeries } from '../../charts';
import type { SetAlignment } from '../../lab-alignment';
import { english } from '../words';
import { banded, shaded, type Spread } from './measures';

export type How = 'nearest' | 'back' | 'raw' | 'centred';

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
};

/** null where the measure needs more items. With one language the band is the middle half of its items, where the measure has one. */
export function setCurves(result: SetAlignment, how: How, spread: Spread): LayerCurvesData | null {
  const accuracy = how === 'nearest' || how === 'back';
  const lines = result.languages.map((l): LayerSeries | null => {
    const name = english(l.language);
    if (accuracy) return { name, language: l.language, values: how === 'nearest' ? l.toEnglish : l.fromEnglish };
    const s = how === 'raw' ? l.raw : l.centred;
    return s && { name, language: l.language, values: s.mean, ...(result.languages.length === 1 ? { low: s.low, high: s.high, bounds: ['lower quartile', 'upper quartile'] as const } : {}) };
  });
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
