/** Products with weights. Weights get no gradient, so the backward of a product is one product. */
import { MS, NoGradientError, intAttr } from '../ir';
import { commonShape, dtypeOf, reshapeLike, unbroadcast, type Rule, type RuleContext } from '../rule';

/** g [.., N] · W [K, N]ᵀ. Gemm reads W transposed in place; a Transpose would make a copy of every weight, kept for good. */
function timesTransposed(c: RuleContext, g: string, weight: string, n: number): string {
  return reshapeLike(c, c.e.op('Gemm', [c.e.reshape(g, [-1, n]), weight], { transB: { int: 1 } }), 0);
}

/** ∂/∂A of A·B is g·Bᵀ, ∂/∂B is Aᵀ·g (sums over axes along which an operand was broadcast). */
const matmul: Rule = (c) => {
  const { e } = c;
  const [a, b] = [c.xi(0).shape, c.xi(1).shape];
  if (!a || !b || a.length < 2 || b.length < 2) throw new NoGradientError('MatMul', 'the shapes of a MatMul could not be found out.');
  const swap = (rank: number): number[] => Array.from({ length: rank }, (_, i) => (i === rank - 1 ? rank - 2 : i === rank - 2 ? rank - 1 : i));
  const out: (string | null)[] = [null, null];
  if (c.active(0)) {
    const n = b[b.length - 1];
    if (!c.active(1) && b.length === 2 && typeof n === 'number') out[0] = timesTransposed(c, c.g()!, c.x(1), n);
    else out[0] = unbroadcastProduct(c, e.matmul(c.g()!, e.transpose(c.x(1), swap(b.length))), 0);
  }
  if (c.active(1)) out[1] = unbroadcastProduct(c, e.matmul(e.transpose(c.x(0), swap(a.length)), c.g()!), 1);
  return out;
};

/** Only the batch axes of a product broadcast; the two matrix axes are already right. */
function unbroadcastProduct(c: RuleContext, g: string, i: number): string {
  const own = c.xi(i).shape!;
  const batch = commonShape({ dtype: 0, shape: c.xi(0).shape!.slice(0, -2) }, { dtype: 0, shape: c.xi(1).shape!.slice(0, -2) });
  return unbroadcast(c, g, c.xi(i), { dtype: 0, shape: [...batch.shape!, ...own.slice(-2)] });
}

const gemm: Rule = (c) => {
  const { node, e } = c;
  if (c.active(1) || intAttr(node, 'transA', 0) === 1) throw new NoGradientError('Gemm', 'a Gemm multiplies in a way for which there is no rule.');
  const alpha = node.origin?.attributes.get('alpha')?.f ?? 1;
  const transB = intAttr(node, 'transB', 0);
  const g = e.scale(c.g()!, alpha, dtypeOf(c.xi(0)));
  return [c.active(0) ? e.op('Gemm', [g, c.x(1)], { transB: { int: 1 - transB } }) : null];
};

/**
 * Y = X·Wᵀ with W [N, K] in 4- or 8-bit blocks along K. A gather of all rows unpacks the very bytes that the forward's product reads
 * (nibbles, scales and zero points lie alike in both operators), for this one product: the scales wait for the gradient from above, so
 * that one dense weight at a time is alive.
 */
const matmulNBits: Rule = (c) => [c.e.matmul(c.g()!, unpacked(c))];

function unpacked(c: RuleContext): string {
  const { e, node } = c;
  const [n, k, block, bits] = [intAttr(node, 'N', 0), intAttr(node, 'K', 0), intAttr(node, 'block_size', 32), intAttr(node, 'bits', 4)];
  const blocks = k / block;
  if (!e.tape.constants.has(node.inputs[1]) || (bits !== 4 && bits !== 8) || !Number.isInteger(blocks) || node.inputs[4]) {
    throw new NoGradientError('MatMulNBits', `a quantised product of a kind for which there is no rule (${bits} bits, blocks of ${block}).`);
  }
  const all = c.shared(`rows.${n}`, () => e.op('Range', [e.ints([0], true), e.ints([n], true), e.ints([1], true)]));
  // A shape known only at run time: with a constant one the runtime would keep a reshaped copy of the weight.
  const packed = (k * bits) / 8;
  const shape = c.shared(`shape.${n}.${packed}`, () => e.op('Add', [e.ints([n, packed]), e.op('Mul', [c.tokens(), e.ints([0])])]));
  let scales = asRows(c, 2, [n, blocks]);
  if (c.pulse) scales = e.add(scales, e.cast(c.pulse, 1, dtypeOf(c.xi(0))));
  const zeros = node.inputs[3] ? [asRows(c, 3, [n, Math.ceil((blocks * bits) / 8)])] : [];
  const attributes = { bits: { int: bits }, block_size: { int: block }, gather_axis: { int: 0 }, quantize_axis: { int: 1 } };
  return e.op('GatherBlockQuantized', [e.op('Reshape', [c.x(1), shape]), all, scales, ...zeros], attributes, MS);
}

/** A small constant under a shape that the file need not give it. */
function asRows(c: RuleContext, i: number, shape: number[]): string {
  return c.xi(i).shape?.join() === shape.join() ? c.x(i) : c.e.reshape(c.x(i), shape);
}

export const linear: Record<string, Rule> = { MatMul: matmul, Gemm: gemm, MatMulNBits: matmulNBits };
