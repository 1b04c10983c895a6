import type { Language } from '../../src/types';

/** Question means of one language: [item][layer][width]. */
export interface Reading {
  language: Language;
  means: number[][][];
}

/** Per layer: share of questions whose nearest English question (cosine) is their own translation; mean over the languages. */
export function alignment(readings: Reading[]): number[] {
  const english = readings.find((r) => r.language === 'en') as Reading;
  const others = readings.filter((r) => r.language !== 'en');
  const unit = (v: number[]): number[] => {
    const norm = Math.hypot(...v) || 1;
    return v.map((x) => x / norm);
  };
  return english.means[0].map((_, layer) => {
    const en = english.means.map((item) => unit(item[layer]));
    const hits = others.map(({ means }) => {
      let right = 0;
      means.forEach((item, i) => {
        const v = unit(item[layer]);
        let best = -1;
        let at = -1;
        en.forEach((e, j) => {
          const cos = e.reduce((sum, x, k) => sum + x * v[k], 0);
          if (cos > best) [best, at] = [cos, j];
        });
        // two items may ask the same question word for word: that one is as near
        if (at === i || en[at].every((x, k) => x === en[i][k])) right++;
      });
      return right / means.length;
    });
    return hits.reduce((a, b) => a + b, 0) / hits.length;
  });
}
