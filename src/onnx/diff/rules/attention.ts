/**
 * Attention in one node. The forward keeps the runtime's fused kernel; the backward rebuilds the probabilities of this one layer:
 *
 *   S = q·kᵀ·scale (+ softcap), P = softmax(S + mask), O = P·v
 *   dv = Pᵀ·dO,  dP = dO·vᵀ,  dS = P∘(dP − Σ P∘dP),  dq = dS·k·scale,  dk = dSᵀ·q·scale
 *
 * AttnLRP halves what goes into v and quarters what goes into q and k (½ for A·V, ½ again for Q·Kᵀ); CP-LRP holds q and k constant.
 * Heads that share a key are stacked along the query axis, [kv heads, group × T, width]: no key is repeated and the sum over the
 * group happens inside the product. Only small tensors are ever transposed, never the T × T ones.
 */
import { MS, NoGradientError, floatAttr, intAttr } from '../ir';
import { dtypeOf, type Rule, type RuleContext } from '../rule';
import { inverseDeviation } from './reduce';

interface Layout {
  heads: number;
  kvHeads: number;
  width: number;
  dtype: number;
}

/** [1, T, heads·width] → [heads, T, width]. */
function split(c: RuleContext, x: string, heads: number, width: number): string {
  return c.e.reshape(c.e.transpose(c.e.reshape(x, [1, -1, heads, width]), [0, 2, 1, 3]), [heads, -1, width]);
}
/** [1, T, heads·width] → [heads, width, T]. */
function splitTransposed(c: RuleContext, x: string, heads: number, width: number): string {
  return c.e.reshape(c.e.transpose(c.e.reshape(x, [1, -1, heads, width]), [0, 2, 3, 1]), [heads, width, -1]);
}
/** [.., T, width] over `heads` → [1, T, heads·width]. */
function merge(c: RuleContext, x: string, heads: number, width: number): string {
  return c.e.reshape(c.e.transpose(c.e.reshape(x, [1, heads, -1, width]), [0, 2, 1, 3]), [1, -1, heads * width]);
}
/** [heads, width, T] → [1, T, heads·width]. */
function mergeTransposed(c: RuleContext, x: string, heads: number, width: number): string {
  return c.e.reshape(c.e.transpose(c.e.reshape(x, [1, heads, width, -1]), [0, 3, 1, 2]), [1, -1, heads * width]);
}

/** 0 where position i may read position j (j ≤ i, and i − j < window), very negative elsewhere; [T, T], shared by all layers. */
function causalMask(c: RuleContext, window: number, dtype: number): string {
  return c.shared(`mask.${window}.${dtype}`, () => {
    const { e } = c;
    const count = e.cast(c.tokens(), 7, 1);
    const at = e.op('Range', [e.scalar(0, 1), count, e.scalar(1, 1)]);
    const distance = e.sub(e.op('Unsqueeze', [at, e.ints([1])]), e.op('Unsqueeze', [at, e.ints([0])]));
    let allowed = e.op('GreaterOrEqual', [distance, e.scalar(0, 1)]);
    if (window > 0) allowed = e.op('And', [allowed, e.op('Less', [distance, e.scalar(window, 1)])]);
    return e.op('Where', [allowed, e.scalar(0, dtype), e.scalar(dtype === 1 ? -1e30 : -65504, dtype)]);
  });
}

/** int64 [1, T]: 0 … T−1. */
function positions(c: RuleContext): string {
  return c.shared('positions', () => {
    const { e } = c;
    return e.op('Unsqueeze', [e.op('Range', [e.ints([0], true), c.tokens(), e.ints([1], true)]), e.ints([0])]);
  });
}

function rotate(c: RuleContext, x: string, heads: number, width: number, back: boolean): string {
  const { node, e } = c;
  const [cos, sin] = [node.inputs[7], node.inputs[8]];
  const rotary = (c.xi(7).shape?.[1] as number | null) ?? width / 2;
  const attributes: Record<string, { int: number }> = { interleaved: { int: intAttr(node, 'rotary_interleaved', 0) }, num_heads: { int: heads } };
  if (2 * rotary !== width) attributes.rotary_embedding_dim = { int: 2 * rotary };
  const inverse = back ? c.shared(`neg.${sin}`, () => e.neg(c.x(8))) : c.x(8);
  void cos;
  return e.op('RotaryEmbedding', [x, node.inputs[9] ? c.x(9) : positions(c), c.x(7), inverse], attributes, MS);
}

/** Probabilities-free core: gradients of q, k, v (each [1, T, heads·width], already rotated) from dO. */
function attend(c: RuleContext, at: Layout, q: string, k: string, v: string, mask: string, wantScores: boolean, wantValue: boolean): [string | null, string | null, string | null] {
  const { e } = c;
  const { heads, kvHeads, width, dtype } = at;
  const scale = floatAttr(c.node, 'scale', 0) || 1 / Math.sqrt(width);
  const softcap = floatAttr(c.node, 'softcap', 0);
  const stacked = (x: string): string => e.reshape(x, [kvHeads, -1, width]);

  const qs = stacked(e.scale(split(c, q, heads, width), scale, dtype));
  const raw = e.reshape(e.matmul(qs, splitTransposed(c, k, kvHeads, width)), [heads, -1, 0]);
  const u = softcap > 0 ? e.scale(raw, 1 / softcap, dtype) : '';
  const tanh = softcap > 0 ? e.op('Tanh', [u]) : '';
  const scores = softcap > 0 ? e.scale(tanh, softcap, dtype) : raw;
  const p = e.reshape(e.softmax(e.add(scores, mask)), [kvHeads, -1, 0]);

  const dO = stacked(split(c, c.g()!, heads, width));
  let dv: string | null = null;
  if (wantValue) {
    const dvT = e.matmul(e.transpose(dO, [0, 2, 1]), p);
    dv = e.scale(mergeTransposed(c, dvT, kvHeads, width), c.lrp && !c.frozenScores ? 0.5 : 1, dtype);
  }
  if (!wantScores) return [null, null, dv];

  const pdp = e.mul(p, e.matmul(dO, splitTransposed(c, v, kvHeads, width)));
  let ds = e.sub(pdp, e.mul(p, e.sum(pdp, [-1])));
  if (softcap > 0) {
    // Under LRP the cap is an activation like any other: tanh(u)/u in place of 1 − tanh².
    const tiny = e.op('Less', [e.op('Abs', [u]), e.scalar(1e-4, dtype)]);
    const one = e.scalar(1, dtype);
    const slope = c.lrp ? e.op('Where', [tiny, one, e.div(tanh, e.op('Where', [tiny, one, u]))]) : e.sub(one, e.mul(tanh, tanh));
    ds = e.mul(ds, e.reshape(slope, [kvHeads, -1, 0]));
  }
  const share = c.lrp ? 0.25 : 1;
  const dq = merge(c, e.scale(e.matmul(ds, split(c, k, kvHeads, width)), scale * share, dtype), heads, width);
  const dkT = e.matmul(e.transpose(qs, [0, 2, 1]), ds);
  const dk = e.scale(mergeTransposed(c, dkT, kvHeads, width), share, dtype);
  return [dq, dk, dv];
}

const refuse = (c: RuleContext, why: string): never => {
  throw new NoGradientError(c.node.op, `its attention (${c.node.op}) ${why}, and there is no rule for that.`);
};

/** RMSNorm of each head, as the fused operator applies it before the rotation: x [1, T, heads·width]. */
function headNorm(c: RuleContext, x: string, weight: number, at: Layout, heads: number): { y: string; back: (g: string) => string } {
  const { e } = c;
  const shape = [1, -1, heads, at.width];
  const x4 = e.reshape(x, shape);
  const epsilon = floatAttr(c.node, 'qk_norm_epsilon', 1e-6);
  const y = e.op('SimplifiedLayerNormalization', [x4, c.x(weight)], { axis: { int: -1 }, epsilon: { float: epsilon }, stash_type: { int: 1 } });
  const back = (g: string): string => {
    const gw = e.mul(e.reshape(g, shape), c.x(weight));
    const inverse = inverseDeviation(e, x4, at.dtype, epsilon);
    const direct = e.mul(gw, inverse);
    const flat = [1, -1, heads * at.width];
    if (c.lrp) return e.reshape(direct, flat);
    const along = e.mul(e.mean(e.mul(gw, x4), [-1]), e.mul(inverse, e.mul(inverse, inverse)));
    return e.reshape(e.sub(direct, e.mul(x4, along)), flat);
  };
  return { y: e.reshape(y, [1, -1, heads * at.width]), back };
}

const groupQuery: Rule = (c) => {
  const { e, node } = c;
  const heads = intAttr(node, 'num_heads', 0);
  const kvHeads = intAttr(node, 'kv_num_heads', 0);
  const packed = !node.inputs[1];
  const last = c.xi(0).shape?.at(-1);
  if (typeof last !== 'number' || heads < 1 || kvHeads < 1) return refuse(c, 'has a width that could not be found out');
  for (const [i, what] of [[10, 'adds a bias to the scores'], [11, 'has a sink'], [12, 'keeps a quantised cache'], [13, 'keeps a quantised cache']] as const) {
    if (node.inputs[i]) refuse(c, what);
  }
  if (intAttr(node, 'smooth_softmax', 0) === 1) refuse(c, 'smooths its softmax');
  if (intAttr(node, 'causal', 1) === 0) refuse(c, 'is not causal');
  const width = packed ? last / (heads + 2 * kvHeads) : last / heads;
  const at: Layout = { heads, kvHeads, width, dtype: dtypeOf(c.xi(0)) };
  const sizes = [heads * width, kvHeads * width, kvHeads * width];
  let [q, k, v] = packed ? e.ops('Split', [c.x(0), e.ints(sizes)], 3, { axis: { int: -1 } }) : [c.x(0), c.x(1), c.x(2)];

  const normed = Boolean(node.inputs[14]);
  const qNorm = normed ? headNorm(c, q, 14, at, heads) : null;
  const kNorm = normed ? headNorm(c, k, 15, at, kvHeads) : null;
  if (qNorm && kNorm) [q, k] = [qNorm.y, kNorm.y];
  const rotary = intAttr(node, 'do_rotary', 0) === 1;
  if (rotary) [q, k] = [rotate(c, q, heads, width, false), rotate(c, k, kvHeads, width, false)];

  const window = intAttr(node, 'local_window_size', -1);
  const wantScores = !c.frozenScores && (packed || c.active(0) || c.active(1));
  let [dq, dk, dv] = attend(c, at, q, k, v, causalMask(c, window, at.dtype), wantScores, packed || c.active(2));
  if (rotary && dq && dk) [dq, dk] = [rotate(c, dq, heads, width, true), rotate(c, dk, kvHeads, width, true)];
  if (qNorm && kNorm && dq && dk) [dq, dk] = [qNorm.back(dq), kNorm.back(dk)];
  if (!packed) return [dq, dk, dv];
  const zero = (x: string): string => e.mul(x, e.scalar(0, at.dtype));
  if (!dq || !dk) [dq, dk] = [zero(q), zero(k)];
  return [e.op('Concat', [dq, dk, dv!], { axis: { int: -1 } })];
};

/** As many keys as queries; the mask is an input [1, 1 or heads, T, T], or causal, or none. Caches are fed empty and add nothing. */
const multiHead: Rule = (c) => {
  const { e, node } = c;
  const heads = intAttr(node, 'num_heads', 0);
  const last = c.xi(0).shape?.at(-1);
  if (c.xi(0).shape?.length !== 3 || !node.inputs[1] || !node.inputs[2] || c.xi(1).shape?.length !== 3) return refuse(c, 'has its query, key and value packed');
  if (typeof last !== 'number' || heads < 1) return refuse(c, 'has a width that could not be found out');
  if (node.inputs[3]) refuse(c, 'adds biases');
  if (node.inputs[4]) refuse(c, 'has a padding mask');
  const at: Layout = { heads, kvHeads: heads, width: last / heads, dtype: dtypeOf(c.xi(0)) };
  let mask = e.scalar(0, at.dtype);
  if (intAttr(node, 'unidirectional', 0) === 1) mask = causalMask(c, -1, at.dtype);
  if (node.inputs[5]) mask = e.add(mask, e.op('Squeeze', [c.x(5), e.ints([0])]));
  return attend(c, at, c.x(0), c.x(1), c.x(2), mask, !c.frozenScores && (c.active(0) || c.active(1)), c.active(2));
};

/** Rotations are orthogonal: the adjoint turns the other way. */
const rotary: Rule = (c) => {
  const { e, node } = c;
  const sin = node.inputs[3];
  const inverse = c.shared(`neg.${sin}`, () => e.neg(c.x(3)));
  const copied = ['interleaved', 'num_heads', 'rotary_embedding_dim'].map((name) => [name, { int: intAttr(node, name, 0) }] as const);
  const attributes = Object.fromEntries(copied);
  const g = e.op('RotaryEmbedding', [c.g()!, c.x(1), c.x(2), inverse], attributes, MS);
  return [e.scale(g, floatAttr(node, 'scale', 1), dtypeOf(c.xi(0)))];
};

export const attention: Record<string, Rule> = { GroupQueryAttention: groupQuery, MultiHeadAttention: multiHead, RotaryEmbedding: rotary };
