/** Words that several of the mechanism's views need. */
import type { Match, PatchGroup } from '../../probe/patching';
import type { NoDepth } from '../../probe/phases';
import type { RelevanceRule, RelevanceTarget } from '../../probe/relevance';
import { GROUP_NAMES } from '../words';

export const RULE_NAMES: Record<RelevanceRule, string> = { attnlrp: 'AttnLRP', 'cp-lrp': 'CP-LRP', gradient: 'Gradient × state' };

/** How a group of the clean run landed on the asked run's. */
export const MATCH_NAMES: Record<Match, string> = { each: 'token by token', last: 'last token onto last token', mean: 'mean onto every token' };

export const patchedName = (group: PatchGroup): string => (group === 'positions' ? 'named positions' : GROUP_NAMES[group].toLowerCase());

/** What is attributed, before it is known which tokens that will be. */
export function targetName(target: RelevanceTarget): string {
  switch (target.kind) {
    case 'first':
      return 'first generated token';
    case 'generated':
      return `generated token ${target.index + 1}`;
    case 'gold':
      return 'gold answer’s first token';
    case 'sum':
      return 'whole answer';
    case 'difference':
      return 'difference between two words';
  }
}

/** And once it is: the very tokens, with their signs. */
export const attributed = (targets: readonly { text: string; weight: number }[]): string => targets.map((t, i) => `${i === 0 ? '' : t.weight < 0 ? ' minus ' : ', '}“${t.text}”`).join('');

/** A depth in words: the number, or why there is none. */
export const depthText = (depth: number | NoDepth): string => (typeof depth === 'number' ? String(depth) : depth === 'absent' ? 'unknown (not in the prompt)' : `unknown (${depth})`);

/** Beside every picture in which they are high: what the readout's and the template's relevance means. */
export const READ_FROM =
  'The readout and the template’s last positions carry much of the relevance in the upper layers: the answer is read from there, and what earlier tokens gave has by then been moved to it. At the last layer only the position read from has any. A high value there says where the answer is put together, not which words it rests on.';
