/** Words that several of the mechanism's views need. */
import type { RelevanceRule } from '../../probe/relevance';

export const RULE_NAMES: Record<RelevanceRule, string> = { attnlrp: 'AttnLRP', 'cp-lrp': 'CP-LRP', gradient: 'Gradient × state' };
