/**
 * From the last residual state to z = Σ weightₖ · logit[rowₖ, tokenₖ], without ever making a row of logits: the final norm on the
 * rows asked for, and the head's weights of the tokens asked for (Gather), so both z and its gradient cost [targets × width].
 */
import { Adjoints, Scope, pullBack, type Pass } from './backward';
import type { Chain } from './chain';
import { NoGradientError, intAttr, isFloat, type GNode } from './ir';
import { dtypeOf } from './rule';

export interface Target {
  /** int64 [k] names of graph inputs. */
  rows: string;
  tokens: string;
  /** float32 [k]. */
  weights: string;
}

/** What picks rows of the sequence before the head (exports that score only the last token); rows are chosen here instead. */
const PICKS = new Set(['Gather', 'GatherND', 'Slice', 'Reshape', 'Squeeze', 'Unsqueeze', 'Split']);

export function headGradient(pass: Pass, chain: Chain, target: Target): { z: string; logits: string; gradient: string } {
  const { e, tape, infos } = pass;
  const last = chain.sums.at(-1)!;
  const dtype = dtypeOf(infos.get(last)!);
  const after = pass.differentiable;
  const below = new Set(pathNodes(pass, chain, last));
  const tail = [...below].map((node) => (PICKS.has(node.op) ? bypass(node, after) : node));
  const tailTape = { ...tape, nodes: tail, producer: new Map(tail.flatMap((node, i) => node.outputs.filter(Boolean).map((o) => [o, i] as const))) };

  const rows = e.op('Gather', [e.forward(last), target.rows], { axis: { int: 1 } });
  const owns = (name: string): boolean => name !== last && tailTape.producer.has(name);
  const headAt = tail.indexOf(chain.head);
  const before = new Scope(e, tailTape, 'tail.', [[last, rows]], owns);

  // logit = state · weights of the token (+ bias of the token)
  const state = before.value(chain.head.inputs[0]);
  const weights = tokenRows(pass, chain.head, target.tokens);
  const wide = dtypeOf(infos.get(chain.head.inputs[0])!);
  const products = e.mul(state, e.op('Unsqueeze', [weights, e.ints([0])]));
  let logit = e.reshape(e.sum(products, [-1]), [-1]);
  if (chain.head.op === 'Gemm' && chain.head.inputs[2]) logit = e.add(logit, perToken(pass, chain.head.inputs[2], target.tokens));
  if (chain.head.op === 'MatMulNBits' && chain.head.inputs[5]) logit = e.add(logit, perToken(pass, chain.head.inputs[5], target.tokens));

  // What comes after the head (scale, softcap, bias) works on one number per target.
  const post = tail.slice(headAt + 1);
  const given: [string, string][] = [[chain.head.outputs[0], logit]];
  for (const node of post) {
    for (const input of node.inputs) {
      const shape = infos.get(input)?.shape;
      if (input && !owns(input) && shape && shape.length > 0 && shape.at(-1) !== 1) given.push([input, perToken(pass, input, target.tokens)]);
    }
  }
  const scores = new Scope(e, tailTape, 'tail.', given, owns);
  const final = scores.value(chain.logits);
  const finalType = dtypeOf(infos.get(chain.logits) ?? { dtype: wide, shape: null });
  const score32 = e.cast(final, finalType, 1);
  const z = e.sum(e.mul(score32, target.weights), [0]);

  const adjoints = new Adjoints(e);
  adjoints.add(chain.logits, e.cast(target.weights, 1, finalType));
  // Shapes in `infos` are those of whole logits; element-wise rules with constants never look at them.
  pullBack(pass, post, scores, adjoints, null);
  const perLogit = adjoints.get(chain.head.outputs[0])!;
  const dState = e.mul(e.op('Unsqueeze', [perLogit, e.ints([1])]), weights);
  adjoints.add(chain.head.inputs[0], e.op('Unsqueeze', [dState, e.ints([0])]));
  pullBack(pass, tail.slice(0, headAt), before, adjoints, null);
  const dRows = adjoints.get(last)!;

  // Several targets may share a row: add them up by a product with the 0/1 matrix of who stands where. Exactly 0 elsewhere.
  const count = e.cast(pass.tokens(), 7, 1);
  const at = e.op('Range', [e.scalar(0, 1), count, e.scalar(1, 1)]);
  const hit = e.op('Equal', [e.op('Unsqueeze', [at, e.ints([1])]), e.op('Unsqueeze', [e.cast(target.rows, 7, 1), e.ints([0])])]);
  const gradient = e.matmul(e.op('Unsqueeze', [e.op('Cast', [hit], { to: { int: dtype } }), e.ints([0])]), dRows);
  return { z, logits: score32, gradient };
}

/** Nodes between the last state and the logits, in order. */
function pathNodes(pass: Pass, chain: Chain, last: string): GNode[] {
  const { nodes, producer } = pass.tape;
  const down = new Set([last]);
  const path: GNode[] = [];
  for (const node of nodes) {
    if (node.outputs.includes(last)) continue;
    if (node.inputs.some((i) => down.has(i))) {
      node.outputs.forEach((o) => o && down.add(o));
      path.push(node);
    }
  }
  const up = new Set([chain.logits]);
  for (let i = producer.get(chain.logits)!; i >= 0; i--) if (nodes[i].outputs.some((o) => up.has(o))) nodes[i].inputs.forEach((x) => x && up.add(x));
  return path.filter((node) => node.outputs.some((o) => up.has(o)));
}

function bypass(node: GNode, differentiable: Set<string>): GNode {
  const from = node.inputs.find((i) => differentiable.has(i));
  return from === undefined ? node : { op: 'Identity', domain: '', inputs: [from], outputs: [node.outputs[0]], origin: null, made: {} };
}

/** Entries of a [.., V] constant at the tokens asked for. */
function perToken(pass: Pass, name: string, tokens: string): string {
  const { e } = pass;
  return e.op('Gather', [e.reshape(e.forward(name), [-1]), tokens], { axis: { int: 0 } });
}

/** The head's weight vector of each token, [k, width]. */
function tokenRows(pass: Pass, head: GNode, tokens: string, weight = head.inputs[1]): string {
  const { e, tape, infos } = pass;
  if (head.op === 'MatMulNBits') return quantisedRows(pass, head, tokens);
  const made = (name: string): GNode | undefined => tape.nodes[tape.producer.get(name) ?? -1];
  // Weights in bytes: rows of the bytes are unpacked, not the rows of a whole unpacked head.
  const unpacked = made(weight);
  if (unpacked?.op === 'Cast') return e.op('Cast', [tokenRows(pass, head, tokens, unpacked.inputs[0])], { to: { int: intAttr(unpacked, 'to', 1) } });
  if (unpacked?.op === 'Sub') return e.sub(tokenRows(pass, head, tokens, unpacked.inputs[0]), zeroPoints(pass, unpacked.inputs[1], tokens));
  const gather = (name: string, axis: number): string => {
    const rows = e.op('Gather', [e.forward(name), tokens], { axis: { int: axis } });
    return axis === 0 ? rows : e.transpose(rows, [1, 0]);
  };
  // A tied head is the embedding turned around: take rows of the embedding, do not turn it.
  let name = weight;
  let axis = head.op === 'Gemm' && intAttr(head, 'transB', 0) === 1 ? 0 : 1;
  for (let node = made(name); node; node = made(name)) {
    if (node.op === 'Transpose' && (infos.get(node.inputs[0])?.shape?.length ?? 2) === 2) axis = 1 - axis;
    else if (node.op !== 'Identity') break;
    name = node.inputs[0];
  }
  return gather(name, axis);
}

/** One zero point for all weights, or one for each column, as [k, 1]. */
function zeroPoints(pass: Pass, name: string, tokens: string): string {
  const shape = pass.infos.get(name)?.shape;
  return shape?.length === 1 && shape[0] !== 1 ? pass.e.op('Unsqueeze', [perToken(pass, name, tokens), pass.e.ints([1])]) : pass.e.forward(name);
}

/** Rows of block-quantised weights, unpacked by arithmetic: byte → low nibble, high nibble → (nibble − zero) · scale. */
function quantisedRows(pass: Pass, head: GNode, tokens: string): string {
  const { e, infos } = pass;
  const [n, k, block, bits] = [intAttr(head, 'N', 0), intAttr(head, 'K', 0), intAttr(head, 'block_size', 32), intAttr(head, 'bits', 4)];
  const blocks = Math.ceil(k / block);
  if ((bits !== 4 && bits !== 8) || blocks * block !== k) throw new NoGradientError('MatMulNBits', `the head is quantised in a way for which there is no rule (${bits} bits).`);
  const dtype = isFloat(infos.get(head.inputs[2])?.dtype ?? 0) ? infos.get(head.inputs[2])!.dtype : 1;
  const rowsOf = (name: string, columns: number[]): string => e.op('Gather', [e.reshape(e.forward(name), [n, ...columns]), tokens], { axis: { int: 0 } });
  const unpack = (bytes: string, shape: number[]): string => {
    const whole = e.op('Cast', [bytes], { to: { int: 1 } });
    if (bits === 8) return e.reshape(whole, shape);
    const high = e.op('Floor', [e.mul(whole, e.scalar(1 / 16, 1))]);
    const low = e.sub(whole, e.mul(high, e.scalar(16, 1)));
    const pair = e.op('Concat', [e.op('Unsqueeze', [low, e.ints([-1])]), e.op('Unsqueeze', [high, e.ints([-1])])], { axis: { int: -1 } });
    return e.reshape(pair, shape);
  };
  const quantised = unpack(rowsOf(head.inputs[1], [blocks, (block * bits) / 8]), [-1, blocks, block]);
  let zero = e.scalar(bits === 4 ? 8 : 128, 1);
  if (head.inputs[3]) {
    const padded = bits === 4 ? 2 * Math.ceil(blocks / 2) : blocks;
    zero = unpack(rowsOf(head.inputs[3], [(padded * bits) / 8]), [-1, padded, 1]);
    if (padded !== blocks) zero = e.op('Slice', [zero, e.ints([0]), e.ints([blocks]), e.ints([1])]);
  }
  const scales = e.cast(e.op('Unsqueeze', [rowsOf(head.inputs[2], [blocks]), e.ints([-1])]), dtype, 1);
  return e.cast(e.reshape(e.mul(e.sub(quantised, zero), scales), [-1, k]), 1, dtype);
}
