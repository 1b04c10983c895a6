/** What a vector–Jacobian rule sees of its node, and helpers that every family of rules uses. */
import type { Emitter } from './emit';
import { I64, isFloat, type GNode } from './ir';
import { broadcast, type Dim, type Info } from './shapes';

export type RuleName = 'gradient' | 'attnlrp' | 'cp-lrp';

export interface RuleContext {
  e: Emitter;
  node: GNode;
  /** The rule set's changes to this node's ordinary rule (see lrp.ts). */
  lrp: boolean;
  /** Query and key are constants (CP-LRP), for attention in one node. */
  frozenScores: boolean;
  /** Value of an input, recomputed here; never asked for unless the rule needs it. */
  x(i: number): string;
  y(i?: number): string;
  /** Cotangent of an output; null when nothing reads it. */
  g(i?: number): string | null;
  /** Whether anyone wants the gradient of this input. */
  active(i: number): boolean;
  xi(i: number): Info;
  yi(i?: number): Info;
  /** A one-element float32 tensor that is 0 and is known only once the gradient from above is: what waits for it runs late. */
  pulse: string | null;
  /** Tensors every layer shares (masks, rotations), made once. */
  shared(key: string, make: () => string): string;
  /** int64 scalar: number of tokens. */
  tokens(): string;
}

/** Gradient of each input, null or absent where there is none. */
export type Rule = (c: RuleContext) => (string | null)[];

export const shapeOf = (info: Info): Dim[] => info.shape ?? [];

/** Brings a gradient to the shape of input `i`. With at most one unknown dimension the target is a constant. */
export function reshapeLike(c: RuleContext, g: string, i: number): string {
  const shape = c.xi(i).shape;
  if (shape && shape.filter((d) => typeof d !== 'number').length <= 1) {
    return c.e.reshape(g, shape.map((d) => (typeof d === 'number' ? d : -1)));
  }
  return c.e.op('Reshape', [g, c.e.op('Shape', [c.x(i)])]);
}

/** Sums a gradient over the axes along which the input was broadcast. */
export function unbroadcast(c: RuleContext, g: string, input: Info, output: Info): string {
  const from = output.shape;
  const to = input.shape;
  if (!from || !to) return g;
  const lead = from.length - to.length;
  const axes: number[] = [];
  for (let k = 0; k < from.length; k++) {
    const target = k < lead ? 1 : to[k - lead];
    if (target === 1 && from[k] !== 1) axes.push(k);
  }
  let out = axes.length > 0 ? c.e.sum(g, axes) : g;
  if (lead > 0) out = c.e.op('Squeeze', [out, c.e.ints(Array.from({ length: lead }, (_, k) => k))]);
  return out;
}

/** What a gradient of a broadcast operation has before it is summed: the common shape of both operands. */
export const commonShape = (a: Info, b: Info): Info => ({ dtype: a.dtype, shape: broadcast(a.shape, b.shape) });

export const dtypeOf = (info: Info): number => (isFloat(info.dtype) ? info.dtype : 1);
export const axisOf = (axis: number, rank: number): number => (axis < 0 ? axis + rank : axis);
export const INT = I64;
