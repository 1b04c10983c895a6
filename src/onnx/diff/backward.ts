/**
 * Reverse mode over a chain of residual sums r₀ … rₙ. Everything a node depends on is either one of those sums (kept from the
 * forward), or computed inside the segment after one of them (recomputed when the backward gets there), or no function of the
 * residual stream at all (masks, rotations: taken as it is). So memory holds the sums and one segment, whatever the depth.
 *
 * A runtime may run any node as soon as its inputs are there, and merges nodes that compute the same. Both would bring the whole
 * forward back into memory, so the recomputation reads rₛ + 0·(something of the gradient from above): it cannot start early and it
 * is not the same computation.
 */
import type { Emitter } from './emit';
import { NoGradientError, isFloat, type GNode, type Tape } from './ir';
import type { RuleSet } from './lrp';
import type { Rule, RuleContext } from './rule';
import { attention } from './rules/attention';
import { elementwise } from './rules/elementwise';
import { linear } from './rules/linear';
import { reduce } from './rules/reduce';
import { shapeRules } from './rules/shape';
import type { Info } from './shapes';

export const RULES: Record<string, Rule> = { ...elementwise, ...shapeRules, ...linear, ...reduce, ...attention };

/** Outputs of these are no differentiable function of their inputs. */
const FLAT = new Set(['Shape', 'Size', 'Equal', 'Greater', 'GreaterOrEqual', 'Less', 'LessOrEqual', 'And', 'Or', 'Not', 'IsNaN', 'IsInf', 'ArgMax', 'ArgMin', 'Floor', 'Ceil', 'Round', 'Sign', 'ConstantOfShape', 'Range', 'NonZero']);
/** Outputs after these of a node carry no gradient (caches, statistics). */
const ONE_OUTPUT = new Set(['GroupQueryAttention', 'MultiHeadAttention', 'SimplifiedLayerNormalization', 'LayerNormalization']);

/** Which tensors are differentiable functions of `roots`. */
export function differentiableFrom(tape: Tape, roots: readonly string[], infos: Map<string, Info>): Set<string> {
  const out = new Set(roots);
  for (const node of tape.nodes) {
    if (FLAT.has(node.op) || !node.inputs.some((i) => out.has(i))) continue;
    node.outputs.forEach((name, i) => {
      const dtype = infos.get(name)?.dtype ?? 0;
      if (name && (i === 0 || !ONE_OUTPUT.has(node.op)) && (dtype === 0 || isFloat(dtype))) out.add(name);
    });
  }
  out.delete('');
  return out;
}

/** Values of the forward graph as seen from one place: some given, the rest computed again from them. */
export class Scope {
  private readonly made = new Map<string, string>();
  constructor(
    private readonly e: Emitter,
    private readonly tape: Tape,
    private readonly tag: string,
    given: Iterable<[string, string]>,
    /** Whether a tensor belongs to this scope; others are the forward's own. */
    private readonly owns: (name: string) => boolean,
  ) {
    for (const [name, value] of given) this.made.set(name, value);
  }

  value(name: string): string {
    if (name === '') return '';
    const stack = [name];
    while (stack.length > 0) {
      const top = stack[stack.length - 1];
      if (this.made.has(top)) {
        stack.pop();
        continue;
      }
      const node = this.owns(top) ? this.tape.nodes[this.tape.producer.get(top) ?? -1] : undefined;
      if (!node) {
        this.made.set(top, this.e.forward(top));
        continue;
      }
      const waiting = node.inputs.filter((input) => input !== '' && !this.made.has(input));
      if (waiting.length > 0) {
        stack.push(...waiting);
        continue;
      }
      const outputs = node.outputs.map((output) => (output ? `${this.tag}${output}` : ''));
      this.e.clone(node, node.inputs.map((input) => (input ? this.made.get(input)! : '')), outputs);
      node.outputs.forEach((output, i) => output && !this.made.has(output) && this.made.set(output, outputs[i]));
    }
    return this.made.get(name)!;
  }
}

export interface Pass {
  e: Emitter;
  tape: Tape;
  infos: Map<string, Info>;
  rules: RuleSet;
  differentiable: Set<string>;
  shared(key: string, make: () => string): string;
  tokens(): string;
}

/** Gradients found so far, summed when they are read. */
export class Adjoints {
  private readonly parts = new Map<string, string[]>();
  constructor(private readonly e: Emitter) {}
  add(name: string, gradient: string): void {
    this.parts.set(name, [...(this.parts.get(name) ?? []), gradient]);
  }
  get(name: string): string | null {
    const parts = this.parts.get(name);
    if (!parts) return null;
    while (parts.length > 1) parts.splice(0, 2, this.e.add(parts[0], parts[1]));
    return parts[0];
  }
}

/** Runs the rules of `nodes` (in forward order) from last to first, reading values in `scope`. */
export function pullBack(pass: Pass, nodes: GNode[], scope: Scope, adjoints: Adjoints, pulse: string | null): void {
  const { e, infos, rules } = pass;
  const live = (name: string): boolean => name !== '' && pass.differentiable.has(name) && !rules.stopped.has(name);
  for (let n = nodes.length - 1; n >= 0; n--) {
    const node = nodes[n];
    if (!node.inputs.some(live)) continue;
    const cotangents = node.outputs.map((name) => (name && live(name) ? adjoints.get(name) : null));
    if (cotangents.every((g) => g === null)) continue;
    const rule = RULES[node.op];
    if (!rule) throw new NoGradientError(node.op, `it uses the operator ${node.domain ? `${node.domain}.` : ''}${node.op}, which has no rule.`);
    if (rules.halved.has(node)) {
      const dtype = infos.get(node.outputs[0])?.dtype || 1;
      cotangents[0] = cotangents[0] && e.scale(cotangents[0], 0.5, dtype);
    }
    const context: RuleContext = {
      e,
      node,
      lrp: rules.lrp,
      frozenScores: rules.frozenScores,
      x: (i) => scope.value(node.inputs[i]),
      y: (i = 0) => scope.value(node.outputs[i]),
      g: (i = 0) => cotangents[i] ?? null,
      active: (i) => live(node.inputs[i] ?? ''),
      xi: (i) => infos.get(node.inputs[i] ?? '') ?? { dtype: 0, shape: null },
      yi: (i = 0) => infos.get(node.outputs[i]) ?? { dtype: 0, shape: null },
      pulse,
      shared: pass.shared,
      tokens: pass.tokens,
    };
    const gradients = runRule(rule, context);
    node.inputs.forEach((name, i) => {
      const g = gradients[i];
      if (g && live(name)) adjoints.add(name, g);
    });
  }
}

function runRule(rule: Rule, context: RuleContext): (string | null)[] {
  try {
    return rule(context);
  } catch (error) {
    if (error instanceof NoGradientError) throw error;
    const why = error instanceof Error ? error.message : String(error);
    throw new NoGradientError(context.node.op, `there is no rule for this use of ${context.node.op} (${why}).`);
  }
}
