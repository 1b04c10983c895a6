/**
 * Patching as a study takes it, the causal check beside relevance: the same context with another of its questions is the corrupted
 * run, the cell's own question the clean one. A cell keeps what the tables and curves need: effect and flip by group and layer.
 */
import type { Match, SweepResult } from '../probe/patching';
import type { TokenGroup } from '../types';

/** Of one cell. */
export interface PatchingSummary {
  /** The item whose question was asked in the corrupted run. */
  other: string;
  /** The logits compared: of the two gold answers' first tokens, or of A's and the strongest other where both begin alike. */
  contrast: 'answers' | 'runner-up';
  layers: number[];
  groups: PatchedGroup[];
}

export interface PatchedGroup {
  group: TokenGroup;
  /** How groups of unequal length met. */
  match: Match;
  /** Recovered share of the logit difference by layer, to four digits; null where the two runs do not differ. */
  effects: (number | null)[];
  /** The layers at which the patched run chose the clean answer's token and the corrupted run did not. */
  flips: number[];
}

export function summarisePatching(sweep: Pick<SweepResult, 'layers' | 'groups' | 'effects' | 'flips'>, other: string, contrast: PatchingSummary['contrast']): PatchingSummary {
  const n = sweep.layers.length;
  return {
    other,
    contrast,
    layers: [...sweep.layers],
    groups: sweep.groups.flatMap(({ group, match }, g) =>
      group === 'positions'
        ? []
        : [
            {
              group,
              match,
              effects: Array.from(sweep.effects.subarray(g * n, (g + 1) * n), (e) => (Number.isFinite(e) ? Math.round(e * 1e4) / 1e4 : null)),
              flips: sweep.layers.filter((_, k) => sweep.flips[g * n + k] === 1),
            },
          ],
    ),
  };
}
