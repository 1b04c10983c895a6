/** The residual stream of a canonical graph, and the head at its end. */
import { NoGradientError, type GNode, type Tape } from './ir';

export interface Chain {
  /** Every residual sum from the embedding on: r₀ = h[0], …, rₙ = h[L]. */
  sums: string[];
  /** Index into `sums` of h[0] … h[L]. */
  layers: number[];
  /** The product that makes logits, and which of its inputs is the state. */
  head: GNode;
  /** The tensor of scores that the graph gives out. */
  logits: string;
}

const PRODUCTS = new Set(['MatMul', 'Gemm', 'MatMulNBits']);
/** Products there is no rule for: said by name, rather than looked past. */
const FOREIGN = new Set(['MatMulIntegerToFloat', 'DynamicQuantizeMatMul', 'QLinearMatMul', 'MatMulBnb4', 'FusedMatMul']);
const THROUGH = new Set(['Cast', 'Identity']);

/**
 * A sum is residual when one of its sides is an ancestor of the other (seen through casts); the stream is the longest chain of such
 * sums below the logits. `told` are the tensors h[0] … h[L] as another search found them: when the names are all there they decide.
 */
export function findChain(tape: Tape, told: readonly string[] | null): Chain {
  const { nodes, producer } = tape;
  const made = (name: string): GNode | null => nodes[producer.get(name) ?? -1] ?? null;
  const logits = (tape.model.graph.outputs.find((o) => o.name === 'logits') ?? tape.model.graph.outputs[0]).name;
  const through = (name: string): string => {
    let at = name;
    for (let node = made(at); node && THROUGH.has(node.op); node = made(at)) at = node.inputs[0];
    return at;
  };

  const ancestors = ancestorSets(tape);
  const isAncestor = (a: string, b: string): boolean => {
    const [i, j] = [producer.get(a), producer.get(b)];
    return i !== undefined && j !== undefined && (i === j || ancestors.has(j, i));
  };
  const end = producer.get(logits);
  if (end === undefined) throw new NoGradientError('logits', 'the graph has no logits.');

  const previous = new Map<string, string>();
  const lengths = new Map<string, number>();
  for (const [i, node] of nodes.entries()) {
    if (node.op !== 'Add' || node.inputs.length !== 2 || !(i === end || ancestors.has(end, i))) continue;
    const [a, b] = [through(node.inputs[0]), through(node.inputs[1])];
    if (a === b) continue;
    const residual = isAncestor(a, b) ? a : isAncestor(b, a) ? b : null;
    if (!residual || !passesProduct(tape, residual === a ? b : a, residual, made)) continue;
    previous.set(node.outputs[0], residual);
    lengths.set(node.outputs[0], (lengths.get(residual) ?? 0) + 1);
  }
  let last: string | null = null;
  for (const [name, length] of lengths) if (last === null || length > lengths.get(last)!) last = name;
  if (last === null) throw new NoGradientError('Add', 'no residual stream was found in the graph.');
  const sums = [last];
  while (previous.has(sums[0])) sums.unshift(previous.get(sums[0])!);

  const layers = layerIndices(tape, sums, made, told?.map(through) ?? null);
  return { sums, layers, head: findHead(logits, last, made, isAncestor), logits };
}

/** A branch holds a product; the two halves of a written-out rotation or activation do not make a residual sum. */
function passesProduct(tape: Tape, branch: string, residual: string, made: (name: string) => GNode | null): boolean {
  const seen = new Set<string>();
  const queue = [branch];
  const stop = tape.producer.get(residual) ?? -1;
  while (queue.length > 0) {
    const name = queue.pop()!;
    if (seen.has(name) || name === residual) continue;
    seen.add(name);
    const node = made(name);
    if (!node || (tape.producer.get(name) ?? -1) <= stop) continue;
    if (PRODUCTS.has(node.op)) return true;
    queue.push(...node.inputs.filter(Boolean));
  }
  return false;
}

function layerIndices(tape: Tape, sums: string[], made: (name: string) => GNode | null, told: string[] | null): number[] {
  if (told) {
    const at = told.map((name) => sums.indexOf(name));
    // The last state may have been given a name of its own where the file has none; it is the chain's end in any case.
    if (at.at(-1) === -1) at[at.length - 1] = sums.length - 1;
    if (at.every((i) => i >= 0) && at.every((i, k) => k === 0 || i > at[k - 1])) return at;
  }
  // A block begins with the branch that attends.
  const layers: number[] = [];
  for (let s = 1; s < sums.length; s++) {
    if (attends(tape, sums[s], sums[s - 1], made)) layers.push(s - 1);
  }
  layers.push(sums.length - 1);
  if (layers.length < 2 || layers[0] !== 0) throw new NoGradientError('attention', 'the blocks of the residual stream could not be told apart.');
  return layers;
}

function attends(tape: Tape, sum: string, residual: string, made: (name: string) => GNode | null): boolean {
  const seen = new Set<string>([residual]);
  const queue = [sum];
  const stop = tape.producer.get(residual) ?? -1;
  while (queue.length > 0) {
    const name = queue.pop()!;
    if (seen.has(name)) continue;
    seen.add(name);
    const at = tape.producer.get(name) ?? -1;
    if (at <= stop) continue;
    const node = made(name)!;
    if (node.op === 'GroupQueryAttention' || node.op === 'MultiHeadAttention' || node.op === 'Attention' || node.op === 'Softmax') return true;
    queue.push(...node.inputs.filter(Boolean));
  }
  return false;
}

function findHead(logits: string, last: string, made: (name: string) => GNode | null, isAncestor: (a: string, b: string) => boolean): GNode {
  let node = made(logits);
  for (let steps = 0; node && steps < 12; steps++) {
    if (PRODUCTS.has(node.op)) return node;
    if (FOREIGN.has(node.op)) throw new NoGradientError(node.op, `it uses the operator ${node.op}, which has no rule.`);
    const next: string | undefined = node.inputs.find((input) => input && isAncestor(last, input));
    node = next === undefined ? null : made(next);
  }
  throw new NoGradientError('head', 'the product that makes the logits was not found.');
}

/** For each node the set of nodes it depends on, as bits. */
function ancestorSets(tape: Tape): { has(node: number, ancestor: number): boolean } {
  const words = Math.ceil(tape.nodes.length / 32);
  const bits = new Uint32Array(words * tape.nodes.length);
  tape.nodes.forEach((node, i) => {
    for (const input of node.inputs) {
      const p = tape.producer.get(input);
      if (p === undefined) continue;
      for (let w = 0; w < words; w++) bits[i * words + w] |= bits[p * words + w];
      bits[i * words + (p >> 5)] |= 1 << (p & 31);
    }
  });
  return { has: (node, ancestor) => (bits[node * words + (ancestor >> 5)] & (1 << (ancestor & 31))) !== 0 };
}
