/** Words that several of the mechanism's views need. */
import type { Match, PatchGroup } from '../../probe/patching';
import type { RelevanceRule } from '../../probe/relevance';
import { GROUP_NAMES } from '../words';

export const RULE_NAMES: Record<RelevanceRule, string> = { attnlrp: 'AttnLRP', 'cp-lrp': 'CP-LRP', gradient: 'Gradient × state' };

/** How a group of the clean run landed on the asked run's. */
export const MATCH_NAMES: Record<Match, string> = { each: 'token by token', last: 'last token onto last token', mean: 'mean onto every token' };

export const patchedName = (group: PatchGroup): string => (group === 'positions' ? 'named positions' : GROUP_NAMES[group].toLowerCase());
