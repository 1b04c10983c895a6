/** Two models' curves of the same question, side by side and as A − B. */
import type { LayerCurvesData, LayerSeries } from '../../charts';
import { difference } from '../../probe/curves';
import { layerCosine } from '../../probe/similarity';
import type { Probe, TokenGroup } from '../../types';
import { alignment, lensCurve, retrieval } from './measures';

/** One slot: the probe asked for, and the same item asked in English where that has been done. */
export interface Side {
  probe: Probe;
  english: Probe | null;
}

export type Parted = 'lens' | 'retrieval' | 'alignment';
const PARTED: Record<Parted, { name: string; y: string; group: TokenGroup }> = {
  lens: { name: 'gold token’s probability', y: 'probability of the gold token', group: 'readout' },
  retrieval: { name: 'readout–answer similarity', y: 'cosine, readout to answer span', group: 'answerSpan' },
  alignment: { name: 'question alignment', y: 'cosine to the English question', group: 'question' },
};

/** What a measure is called here: where no gold answer is named, the token followed is each model's own answer's first. */
export const parted = (what: Parted, { probe }: Side): (typeof PARTED)[Parted] =>
  what === 'lens' && probe.answer.gold === null ? { ...PARTED.lens, name: 'own answer token’s probability', y: 'probability of the own answer’s first token' } : PARTED[what];

export const curveOf = (what: Parted, { probe, english }: Side): Float64Array | null =>
  what === 'lens' ? lensCurve(probe) : what === 'retrieval' ? retrieval(probe) : alignment(probe, english ?? undefined);

/** A and B in one picture; a side without the measure is left out. */
export function sideBySide(what: Parted, a: Side, b: Side): LayerCurvesData {
  const series = ([['A', a], ['B', b]] as const).flatMap(([slot, side]): LayerSeries[] => {
    const values = curveOf(what, side);
    return values ? [{ name: slot, values, slot, language: side.probe.ask.questionLanguage }] : [];
  });
  const layers = (a.probe.layers.length >= b.probe.layers.length ? a : b).probe.layers;
  return { series, layers, y: parted(what, a).y, ...(what === 'lens' ? { domain: [0, 1] as [number, number] } : {}) };
}

/** A − B by layer, a line per measure that both have; null where the models' layers do not correspond. */
export function differences(a: Side, b: Side): LayerCurvesData | null {
  if (a.probe.layers.length !== b.probe.layers.length) return null;
  const series = (['alignment', 'retrieval', 'lens'] as const).flatMap((what): LayerSeries[] => {
    const [x, y] = [curveOf(what, a), curveOf(what, b)];
    return x && y ? [{ name: parted(what, a).name, group: PARTED[what].group, values: difference(y, x) }] : [];
  });
  return { series, layers: a.probe.layers, y: 'A − B', references: [{ value: 0, text: '' }] };
}

/** Where each measure differs most, in a sentence. */
export function differenceFinding(a: Side, b: Side): string {
  const parts = (['alignment', 'retrieval', 'lens'] as const).flatMap((what) => {
    const [x, y] = [curveOf(what, a), curveOf(what, b)];
    if (!x || !y) return [];
    const d = difference(y, x);
    let at = -1;
    for (let l = 0; l < d.length; l++) if (Number.isFinite(d[l]) && (at < 0 || Math.abs(d[l]) > Math.abs(d[at]))) at = l;
    const say = (v: number): string => v.toPrecision(3).replace('-', '−');
    return at < 0 ? [] : [`${parted(what, a).name} differs most at layer ${a.probe.layers[at]} (A ${say(x[at])}, B ${say(y[at])})`];
  });
  return parts.length ? `Between A and B the ${parts.join('; the ')}.` : 'There is no measure that both models have.';
}

const GROUPS: [TokenGroup, string][] = [
  ['question', 'question'],
  ['readout', 'readout'],
  ['answerSpan', 'answer span'],
];

/** 1 − cosine between A's and B's mean states, by layer and group; null where their states have no common coordinates. */
export function apart(a: Probe, b: Probe): LayerCurvesData | null {
  if (a.dim !== b.dim || a.layers.length !== b.layers.length) return null;
  const series = GROUPS.flatMap(([group, name]): LayerSeries[] => {
    const [x, y] = [a.means[group], b.means[group]];
    return x && y ? [{ name, group, values: layerCosine(x, y, a.dim).map((c) => 1 - c) }] : [];
  });
  return { series, layers: a.layers, y: '1 − cosine between A’s and B’s states' };
}
