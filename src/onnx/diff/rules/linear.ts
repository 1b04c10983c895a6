/** Products with weights. Weights get no gradient, so the backward of a product is one product. */
import { NoGradientError, intAttr, type Tape } from '../ir';
import { UINT4, UINT8, type Emitter } from '../emit';
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
 * Y = X·Wᵀ with W [N, K] in 4- or 8-bit blocks along K. The packed bytes, read as a uint4 tensor [N, K], are unpacked for this one
 * product; the scales wait for the gradient from above, so that one dense weight at a time is alive.
 */
const matmulNBits: Rule = (c) => [c.e.matmul(c.g()!, dequantized(c.e, c.node.inputs, c, c.pulse))];

function dequantized(e: Emitter, inputs: string[], c: RuleContext, pulse: string | null): string {
  const { node } = c;
  const [n, k, block, bits] = [intAttr(node, 'N', 0), intAttr(node, 'K', 0), intAttr(node, 'block_size', 32), intAttr(node, 'bits', 4)];
  const weight = constant(e.tape, inputs[1]);
  const blocks = k / block;
  if (!weight || (bits !== 4 && bits !== 8) || !Number.isInteger(blocks) || inputs[4]) {
    throw new NoGradientError('MatMulNBits', `a quantised product of a kind for which there is no rule (${bits} bits, blocks of ${block}).`);
  }
  const type = bits === 4 ? UINT4 : UINT8;
  const view = e.view(weight, type, [n, k]);
  const dtype = dtypeOf(c.xi(0));
  let scales = e.reshape(inputs[2], [n, blocks]);
  if (pulse) scales = e.add(scales, e.cast(pulse, 1, dtype));
  const zero = zeroPoints(e, inputs[3] ?? '', n, blocks, bits);
  return e.op('DequantizeLinear', [view, scales, zero], { axis: { int: 1 }, block_size: { int: block } });
}

function constant(tape: Tape, name: string): ReturnType<Tape['constants']['get']> {
  const tensor = tape.constants.get(name);
  return tensor && tensor.data.kind !== 'typed' ? tensor : undefined;
}

/** Zero points of the file, or the implicit middle (8 or 128; the extra file holds 0x88 in every byte, so 8-bit ones are made here). */
function zeroPoints(e: Emitter, name: string, n: number, blocks: number, bits: number): string {
  if (name === '') {
    if (bits === 4) return e.filled(UINT4, [n, blocks], Math.ceil((n * blocks) / 2));
    return e.op('Cast', [e.op('Expand', [e.scalar(128, 1), e.ints([n, blocks])])], { to: { int: UINT8 } });
  }
  const tensor = constant(e.tape, name);
  if (!tensor || tensor.dataType !== UINT8) throw new NoGradientError('MatMulNBits', 'its zero points are not whole numbers.');
  if (bits === 8) return e.view(tensor, UINT8, [n, blocks]);
  if (blocks % 2 === 1) throw new NoGradientError('MatMulNBits', 'its zero points are padded to whole bytes.');
  return e.view(tensor, UINT4, [n, blocks]);
}

export const linear: Record<string, Rule> = { MatMul: matmul, Gemm: gemm, MatMulNBits: matmulNBits };
