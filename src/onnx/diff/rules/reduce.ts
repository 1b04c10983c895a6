/** Reductions, softmax and norms. */
import { NoGradientError, intAttr } from '../ir';
import { axisOf, dtypeOf, type Rule, type RuleContext } from '../rule';

/** Axes of a reduction; all of them when none are named. */
function axesOf(c: RuleContext): number[] {
  const rank = c.xi(0).shape?.length ?? 0;
  const axes = c.node.inputs[1] ? (c.xi(1).value as number[] | null) : null;
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

/** y = x·r·w, r = rsqrt(mean x² + ε). LRP holds r constant; else −x·r³·mean(g∘w∘x) comes on top. */
const rmsNorm: Rule = (c) => {
  const { e } = c;
  lastAxis(c);
  const dtype = dtypeOf(c.xi(0));
  const r = e.cast(c.y(1), 1, dtype);
  const gw = c.node.inputs[1] ? e.mul(c.g()!, c.x(1)) : c.g()!;
  const direct = e.mul(gw, r);
  if (c.lrp) return [direct];
  const x = c.x(0);
  const along = e.mul(e.mean(e.mul(gw, x), [-1]), e.mul(r, e.mul(r, r)));
  return [e.sub(direct, e.mul(x, along))];
};

/** y = (x − µ)·r·w + b. LRP holds r constant and keeps the mean. */
const layerNorm: Rule = (c) => {
  const { e } = c;
  lastAxis(c);
  const dtype = dtypeOf(c.xi(0));
  const r = e.cast(c.y(2), 1, dtype);
  const gw = e.mul(c.g()!, c.x(1));
  const centred = e.sub(gw, e.mean(gw, [-1]));
  if (c.lrp) return [e.mul(centred, r)];
  const hat = e.mul(e.sub(c.x(0), e.cast(c.y(1), 1, dtype)), r);
  return [e.mul(r, e.sub(centred, e.mul(hat, e.mean(e.mul(gw, hat), [-1]))))];
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
