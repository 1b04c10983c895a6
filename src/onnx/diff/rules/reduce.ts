/** Reductions, softmax and norms. */
import type { Emitter } from '../emit';
import { NoGradientError, floatAttr, intAttr, intsAttr } from '../ir';
import { axisOf, dtypeOf, type Rule, type RuleContext } from '../rule';

/** Axes of a reduction, an input or (before opset 18) an attribute; all of them when none are named. */
function axesOf(c: RuleContext): number[] {
  const rank = c.xi(0).shape?.length ?? 0;
  const axes = c.node.inputs[1] ? (c.xi(1).value as number[] | null) : intsAttr(c.node, 'axes');
  return (axes ?? Array.from({ length: rank }, (_, i) => i)).map((a) => axisOf(a, rank));
}

/** Spreads the gradient of a sum over what was summed; `by` its share (1/n for a mean). */
function spread(c: RuleContext, mean: boolean): string {
  const { e } = c;
  const shape = c.xi(0).shape;
  const axes = axesOf(c);
  let g = c.g()!;
  if (intAttr(c.node, 'keepdims', 1) === 0) g = e.op('Unsqueeze', [g, e.ints(axes)]);
  if (mean) {
    const n = axes.reduce<number | null>((p, a) => (p !== null && typeof shape?.[a] === 'number' ? p * (shape[a] as number) : null), 1);
    if (n === null) throw new NoGradientError(c.node.op, 'a mean is taken over an axis of unknown size.');
    g = e.scale(g, 1 / n, dtypeOf(c.xi(0)));
  }
  return e.op('Expand', [g, e.op('Shape', [c.x(0)])]);
}

/** ds = p ∘ (g − Σ g∘p). */
const softmax: Rule = (c) => {
  const { e } = c;
  const axis = intAttr(c.node, 'axis', -1);
  const p = c.y();
  const gp = e.mul(c.g()!, p);
  return [e.sub(gp, e.mul(p, e.sum(gp, [axis])))];
};

/**
 * 1/√(mean x² + ε) over the last axis, in float32. Written out: the norm operators could give it as a second output, but the WebGPU
 * provider leaves something else there (ONNX Runtime 1.30).
 */
export function inverseDeviation(e: Emitter, x: string, dtype: number, epsilon: number): string {
  const wide = e.cast(x, dtype, 1);
  const square = e.mean(e.mul(wide, wide), [-1]);
  return e.cast(e.op('Reciprocal', [e.op('Sqrt', [e.add(square, e.scalar(epsilon, 1))])]), 1, dtype);
}

/** y = x·r·w, r = 1/√(mean x² + ε). LRP holds r constant; else −x·r³·mean(g∘w∘x) comes on top. */
const rmsNorm: Rule = (c) => {
  const { e } = c;
  lastAxis(c);
  const x = c.x(0);
  const r = inverseDeviation(e, x, dtypeOf(c.xi(0)), floatAttr(c.node, 'epsilon', 1e-5));
  const gw = c.node.inputs[1] ? e.mul(c.g()!, c.x(1)) : c.g()!;
  const direct = e.mul(gw, r);
  if (c.lrp) return [direct];
  const along = e.mul(e.mean(e.mul(gw, x), [-1]), e.mul(r, e.mul(r, r)));
  return [e.sub(direct, e.mul(x, along))];
};

/** y = (x − µ)·r·w + b. LRP holds r constant and keeps the mean. */
const layerNorm: Rule = (c) => {
  const { e } = c;
  lastAxis(c);
  const x = c.x(0);
  const centred = e.sub(x, e.mean(x, [-1]));
  const r = inverseDeviation(e, centred, dtypeOf(c.xi(0)), floatAttr(c.node, 'epsilon', 1e-5));
  const gw = e.mul(c.g()!, c.x(1));
  const direct = e.sub(gw, e.mean(gw, [-1]));
  if (c.lrp) return [e.mul(direct, r)];
  const hat = e.mul(centred, r);
  return [e.mul(r, e.sub(direct, e.mul(hat, e.mean(e.mul(gw, hat), [-1]))))];
};

function lastAxis(c: RuleContext): void {
  const axis = intAttr(c.node, 'axis', -1);
  const rank = c.xi(0).shape?.length;
  if (axis !== -1 && axis !== (rank ?? 0) - 1) throw new NoGradientError(c.node.op, 'a norm runs over more than the last axis.');
}

export const reduce: Record<string, Rule> = {
  ReduceSum: (c) => [spread(c, false)],
  ReduceMean: (c) => [spread(c, true)],
  Softmax: softmax,
  SimplifiedLayerNormalization: rmsNorm,
  LayerNormalization: layerNorm,
};
