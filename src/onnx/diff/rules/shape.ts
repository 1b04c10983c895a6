/** Operators that only move numbers: their adjoint moves them back. */
import { intAttr, intsAttr } from '../ir';
import { axisOf, dtypeOf, reshapeLike, unbroadcast, type Rule, type RuleContext } from '../rule';
import type { Dim } from '../shapes';

const back: Rule = (c) => [reshapeLike(c, c.g()!, 0)];

const transpose: Rule = (c) => {
  const rank = c.xi(0).shape?.length ?? 0;
  const perm = intsAttr(c.node, 'perm') ?? Array.from({ length: rank }, (_, i) => rank - 1 - i);
  const inverse = perm.map(() => 0);
  perm.forEach((p, i) => (inverse[p] = i));
  return [c.e.transpose(c.g()!, inverse)];
};

const concat: Rule = (c) => {
  const { e, node } = c;
  const rank = c.yi().shape?.length ?? 0;
  const axis = axisOf(intAttr(node, 'axis', 0), rank);
  const sizes = node.inputs.map((_, i) => c.xi(i).shape?.[axis] ?? null);
  // A cache fed empty adds nothing: the whole gradient belongs to the other operand.
  const filled = sizes.map((s, i) => (s === 0 ? -1 : i)).filter((i) => i >= 0);
  if (filled.length === 1) return node.inputs.map((_, i) => (i === filled[0] && c.active(i) ? c.g() : null));
  if (sizes.some((s) => typeof s !== 'number')) throw new Error('Concat along an axis of unknown size');
  const parts = e.ops('Split', [c.g()!, e.ints(sizes as number[])], sizes.length, { axis: { int: axis } });
  return parts.map((part, i) => (c.active(i) ? part : null));
};

const split: Rule = (c) => {
  const { e, node } = c;
  const rank = c.xi(0).shape?.length ?? 0;
  const parts = node.outputs.map((_, i) => c.g(i) ?? e.mul(c.y(i), e.scalar(0, dtypeOf(c.xi(0)))));
  return [e.op('Concat', parts, { axis: { int: axisOf(intAttr(node, 'axis', 0), rank) } })];
};

/** The gradient of a slice is zero outside it, and between the places that a step larger than 1 picks. */
const slice: Rule = (c) => {
  const { e } = c;
  const shape = c.xi(0).shape;
  const [starts, ends] = [c.xi(1).value, c.xi(2).value];
  if (!shape || !starts || !ends) throw new Error('Slice with bounds computed from data');
  const axes = (c.xi(3)?.value as number[] | undefined) ?? starts.map((_, i) => i);
  const steps = c.node.inputs[4] ? c.xi(4).value : starts.map(() => 1);
  if (!steps || steps.some((step) => typeof step !== 'number' || step < 1)) throw new Error('Slice with steps backwards or computed from data');
  const before = shape.map(() => 0);
  const after = shape.map(() => 0);
  let g = c.g()!;
  let reached = c.yi().shape ?? [];
  axes.forEach((a, i) => {
    const axis = axisOf(a, shape.length);
    const size = shape[axis];
    const step = steps[i] as number;
    if (step === 1 && c.yi().shape?.[axis] === size && size !== null) return;
    const [start, end] = [starts[i], ends[i]];
    if (typeof size !== 'number' || typeof start !== 'number' || typeof end !== 'number') throw new Error('Slice along an axis of unknown size');
    const clamp = (v: number): number => Math.min(size, Math.max(0, v < 0 ? v + size : v));
    const count = Math.max(0, Math.ceil((clamp(end) - clamp(start)) / step));
    const span = count > 0 ? (count - 1) * step + 1 : 0;
    if (span > count) {
      g = spaced(c, g, reached, axis, step);
      reached = reached.map((d, k) => (k === axis ? span : d));
    }
    before[axis] = clamp(start);
    after[axis] = size - clamp(start) - span;
  });
  if ([...before, ...after].every((n) => n === 0)) return [g];
  return [e.op('Pad', [g, e.ints([...before, ...after]), e.scalar(0, dtypeOf(c.xi(0)))])];
};

/** g with step − 1 zeros between its places along an axis: every place gets a row of its own, filled up, and the last one's filling is cut off. */
function spaced(c: RuleContext, g: string, shape: Dim[], axis: number, step: number): string {
  const { e } = c;
  const count = shape[axis];
  if (typeof count !== 'number' || shape.filter((d) => typeof d !== 'number').length > 1) throw new Error('Slice with steps of a tensor of unknown shape');
  const rows = e.op('Unsqueeze', [g, e.ints([axis + 1])]);
  const none = Array<number>(shape.length + 1).fill(0);
  const filled = e.op('Pad', [rows, e.ints([...none, ...none.map((_, k) => (k === axis + 1 ? step - 1 : 0))]), e.scalar(0, dtypeOf(c.xi(0)))]);
  const flat = e.reshape(filled, shape.map((d, k) => (k === axis ? count * step : typeof d === 'number' ? d : -1)));
  return e.op('Slice', [flat, e.ints([0]), e.ints([(count - 1) * step + 1]), e.ints([axis])]);
}

/** Gather of one constant place along an axis of known size: a slice whose axis may be dropped. */
const gather: Rule = (c: RuleContext) => {
  const shape = c.xi(0).shape;
  const index = c.xi(1).value;
  const axis = axisOf(intAttr(c.node, 'axis', 0), shape?.length ?? 0);
  const size = shape?.[axis];
  if (!shape || !index || index.length !== 1 || typeof index[0] !== 'number' || typeof size !== 'number') throw new Error('Gather at places computed from data');
  const at = axisOf(index[0], size);
  const g = c.xi(1).shape?.length === 0 ? c.e.op('Unsqueeze', [c.g()!, c.e.ints([axis])]) : c.g()!;
  const before = shape.map((_, i) => (i === axis ? at : 0));
  const after = shape.map((_, i) => (i === axis ? size - at - 1 : 0));
  return [c.e.op('Pad', [g, c.e.ints([...before, ...after]), c.e.scalar(0, dtypeOf(c.xi(0)))])];
};

export const shapeRules: Record<string, Rule> = {
  Reshape: back,
  Squeeze: back,
  Unsqueeze: back,
  Flatten: back,
  Transpose: transpose,
  Expand: (c) => [unbroadcast(c, c.g()!, c.xi(0), c.yi())],
  Concat: concat,
  Split: split,
  Slice: slice,
  Gather: gather,
};
