/**
 * AttnLRP and CP-LRP as data over the ordinary rules (Achtibat et al., ICML 2024, arXiv 2402.05602; gradient form: Arras et al.,
 * arXiv 2502.15886). Each is a set of tensors held constant plus a set of products whose gradient is halved:
 *
 *   norm          the factor 1/√(mean x² + ε) is constant: fused norms take `lrp`, written-out ones stop at the square root
 *   activation    f(x)/x in place of f′: x·σ(x), x·Φ(x), x·(1+tanh)/2 are x times a gate, and holding that gate constant is f(x)/x exactly
 *   gate × up     AttnLRP halves both; CP-LRP holds the gate constant
 *   A·V, Q·Kᵀ     AttnLRP halves both sides of each (so ½ into v, ¼ into q and k); CP-LRP holds A constant
 *
 * The patterns are found by structure, so a norm or an activation written out in small operators is treated like its fused form.
 */
import { type GNode, type Tape } from './ir';
import type { RuleName } from './rule';

export interface RuleSet {
  /** Tensors through which no gradient passes. */
  stopped: Set<string>;
  /** Nodes whose incoming gradient is halved. */
  halved: Set<GNode>;
  /** Fused operators take their LRP form. */
  lrp: boolean;
  frozenScores: boolean;
}

/** Operators that move, convert, choose or scale numbers: what comes out is the one differentiable thing that went in, up to a constant. */
const THROUGH = new Set(['Cast', 'Identity', 'Dropout', 'Reshape', 'Transpose', 'Unsqueeze', 'Squeeze', 'Expand', 'Where', 'Mul', 'Div', 'Neg']);
const GATES = new Set(['Sigmoid', 'Erf', 'Tanh']);
const ACTIVATIONS = new Set(['Gelu', 'FastGelu', 'QuickGelu', 'Swish', 'Relu', 'Tanh', 'Sigmoid', 'Elu', 'Softplus']);

export function ruleSet(tape: Tape, rule: RuleName, differentiable: (name: string) => boolean): RuleSet {
  const set: RuleSet = { stopped: new Set(), halved: new Set(), lrp: rule !== 'gradient', frozenScores: rule === 'cp-lrp' };
  if (rule === 'gradient') return set;
  const { nodes, producer } = tape;
  const made = (name: string): GNode | null => nodes[producer.get(name) ?? -1] ?? null;
  const readers = new Map<string, GNode[]>();
  for (const node of nodes) for (const name of node.inputs) readers.set(name, [...(readers.get(name) ?? []), node]);
  const live = (node: GNode): number[] => node.inputs.map((_, i) => i).filter((i) => node.inputs[i] !== '' && differentiable(node.inputs[i]));

  // Norms written out: sqrt(mean(x²) + ε), or its power −½.
  for (const node of nodes) {
    if (node.op !== 'Sqrt' && node.op !== 'Pow') continue;
    if (!differentiable(node.inputs[0])) continue;
    let below = made(node.inputs[0]);
    for (let steps = 0; below && steps < 4 && (below.op === 'Cast' || below.op === 'Identity' || (below.op === 'Add' && live(below).length === 1)); steps++) {
      below = made(below.inputs[live(below)[0]]);
    }
    if (below?.op === 'ReduceMean') set.stopped.add(node.outputs[0]);
  }

  // Activations written out: a gate that reaches, through constants only, a product with the very tensor it was computed from.
  const activated = new Set<string>();
  for (const node of nodes) {
    if (!GATES.has(node.op) || !differentiable(node.inputs[0])) continue;
    const sources = ancestors(node.inputs[0], made, differentiable);
    let name = node.outputs[0];
    for (let steps = 0; steps < 5; steps++) {
      const next = (readers.get(name) ?? []).filter((r) => ['Mul', 'Add', 'Cast', 'Identity', 'Div'].includes(r.op));
      if (next.length !== 1) break;
      const others = next[0].inputs.filter((input) => input !== name && differentiable(input));
      if (next[0].op === 'Mul' && others.length === 1 && [...ancestors(others[0], made, differentiable)].some((s) => sources.has(s))) {
        set.stopped.add(node.outputs[0]);
        activated.add(next[0].outputs[0]);
        break;
      }
      if (others.length > 0) break;
      name = next[0].outputs[0];
    }
  }
  for (const node of nodes) if (ACTIVATIONS.has(node.op) && !set.stopped.has(node.outputs[0])) activated.add(node.outputs[0]);

  // Products of two differentiable things: gate × up, A·V, Q·Kᵀ.
  const constant = downstreamOf(nodes, set.stopped, differentiable);
  const free = (name: string): boolean => differentiable(name) && !constant(name);
  for (const node of nodes) {
    if (node.op !== 'Mul' && node.op !== 'MatMul') continue;
    const [a, b] = node.inputs;
    if (a === b || !free(a) || !free(b)) continue;
    if (rule === 'attnlrp') {
      set.halved.add(node);
      continue;
    }
    const wanted = (n: GNode): boolean => (node.op === 'MatMul' ? n.op === 'Softmax' : activated.has(n.outputs[0]));
    const frozen = [a, b].find((name) => reaches(name, made, differentiable, wanted));
    if (frozen) set.stopped.add(frozen);
    else if (node.op === 'Mul') set.halved.add(node);
  }
  return set;
}

/** The nearest tensors a value is a simple function of (through constants, casts and powers). */
function ancestors(name: string, made: (name: string) => GNode | null, differentiable: (name: string) => boolean): Set<string> {
  const seen = new Set<string>();
  const queue = [name];
  while (queue.length > 0 && seen.size < 24) {
    const at = queue.shift()!;
    if (seen.has(at)) continue;
    seen.add(at);
    const node = made(at);
    if (node && ['Mul', 'Add', 'Div', 'Pow', 'Cast', 'Identity'].includes(node.op)) queue.push(...node.inputs.filter((i) => i !== '' && differentiable(i)));
  }
  return seen;
}

/** Whether a value is `wanted`'s output times constants: exporters write GELU as ½ · (x · (1 + erf)), and the half stands after the product. */
function reaches(name: string, made: (name: string) => GNode | null, differentiable: (name: string) => boolean, wanted: (node: GNode) => boolean): boolean {
  let node = made(name);
  for (let steps = 0; node && steps < 8; steps++) {
    if (wanted(node)) return true;
    const from = node.inputs.filter((input) => input !== '' && differentiable(input));
    if (!THROUGH.has(node.op) || from.length !== 1 || (node.op === 'Div' && from[0] !== node.inputs[0])) return false;
    node = made(from[0]);
  }
  return false;
}

/** Tensors that are constant because everything differentiable they come from is held constant. */
function downstreamOf(nodes: GNode[], stopped: Set<string>, differentiable: (name: string) => boolean): (name: string) => boolean {
  const constant = new Set(stopped);
  for (const node of nodes) {
    const inputs = node.inputs.filter((i) => i !== '' && differentiable(i));
    if (inputs.length > 0 && inputs.every((i) => constant.has(i))) node.outputs.forEach((o) => constant.add(o));
  }
  return (name) => constant.has(name);
}
