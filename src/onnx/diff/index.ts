/** Differentiation of a decoder graph, in the page: see differentiate.ts. */
export { differentiate, RELEVANCE_OUTPUTS, TARGET_INPUTS } from './differentiate';
export type { Differentiated, DifferentiateOptions, RuleName } from './differentiate';
export { NoGradientError } from './ir';
