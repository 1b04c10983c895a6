/**
 * Shapes and element types of every tensor, as far as they can be known: a batch of one, no past, T tokens.
 * Small integer tensors are followed by value, because TorchScript exports compute the shapes of their Reshapes in the graph.
 */
import { BOOL, F32, I64, constantValues, intAttr, intsAttr, isFloat, type GNode, type Tape } from './ir';

/** A number, 'T' (the number of tokens), or null: not known. */
export type Dim = number | 'T' | null;

export interface Info {
  /** 0 = not known. */
  dtype: number;
  shape: Dim[] | null;
  /** The numbers of a small integer tensor. */
  value?: Dim[] | null;
}

const UNKNOWN: Info = { dtype: 0, shape: null };

export function inferShapes(tape: Tape): Map<string, Info> {
  const infos = new Map<string, Info>();
  for (const input of tape.model.graph.inputs) {
    if (tape.constants.has(input.name)) continue;
    const past = /past/.test(input.name);
    const shape = (input.shape ?? []).map((d, i): Dim => {
      if (typeof d === 'number') return d;
      if (/batch/.test(d ?? '') || (i === 0 && input.shape!.length > 1)) return 1;
      // Caches are fed empty: their one growing axis is the symbolic one before the head width.
      if (past) return i === input.shape!.length - 2 ? 0 : null;
      return 'T';
    });
    infos.set(input.name, { dtype: input.elemType, shape: input.shape ? shape : null });
  }
  for (const [name, tensor] of tape.constants) {
    const integer = tensor.dataType === I64 || tensor.dataType === 6;
    infos.set(name, { dtype: tensor.dataType, shape: tensor.dims, value: integer ? constantValues(tape, name) : null });
  }
  for (const [name, values] of tape.ints) infos.set(name, { dtype: I64, shape: [values.length], value: values });
  for (const node of tape.nodes) {
    if (node.op === 'Constant' && infos.has(node.outputs[0])) continue;
    const made = infer(node, (i) => infos.get(node.inputs[i] ?? '') ?? UNKNOWN, tape);
    node.outputs.forEach((name, i) => {
      if (!name) return;
      const info = made[i] ?? UNKNOWN;
      const told = tape.model.graph.valueInfo.get(name);
      infos.set(name, info.dtype === 0 && told ? { ...info, dtype: told.elemType } : info);
    });
  }
  return infos;
}

export function broadcast(a: Dim[] | null, b: Dim[] | null): Dim[] | null {
  if (!a || !b) return null;
  const n = Math.max(a.length, b.length);
  return Array.from({ length: n }, (_, k) => {
    const x = a[a.length - n + k] === undefined ? 1 : a[a.length - n + k];
    const y = b[b.length - n + k] === undefined ? 1 : b[b.length - n + k];
    if (x === y || y === 1) return x;
    if (x === 1) return y;
    if (typeof x === 'number') return x;
    if (typeof y === 'number') return y;
    return x ?? y;
  });
}

const add = (a: Dim, b: Dim): Dim => (a === 0 ? b : b === 0 ? a : typeof a === 'number' && typeof b === 'number' ? a + b : null);
const axisOf = (axis: number, rank: number): number => (axis < 0 ? axis + rank : axis);

function arithmetic(op: string, a: Dim, b: Dim): Dim {
  if (op === 'Add') return add(a, b);
  if (op === 'Sub' && b === 0) return a;
  if (op === 'Mul' && (a === 1 || b === 1)) return a === 1 ? b : a;
  if (op === 'Div' && b === 1) return a;
  if (typeof a !== 'number' || typeof b !== 'number') return null;
  if (op === 'Sub') return a - b;
  if (op === 'Mul') return a * b;
  if (op === 'Div') return Math.trunc(a / b);
  return null;
}

const COMPARISONS = new Set(['Equal', 'Greater', 'GreaterOrEqual', 'Less', 'LessOrEqual', 'And', 'Or', 'Xor', 'Not', 'IsNaN', 'IsInf']);
const BINARY = new Set(['Add', 'Sub', 'Mul', 'Div', 'Pow', 'Max', 'Min', 'Mod']);

/** One Info per output; everything not known is left out rather than guessed. */
function infer(node: GNode, x: (i: number) => Info, tape: Tape): Info[] {
  const { op } = node;
  const first = x(0);
  const rank = first.shape?.length ?? 0;
  if (BINARY.has(op)) {
    const [a, b] = [first, x(1)];
    const shape = node.inputs.length === 1 ? a.shape : broadcast(a.shape, b.shape);
    let value: Dim[] | null = null;
    if (a.value && b.value && (a.value.length === b.value.length || a.value.length === 1 || b.value.length === 1)) {
      const n = Math.max(a.value.length, b.value.length);
      value = Array.from({ length: n }, (_, i) => arithmetic(op, a.value![a.value!.length === 1 ? 0 : i], b.value![b.value!.length === 1 ? 0 : i]));
    }
    return [{ dtype: a.dtype || b.dtype, shape, value }];
  }
  if (COMPARISONS.has(op)) {
    const shape = node.inputs.length === 1 ? first.shape : broadcast(first.shape, x(1).shape);
    const [a, b] = [first.value, x(1).value];
    // Exporters write Where(shape == -1, 1, shape); numbers compare, a length of tokens is never negative.
    const value = op === 'Equal' && a && b ? a.map((v, i): Dim => (b[b.length === 1 ? 0 : i] === v ? 1 : v === null ? null : 0)) : null;
    return [{ dtype: BOOL, shape, value }];
  }
  switch (op) {
    case 'Shape': {
      const start = axisOf(intAttr(node, 'start', 0), rank);
      const end = axisOf(intAttr(node, 'end', rank), rank);
      const value = first.shape?.slice(start, end) ?? null;
      return [{ dtype: I64, shape: [value?.length ?? null], value }];
    }
    case 'ConstantOfShape': {
      const shape = first.value ?? null;
      const fill = node.origin?.attributes.get('value')?.t;
      const dtype = fill?.dataType ?? F32;
      const flat = shape?.length === 1 && typeof shape[0] === 'number' ? shape[0] : null;
      const one = fill && dtype === I64 && flat !== null && flat < 64 ? readOne(tape, fill.name, node) : null;
      return [{ dtype, shape, value: one === null || flat === null ? null : Array<Dim>(flat).fill(one) }];
    }
    case 'Cast':
      return [{ dtype: intAttr(node, 'to', 0), shape: first.shape, value: isFloat(intAttr(node, 'to', 0)) ? null : first.value }];
    case 'CastLike':
      return [{ dtype: x(1).dtype, shape: first.shape }];
    case 'Where': {
      const value = first.value && x(1).value && x(2).value ? first.value.map((c, i): Dim => (c === null ? null : (c ? x(1) : x(2)).value![i] ?? null)) : null;
      return [{ dtype: x(1).dtype || x(2).dtype, shape: broadcast(first.shape, broadcast(x(1).shape, x(2).shape)), value }];
    }
    case 'MatMul': {
      const [a, b] = [first.shape, x(1).shape];
      if (!a || !b || a.length < 2 || b.length < 2) return [{ dtype: first.dtype, shape: null }];
      const batch = broadcast(a.slice(0, -2), b.slice(0, -2))!;
      return [{ dtype: first.dtype, shape: [...batch, a[a.length - 2], b[b.length - 1]] }];
    }
    case 'Gemm': {
      const [a, b] = [first.shape, x(1).shape];
      return [{ dtype: first.dtype, shape: a && b ? [a[intAttr(node, 'transA', 0)], b[1 - intAttr(node, 'transB', 0)]] : null }];
    }
    case 'MatMulNBits':
      return [{ dtype: first.dtype, shape: first.shape ? [...first.shape.slice(0, -1), intAttr(node, 'N', 0)] : null }];
    case 'Transpose': {
      const perm = intsAttr(node, 'perm') ?? Array.from({ length: rank }, (_, i) => rank - 1 - i);
      return [{ dtype: first.dtype, shape: first.shape ? perm.map((p) => first.shape![p]) : null }];
    }
    case 'Reshape': {
      const target = x(1).value ?? null;
      const shape = target ? reshaped(first.shape, target, intAttr(node, 'allowzero', 0) === 1) : x(1).shape?.[0] ? Array<Dim>(Number(x(1).shape![0])).fill(null) : null;
      return [{ dtype: first.dtype, shape, value: first.value }];
    }
    case 'Unsqueeze': {
      const axes = x(1).value as number[] | null;
      if (!first.shape || !axes) return [{ dtype: first.dtype, shape: null, value: first.value }];
      const n = rank + axes.length;
      const at = new Set(axes.map((a) => axisOf(a, n)));
      let k = 0;
      return [{ dtype: first.dtype, shape: Array.from({ length: n }, (_, i) => (at.has(i) ? 1 : first.shape![k++])), value: first.value }];
    }
    case 'Squeeze': {
      const axes = x(1).value as number[] | null;
      if (!first.shape) return [{ dtype: first.dtype, shape: null, value: first.value }];
      const at = axes ? new Set(axes.map((a) => axisOf(a, rank))) : null;
      return [{ dtype: first.dtype, shape: first.shape.filter((d, i) => (at ? !at.has(i) : d !== 1)), value: first.value }];
    }
    case 'Flatten': {
      const axis = axisOf(intAttr(node, 'axis', 1), rank);
      const product = (dims: Dim[]): Dim => dims.reduce<Dim>((p, d) => arithmetic('Mul', p, d), 1);
      return [{ dtype: first.dtype, shape: first.shape && [product(first.shape.slice(0, axis)), product(first.shape.slice(axis))] }];
    }
    case 'Expand':
      return [{ dtype: first.dtype, shape: broadcast(first.shape, x(1).value ?? null) }];
    case 'Concat': {
      const all = node.inputs.map((_, i) => x(i));
      const value = all.every((a) => a.value) ? all.flatMap((a) => a.value!) : null;
      if (all.some((a) => !a.shape)) return [{ dtype: first.dtype, shape: null, value }];
      const axis = axisOf(intAttr(node, 'axis', 0), rank);
      const shape = first.shape!.map((_, i) => {
        if (i === axis) return all.map((a) => a.shape![i]).reduce(add);
        return all.map((a) => a.shape![i]).reduce((p, q) => p ?? q);
      });
      return [{ dtype: first.dtype, shape, value }];
    }
    case 'Split': {
      const axis = axisOf(intAttr(node, 'axis', 0), rank);
      const sizes = (x(1).value as number[] | null) ?? intsAttr(node, 'split');
      const whole = first.shape?.[axis];
      return node.outputs.map((_, i) => {
        const size = sizes ? sizes[i] : typeof whole === 'number' ? whole / node.outputs.length : null;
        return { dtype: first.dtype, shape: first.shape ? first.shape.map((d, k) => (k === axis ? size : d)) : null };
      });
    }
    case 'Slice': {
      const [starts, ends] = [x(1).value, x(2).value];
      const axes = (x(3).value as number[] | undefined) ?? starts?.map((_, i) => i) ?? null;
      const steps = x(4).value ?? starts?.map(() => 1) ?? null;
      if (!first.shape || !axes) return [{ dtype: first.dtype, shape: null }];
      const shape = [...first.shape];
      axes.forEach((a, i) => (shape[axisOf(a, rank)] = sliced(first.shape![axisOf(a, rank)], starts?.[i] ?? null, ends?.[i] ?? null, steps?.[i] ?? null)));
      let value: Dim[] | null = null;
      if (first.value && rank === 1 && typeof starts?.[0] === 'number' && typeof ends?.[0] === 'number' && steps?.[0] === 1) value = first.value.slice(starts[0], ends[0]);
      return [{ dtype: first.dtype, shape, value }];
    }
    case 'Gather': {
      const index = x(1);
      const axis = axisOf(intAttr(node, 'axis', 0), rank);
      const shape = first.shape && index.shape ? [...first.shape.slice(0, axis), ...index.shape, ...first.shape.slice(axis + 1)] : null;
      const value = first.value && index.value ? index.value.map((v): Dim => (typeof v === 'number' ? first.value!.at(v) ?? null : null)) : null;
      return [{ dtype: first.dtype, shape, value }];
    }
    case 'GatherBlockQuantized': {
      const [data, index, scales] = [first, x(1), x(2)];
      const axis = intAttr(node, 'gather_axis', 0);
      const pack = data.dtype === 2 ? 8 / intAttr(node, 'bits', 4) : 1;
      const shape = data.shape && index.shape ? [...data.shape.slice(0, axis), ...index.shape, ...data.shape.slice(axis + 1)] : null;
      if (shape) shape[shape.length - 1] = typeof shape[shape.length - 1] === 'number' ? Number(shape[shape.length - 1]) * pack : null;
      return [{ dtype: scales.dtype, shape }];
    }
    case 'DequantizeLinear':
      return [{ dtype: x(1).dtype, shape: first.shape }];
    case 'ReduceMean':
    case 'ReduceSum':
    case 'ReduceMax':
    case 'ReduceMin':
    case 'ReduceL2':
    case 'ReduceSumSquare': {
      const axes = (x(1).value as number[] | undefined) ?? intsAttr(node, 'axes');
      const keep = intAttr(node, 'keepdims', 1) === 1;
      if (!first.shape) return [{ dtype: first.dtype, shape: null }];
      const at = new Set(axes ? axes.map((a) => axisOf(a, rank)) : first.shape.map((_, i) => i));
      return [{ dtype: first.dtype, shape: keep ? first.shape.map((d, i) => (at.has(i) ? 1 : d)) : first.shape.filter((_, i) => !at.has(i)) }];
    }
    case 'SimplifiedLayerNormalization': {
      const stat = first.shape ? [...first.shape.slice(0, -1), 1] : null;
      return [{ dtype: first.dtype, shape: first.shape }, { dtype: F32, shape: stat }];
    }
    case 'LayerNormalization': {
      const stat = first.shape ? [...first.shape.slice(0, -1), 1] : null;
      return [{ dtype: first.dtype, shape: first.shape }, { dtype: F32, shape: stat }, { dtype: F32, shape: stat }];
    }
    case 'GroupQueryAttention':
    case 'MultiHeadAttention': {
      let shape = first.shape;
      if (shape && node.op === 'GroupQueryAttention' && !node.inputs[1]) {
        const heads = intAttr(node, 'num_heads', 0);
        const packed = shape[shape.length - 1];
        const width = typeof packed === 'number' ? (packed / (heads + 2 * intAttr(node, 'kv_num_heads', 0))) * heads : null;
        shape = [...shape.slice(0, -1), width];
      }
      return node.outputs.map((_, i) => ({ dtype: first.dtype, shape: i === 0 ? shape : null }));
    }
    case 'Range':
      return [{ dtype: first.dtype, shape: [null] }];
    default:
      // Element-wise operators of one input, and everything whose output nobody differentiates.
      return node.outputs.map((_, i) => (i === 0 ? { dtype: first.dtype, shape: first.shape } : UNKNOWN));
  }
}

function readOne(tape: Tape, _name: string, node: GNode): number | null {
  const tensor = node.origin!.attributes.get('value')!.t!;
  const values = constantValues({ ...tape, constants: new Map([[tensor.name, tensor]]), ints: new Map() }, tensor.name);
  return values?.[0] ?? null;
}

function reshaped(from: Dim[] | null, target: Dim[], allowZero: boolean): Dim[] {
  const shape = target.map((d, i): Dim => (d === 0 && !allowZero ? (from?.[i] ?? null) : d));
  const hole = shape.indexOf(-1);
  if (hole < 0) return shape;
  shape[hole] = null;
  if (!from) return shape;
  // Cancel equal factors on both sides, then divide what is left.
  const rest: Dim[] = [...from];
  let divisor = 1;
  for (const [i, d] of shape.entries()) {
    if (i === hole) continue;
    if (typeof d === 'number') divisor *= d;
    else {
      const at = rest.indexOf(d);
      if (d === null || at < 0) return shape;
      rest.splice(at, 1);
    }
  }
  const symbols = rest.filter((d) => typeof d !== 'number');
  const product = rest.reduce<number>((p, d) => (typeof d === 'number' ? p * d : p), 1);
  if (symbols.length === 0) shape[hole] = product / divisor;
  else if (symbols.length === 1 && product === divisor) shape[hole] = symbols[0];
  return shape;
}

function sliced(size: Dim, start: Dim, end: Dim, step: Dim): Dim {
  if (typeof step !== 'number' || step < 1) return null;
  if (step === 1 && start === 0 && (end === size || (typeof end === 'number' && end > 2 ** 31 - 2))) return size;
  if (typeof size !== 'number' || typeof start !== 'number' || typeof end !== 'number') return null;
  const clamp = (v: number): number => Math.min(size, Math.max(0, v < 0 ? v + size : v));
  return Math.max(0, Math.ceil((clamp(end) - clamp(start)) / step));
}
