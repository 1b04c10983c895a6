/** The vector–Jacobian product of any small graph: how single rules are tested, and nothing else. */
import type { OnnxModel } from '../types';
import { Adjoints, Scope, differentiableFrom, pullBack } from './backward';
import { Emitter } from './emit';
import { canonical } from './ir';
import { ruleSet } from './lrp';
import type { RuleName } from './rule';
import { inferShapes } from './shapes';

/** Inputs: the graph's own and `cotangent.{output}` for each of `outputs`; outputs: `grad.{input}` for each of `wrt`. */
export function vjp(model: OnnxModel, wrt: readonly string[], outputs: readonly string[], rule: RuleName): Uint8Array {
  const tape = canonical(model);
  const infos = inferShapes(tape);
  const e = new Emitter(tape, 'file');
  for (const input of model.graph.inputs) if (!model.graph.initializers.has(input.name)) e.input(input.name, input.elemType, input.shape ?? []);
  const differentiable = differentiableFrom(tape, wrt, infos);
  const rules = ruleSet(tape, rule, (name) => differentiable.has(name));
  const pool = new Map<string, string>();
  const shared = (key: string, make: () => string): string => {
    if (!pool.has(key)) pool.set(key, make());
    return pool.get(key)!;
  };
  const tokens = (): string => shared('tokens', () => e.op('Gather', [e.op('Shape', [wrt[0]]), e.ints([1], true)], { axis: { int: 0 } }));
  const adjoints = new Adjoints(e);
  for (const output of outputs) adjoints.add(output, e.input(`cotangent.${output}`, infos.get(output)?.dtype || 1, (infos.get(output)?.shape ?? []).map((d) => d)));
  const scope = new Scope(e, tape, '', [], () => false);
  pullBack({ e, tape, infos, rules, differentiable, shared, tokens }, tape.nodes, scope, adjoints, null);
  for (const input of wrt) {
    const g = adjoints.get(input);
    e.node('Identity', [g ?? e.mul(input, e.scalar(0, infos.get(input)!.dtype))], [`grad.${input}`]);
    e.output(`grad.${input}`, infos.get(input)!.dtype, infos.get(input)!.shape ?? []);
  }
  return e.file();
}
