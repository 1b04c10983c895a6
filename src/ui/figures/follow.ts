/** Followed tokens as curves over the layers. */
import { wordText, type LayerCurvesData } from '../../charts';
import { LANGUAGES, type LensCell, type Probe } from '../../types';

export type FollowMeasure = 'p' | 'rank';
export const FOLLOW: Record<FollowMeasure, string> = { p: 'Probability', rank: 'Rank' };

/** `cells` are the readings of one position. Ranks are drawn as −log10, so that the top reading is on top. */
export function followCurves(measure: FollowMeasure, cells: LensCell[], followed: Probe['followed'], layers: number[]): LayerCurvesData {
  const at = new Map(cells.map((c) => [c.layer, new Map(c.followed.map((f) => [f.id, f]))]));
  const value = (layer: number, id: number): number => {
    const f = at.get(layer)?.get(id);
    return f ? (measure === 'p' ? f.p : -Math.log10(f.rank + 1)) : NaN;
  };
  return {
    layers,
    series: followed.map((f, i) => ({ name: `“${wordText(f.text)}” (${f.role})`, values: layers.map((l) => value(l, f.id)), like: LANGUAGES[i % LANGUAGES.length] })),
    ...(measure === 'p' ? { y: 'probability', domain: [0, 1] } : { y: 'rank, 1 is the top', format: (v: number) => `#${Math.round(10 ** -v)}` }),
  };
}
