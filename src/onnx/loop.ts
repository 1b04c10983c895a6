/**
 * Several decoding steps in one run, for the CPU. The whole graph becomes the body of a `Loop`: the chosen token is fed back, the
 * cache passes from step to step inside the runtime, and only what the last step left is copied out. That copying (every layer's
 * keys and values, out of the runtime's memory and back into it) takes a small model longer than its arithmetic.
 *
 * The body holds the graph's own nodes, so a step computes exactly what the graph alone computes. Weights stay at the top, where the
 * runtime looks for external data, and are read from there.
 */
import { LAB_INPUTS as IN, LAB_OUTPUTS as OUT } from './lab';
import { ProtoReader, ProtoWriter } from './proto';
import { children } from './read';
import type { ByteRange, OnnxModel, OnnxNode, OnnxValueInfo } from './types';
import { BOOL, FLOAT, INT64, writeNode, writeTensor, writeValueInfo, type AttributeValue } from './write';

/** Field numbers of GraphProto. */
const NODE = 1, NAME = 2, INITIALIZER = 5, INPUT = 11, OUTPUT = 12;
const MODEL_GRAPH = 7;

const PAST = 'past_key_values.';
const isPast = (name: string): boolean => name.startsWith(PAST);
const presentOf = (past: string): string => `present.${past.slice(PAST.length)}`;
/** Inputs whose next value follows from a step. The others are the same in all steps. */
const isFedBack = (name: string): boolean => isPast(name) || ['input_ids', 'attention_mask', 'position_ids', IN.rows].includes(name);

/**
 * The file of an instrumented decoder as a loop of its steps: the same inputs and outputs, and `lab.steps`, `lab.stop`,
 * `lab.tokens` besides (lab.ts). Outputs are the last step's. From the second step on, a run reads one token and one row.
 * Needs opset 11, like every export with a cache.
 */
export function inLoop(model: OnnxModel): Uint8Array {
  const { bytes, graph } = model;
  const inputs = graph.inputs.filter(({ name }) => !graph.initializers.has(name));
  const fedBack = inputs.filter(({ name }) => isFedBack(name));
  const presents = new Set(fedBack.map(({ name }) => presentOf(name)));
  // Loops hand values on by place: what only the last step's reader wants goes round as well, unread.
  const results = graph.outputs.filter(({ name }) => !presents.has(name));
  const loop = writeNode({
    opType: 'Loop',
    inputs: [IN.steps, '', ...fedBack.map(({ name }) => name), ...results.map(({ name }) => `lab.loop.none.${name}`)],
    outputs: [...fedBack.map(({ name }) => (isPast(name) ? presentOf(name) : `lab.loop.end.${name}`)), ...results.map(({ name }) => name), OUT.tokens],
    attributes: { body: { graph: bodyOf(model, fedBack, results) } },
  });

  const top = new ProtoWriter().bytes(NODE, loop).string(NAME, graph.name || 'lab');
  for (const { range } of graph.initializers.values()) top.bytes(INITIALIZER, bytes.subarray(range.start, range.end));
  for (const result of results) top.bytes(INITIALIZER, nothingLike(result));
  for (const { range } of inputs) top.bytes(INPUT, bytes.subarray(range.start, range.end));
  top.bytes(INPUT, writeValueInfo(IN.steps, INT64, [])).bytes(INPUT, writeValueInfo(IN.stop, INT64, ['lab_stops']));
  for (const output of graph.outputs) top.bytes(OUTPUT, writeValueInfo(output.name, typeOf(output)));
  top.bytes(OUTPUT, writeValueInfo(OUT.tokens, INT64));

  const file = new ProtoWriter();
  const head = new ProtoReader(bytes);
  while (head.next()) if (head.field !== MODEL_GRAPH) file.raw(bytes.subarray(head.fieldStart, head.end));
  return file.bytes(MODEL_GRAPH, top.done()).done();
}

/** One step: the graph, and what follows from its choice for the next. */
function bodyOf(model: OnnxModel, fedBack: readonly OnnxValueInfo[], results: readonly OnnxValueInfo[]): Uint8Array {
  const { bytes, graph } = model;
  const w = new ProtoWriter();
  for (const { range } of inOrder(model)) w.bytes(NODE, bytes.subarray(range.start, range.end));
  const add = (opType: string, inputs: string[], name: string, attributes?: Record<string, AttributeValue>): string => {
    w.bytes(NODE, writeNode({ opType, inputs, outputs: [`lab.loop.${name}`], attributes }));
    return `lab.loop.${name}`;
  };
  const ints = (name: string, values: number[], dims: number[]): string => {
    w.bytes(INITIALIZER, writeTensor(`lab.loop.${name}`, INT64, dims, BigInt64Array.from(values, BigInt)));
    return `lab.loop.${name}`;
  };
  const one = ints('one', [1], [1, 1]);
  const zero = ints('zero', [0], [1]);
  const last = ints('last', [-1], [1]);

  const chosen = add('Gather', [OUT.next, last], 'chosen', { axis: { int: 1 } });
  const token = add('Reshape', [chosen, ints('scalar', [], [0])], 'token');
  // The zero keeps the maximum defined where there is nothing to stop at.
  const hits = add('Concat', [add('Cast', [add('Equal', [token, IN.stop], 'hit')], 'hits', { to: { int: INT64 } }), zero], 'all_hits', { axis: { int: 0 } });
  const stopped = add('Cast', [add('ReduceMax', [hits], 'any_hit', { keepdims: { int: 0 } })], 'stopped', { to: { int: BOOL } });
  const goesOn = add('Not', [stopped], 'goes_on');
  const following = (name: string): string => {
    if (isPast(name)) return presentOf(name);
    if (name === 'input_ids') return add('Reshape', [chosen, ints('square', [1, 1], [2])], 'ids');
    if (name === 'attention_mask') return add('Concat', [name, one], 'mask', { axis: { int: 1 } });
    if (name === 'position_ids') return add('Add', [add('Gather', [name, last], 'position', { axis: { int: 1 } }), one], 'positions');
    return add('Identity', [zero], 'rows');
  };

  w.string(NAME, 'lab.step');
  w.bytes(INPUT, writeValueInfo('lab.loop.step', INT64, [])).bytes(INPUT, writeValueInfo('lab.loop.going', BOOL, []));
  for (const { range } of fedBack) w.bytes(INPUT, bytes.subarray(range.start, range.end));
  for (const result of results) w.bytes(INPUT, writeValueInfo(`lab.loop.before.${result.name}`, typeOf(result)));
  w.bytes(OUTPUT, writeValueInfo(goesOn, BOOL, []));
  for (const input of fedBack) w.bytes(OUTPUT, writeValueInfo(following(input.name), typeOf(input)));
  for (const result of results) w.bytes(OUTPUT, writeValueInfo(result.name, typeOf(result)));
  w.bytes(OUTPUT, writeValueInfo(token, INT64, []));
  // What the exporter recorded of shapes serves the planning of buffers here as it did at the top.
  for (const { range } of graph.valueInfo.values()) w.bytes(13, bytes.subarray(range.start, range.end));
  return w.done();
}

/** The lab's own outputs carry no type in the file. */
const typeOf = ({ name, elemType }: OnnxValueInfo): number => elemType || (name === OUT.next ? INT64 : FLOAT);

/** What a result is before the first step. */
function nothingLike(result: OnnxValueInfo): Uint8Array {
  const dims = (result.shape ?? [0]).map((d) => (typeof d === 'number' ? d : 0));
  return writeTensor(`lab.loop.none.${result.name}`, typeOf(result), dims.includes(0) ? dims : [0], new Float32Array(0));
}

/** The nodes, each after what it reads: at the top of a file any order will do, in a body it will not. */
function inOrder({ bytes, graph }: OnnxModel): Set<OnnxNode> {
  const makers = new Map<string, OnnxNode>();
  for (const node of graph.nodes) for (const name of node.outputs) if (name !== '') makers.set(name, node);
  const sorted = new Set<OnnxNode>();
  const entered = new Set<OnnxNode>();
  for (const root of graph.nodes) {
    // By hand, for a chain of layers is deeper than the call stack may be.
    const stack = [root];
    while (stack.length > 0) {
      const node = stack[stack.length - 1];
      const waitsFor = entered.has(node) ? [] : reads(bytes, node).flatMap((name) => makers.get(name) ?? []).filter((maker) => !sorted.has(maker));
      entered.add(node);
      if (waitsFor.length > 0) stack.push(...waitsFor);
      else sorted.add(stack.pop()!);
    }
  }
  return sorted;
}

/** Everything a node reads, what its branches take from outside them included. */
function reads(bytes: Uint8Array, node: OnnxNode): string[] {
  const inside = (graph: ByteRange): string[] =>
    children(bytes, graph, NODE).flatMap((child) => [
      ...children(bytes, child, 1).map(({ start, end }) => new TextDecoder().decode(bytes.subarray(start, end))),
      ...children(bytes, child, 5).flatMap((attribute) => children(bytes, attribute, 6).flatMap(inside)),
    ]);
  return [...node.inputs, ...[...node.attributes.values()].flatMap(({ range }) => children(bytes, range, 6).flatMap(inside))];
}
