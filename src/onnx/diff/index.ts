/** Differentiation of a decoder graph, in the page: see differentiate.ts. */
export { differentiate, differentiateWithin, RELEVANCE_OUTPUTS, TARGET_INPUTS } from './differentiate';
export type { Differentiated, DifferentiateOptions, Joined, RuleName } from './differentiate';
export { SWITCH } from './branch';
export { OUTSIDE } from './emit';
export type { Port } from './emit';
export { NoGradientError } from './ir';
