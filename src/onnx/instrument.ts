/**
 * Adds the lab's inputs and outputs (lab.ts) to a decoder.
 *
 * Everything in a graph is computed on every run, fetched or not, so each instrument is built to cost nothing when it is off:
 * gathers at zero positions, a head that reads zero extra rows, an `If` around the statistics, scatters of zero patches.
 *
 * The lens shares the model's own head instead of repeating it: lens rows pass a copy of the final norm, are put behind the rows
 * the model itself wants, and the head runs once over both.  So the lens at the last layer *is* the model's own output, and
 * no device keeps a second packed copy of the largest matrix.
 */
import { GraphEdit } from './edit';
import { LAB_INPUTS as IN, LAB_OUTPUTS as OUT, type Lab } from './lab';
import type { Residual, ResidualPoint } from './residual';
import type { OnnxModel, OnnxNode } from './types';
import { BOOL, FLOAT, INT64, rewireNode, writeGraph, writeNode, writeTensor, writeValueInfo, type AttributeValue, type NodeSpec } from './write';

export interface InstrumentOptions {
  /** Tokens kept per lens cell; default 10. */
  topK?: number;
  /** Add patch inputs; default true. */
  patch?: boolean;
  /**
   * The CPU computes 16-bit graphs in 32-bit floats between Casts that it inserts, and takes back-to-back Casts out again; a scatter
   * of halves would stand in the way and round. True: scatter floats, between Casts of the kind that is taken out. Default false.
   */
  halvesInFloat?: boolean;
}

/** ONNX Runtime gives its own Casts such names, and takes only Casts of such names out where they would round. */
const FREE_CAST = 'InsertedPrecisionFreeCast_';

const ZERO = 'lab.const.zero';

/** The highest end a Slice can name: "to the end". */
const TO_END = 2 ** 31 - 1;

/** Returns the instrumented file. Weights inside `model.bytes` are copied along: move them out first (externalise.ts). */
export function instrument(model: OnnxModel, residual: Residual, options: InstrumentOptions = {}): { bytes: Uint8Array; lab: Lab } {
  const lab: Lab = { layers: residual.layers, width: residual.width, topK: options.topK ?? 10, patch: options.patch ?? true, loop: false };
  const edit = new GraphEdit(model);
  const rewired = new Map<number, Uint8Array>();
  edit.input(IN.positions, INT64, ['lab_n']);
  edit.input(IN.rows, INT64, ['lab_r']);
  edit.input(IN.lensOn, BOOL, []);
  edit.input(IN.lensPositions, INT64, ['lab_m']);
  edit.input(IN.lensLayers, INT64, ['lab_k']);
  edit.input(IN.lensStates, FLOAT, ['lab_s', lab.width]);
  edit.input(IN.lensTokens, INT64, ['lab_t']);

  if (lab.patch) edit.initializer(writeTensor(ZERO, FLOAT, [], Float32Array.of(0)));
  if (lab.patch) residual.hidden.forEach((at, l) => addPatch(edit, rewired, residual, at, l, options.halvesInFloat ?? false));
  addTap(edit, residual, lab.patch, IN.positions, OUT.hidden);
  addLensRows(edit, residual, lab);
  addHead(edit, rewired, residual);
  addStatistics(edit, lab.topK);

  for (const [n, content] of rewired) edit.replace(model.graph.nodes[n].range, content);
  edit.output(OUT.next);
  edit.output(OUT.hidden);
  edit.output(OUT.lensIds, INT64);
  edit.output(OUT.lens, FLOAT);
  return { bytes: edit.build(), lab };
}

/** A residual point's tensor after patching; null where it must still be summed up from its terms. */
function streamTensor(at: ResidualPoint, layer: number, patched: boolean): string | null {
  return at.tensor ?? (patched ? `lab.stream.${layer}` : null);
}

/**
 * h[layer] with some positions replaced. The node that makes it writes to another name and a ScatterND writes the old one, so that all
 * readers see the patch; a node that also norms the sum has that norm patched too, with the norm of the new state. But WebGPU folds a
 * norm and the products behind it into one kernel as long as nothing stands between them: so where just two things are summed and
 * normed, the patch goes into those, the state on one side and 0 on the other.
 */
function addPatch(edit: GraphEdit, rewired: Map<number, Uint8Array>, residual: Residual, at: ResidualPoint, layer: number, halvesInFloat: boolean): void {
  const node = edit.model.graph.nodes[at.node];
  const where = `lab.patch_at.${layer}`;
  const states = `lab.patch_states.${layer}`;
  edit.input(where, INT64, [`lab_p${layer}`, 2]);
  edit.input(states, FLOAT, [`lab_p${layer}`, residual.width]);
  const stream = streamTensor(at, layer, true)!;
  const scatter = (into: string, rows: string, output: string, type = FLOAT): void => {
    const update = cast(edit, rows, type, at.elemType);
    // Not named by what it makes: the node that made that until now may be, and keeps its name.
    if (!halvesInFloat || at.elemType === FLOAT) return edit.node({ opType: 'ScatterND', inputs: [into, where, update], outputs: [output], name: `${where}.${output}` });
    const wide = cast(edit, into, at.elemType, FLOAT);
    edit.node({ opType: 'ScatterND', inputs: [wide, where, cast(edit, update, at.elemType, FLOAT)], outputs: [`${output}.wide`] });
    edit.node({ opType: 'Cast', inputs: [`${output}.wide`], outputs: [output], attributes: { to: { int: at.elemType } }, name: `${FREE_CAST}${output}` });
  };

  if (at.fusedNorm && at.terms.length === 2) {
    const zeros = `lab.patch_zeros.${layer}`;
    edit.node({ opType: 'Mul', inputs: [states, ZERO], outputs: [zeros] });
    const terms = at.terms.map((_, i) => `lab.patched.${layer}.${i}`);
    at.terms.forEach((term, i) => scatter(term, i === 0 ? states : zeros, terms[i]));
    rewired.set(at.node, rewireNode(edit.model.bytes, node, { inputs: (name, i) => terms[i] ?? name }));
    if (at.tensor === null) sumOf(edit, terms, stream);
    return;
  }
  const renamed = new Map<string, string>();
  if (at.tensor !== null) renamed.set(at.tensor, `lab.unpatched.${layer}`);
  if (at.fusedNorm) renamed.set(node.outputs[0], `lab.unpatched_norm.${layer}`);
  rewired.set(at.node, rewireNode(edit.model.bytes, node, { outputs: (name) => renamed.get(name) ?? name }));
  const update = cast(edit, states, FLOAT, at.elemType);
  scatter(at.tensor === null ? sumOf(edit, at.terms, `lab.unpatched.${layer}`) : renamed.get(at.tensor)!, update, stream, at.elemType);
  if (at.fusedNorm) {
    edit.node(plainNorm(node, update, `lab.patch_norm.${layer}`));
    scatter(renamed.get(node.outputs[0])!, `lab.patch_norm.${layer}`, node.outputs[0], at.elemType);
  }
}

/** float32 [L+1, rows, width]: every point of the stream at the positions of `rows`. */
function addTap(edit: GraphEdit, residual: Residual, patched: boolean, rows: string, output: string): void {
  const pieces = residual.hidden.map((at, layer) => {
    const name = `${output}.at.${layer}`;
    const stream = streamTensor(at, layer, patched);
    if (stream !== null) edit.node({ opType: 'Gather', inputs: [stream, rows], outputs: [name], attributes: { axis: { int: 1 } } });
    else {
      // Gather first, add then: with no rows wanted, no full-length sum is made.
      const parts = at.terms.map((term, i) => {
        // A bias has no positions.
        if (edit.model.graph.initializers.has(term)) return term;
        const part = `${name}.term.${i}`;
        edit.node({ opType: 'Gather', inputs: [term, rows], outputs: [part], attributes: { axis: { int: 1 } } });
        return part;
      });
      sumOf(edit, parts, name);
    }
    return cast(edit, name, at.elemType, FLOAT);
  });
  edit.node({ opType: 'Concat', inputs: pieces, outputs: [output], attributes: { axis: { int: 0 } } });
}

/** `lab.lens_normed` [1, c, width]: the k × m cells and the given states, after a copy of the final norm. */
function addLensRows(edit: GraphEdit, residual: Residual, lab: Lab): void {
  const { bytes, graph } = edit.model;
  const flat = edit.ints([1, -1, lab.width]);
  addTap(edit, residual, lab.patch, IN.lensPositions, 'lab.lens_tap');
  edit.node({ opType: 'Gather', inputs: ['lab.lens_tap', IN.lensLayers], outputs: ['lab.lens_grid'], attributes: { axis: { int: 0 } } });
  edit.node({ opType: 'Reshape', inputs: ['lab.lens_grid', flat], outputs: ['lab.lens_cells'] });
  edit.node({ opType: 'Reshape', inputs: [IN.lensStates, flat], outputs: ['lab.lens_given'] });
  edit.node({ opType: 'Concat', inputs: ['lab.lens_cells', 'lab.lens_given'], outputs: ['lab.lens_rows'], attributes: { axis: { int: 1 } } });

  const last = residual.hidden[residual.layers];
  const rows = cast(edit, 'lab.lens_rows', FLOAT, last.elemType);
  const lastNode = graph.nodes[last.node];
  // What the copies read instead of the originals.
  const wires = new Map<string, string>();
  if (last.tensor !== null) wires.set(last.tensor, rows);
  if (last.fusedNorm) {
    wires.set(lastNode.outputs[0], 'lab.lens_norm');
    edit.node(plainNorm(lastNode, rows, 'lab.lens_norm'));
  }
  for (const n of residual.tail) for (const name of graph.nodes[n].outputs) if (name !== '') wires.set(name, `lab.lens_tail.${name}`);
  const copy = (name: string) => wires.get(name) ?? name;
  for (const n of residual.tail) {
    const node = graph.nodes[n];
    edit.rawNode(rewireNode(bytes, node, { inputs: copy, outputs: copy, name: `lab.lens_tail.${node.name}` }));
  }
  edit.node({ opType: 'Identity', inputs: [copy(residual.head.normed)], outputs: ['lab.lens_normed'] });
}

/** The head over [wanted rows | lens rows]; `logits` are the former. */
function addHead(edit: GraphEdit, rewired: Map<number, Uint8Array>, residual: Residual): void {
  const { bytes, graph } = edit.model;
  const { head, headPath, logits } = residual;
  edit.node({ opType: 'Gather', inputs: [head.normed, IN.rows], outputs: ['lab.head_rows'], attributes: { axis: { int: 1 } } });
  edit.node({ opType: 'Concat', inputs: ['lab.head_rows', 'lab.lens_normed'], outputs: ['lab.head_in'], attributes: { axis: { int: 1 } } });
  const last = headPath[headPath.length - 1];
  for (const n of new Set([head.node, last])) {
    const node = graph.nodes[n];
    rewired.set(
      n,
      rewireNode(bytes, node, {
        inputs: (name, i) => (n === head.node && i === head.input ? 'lab.head_in' : name),
        outputs: (name) => (name === logits ? 'lab.all_logits' : name),
      }),
    );
  }
  // Recorded shapes say "as many rows as positions", which is no longer so; the runtime plans buffers by them.
  for (const n of headPath) {
    for (const name of graph.nodes[n].outputs) {
      const info = graph.valueInfo.get(name);
      if (info) edit.replace(info.range, null);
    }
  }
  const info = graph.outputs.find((o) => o.name === logits)!;
  const shape = info.shape?.length === 3 ? [info.shape[0], 'lab_r', info.shape[2]] : null;
  edit.replace(info.range, writeValueInfo(logits, info.elemType || undefined, shape));

  edit.node({ opType: 'Shape', inputs: [IN.rows], outputs: ['lab.row_count'] });
  const rowAxis = edit.ints([1]);
  edit.node({ opType: 'Slice', inputs: ['lab.all_logits', edit.ints([0]), 'lab.row_count', rowAxis], outputs: [logits], name: 'lab.wanted_logits' });
  edit.node({ opType: 'ArgMax', inputs: [logits], outputs: [OUT.next], attributes: { axis: { int: -1 }, keepdims: { int: 0 } } });
}

/** Top-k, log-sum-exp, entropy and followed tokens of the lens rows, inside an `If` so that they cost nothing when off. */
function addStatistics(edit: GraphEdit, topK: number): void {
  const opset = edit.model.opsets.get('') ?? 0;
  const then: Uint8Array[] = [];
  const add = (opType: string, inputs: string[], output: string, attributes?: Record<string, AttributeValue>) => {
    const name = `lab.lens.${output}`;
    then.push(writeNode({ opType, inputs, outputs: [name], attributes }));
    return name;
  };
  // Reductions took their axes from an attribute up to opset 12 (ReduceSum) or 17 (the others), from an input since.
  const reduce = (opType: 'ReduceSum' | 'ReduceMax', input: string, output: string, keepdims: number) =>
    opset >= (opType === 'ReduceSum' ? 13 : 18)
      ? add(opType, [input, edit.ints([-1])], output, { keepdims: { int: keepdims } })
      : add(opType, [input], output, { axes: { ints: [-1] }, keepdims: { int: keepdims } });

  const rows = add('Slice', ['lab.all_logits', 'lab.row_count', edit.ints([TO_END]), edit.ints([1])], 'rows');
  const logits = add('Cast', [rows], 'logits', { to: { int: FLOAT } });
  const max = reduce('ReduceMax', logits, 'max', 1);
  // Masked tokens may be at minus infinity, and 0 · ∞ must not reach the entropy.
  edit.initializer(writeTensor('lab.const.floor', FLOAT, [], Float32Array.of(-1e4)));
  const shifted = add('Max', [add('Sub', [logits, max], 'difference'), 'lab.const.floor'], 'shifted');
  const weights = add('Exp', [shifted], 'weights');
  const total = reduce('ReduceSum', weights, 'total', 1);
  const logTotal = add('Log', [total], 'log_total');
  const logSumExp = add('Add', [max, logTotal], 'log_sum_exp');
  const energy = reduce('ReduceSum', add('Mul', [weights, shifted], 'products'), 'energy', 1);
  const entropy = add('Sub', [logTotal, add('Div', [energy, total], 'mean_energy')], 'entropy');
  then.push(writeNode({ opType: 'TopK', inputs: [logits, edit.ints([topK])], outputs: ['lab.lens.top', 'lab.lens.top_ids'] }));
  const followed = add('Gather', [logits, IN.lensTokens], 'followed', { axis: { int: 2 } });
  // Rank = how many tokens are strictly more likely; [1, c, 1, vocab] against [1, c, t, 1].
  const each = add('Reshape', [logits, edit.ints([0, 0, 1, -1])], 'each');
  const against = add('Reshape', [followed, edit.ints([0, 0, -1, 1])], 'against');
  const above = add('Cast', [add('Greater', [each, against], 'is_above')], 'above', { to: { int: FLOAT } });
  const rank = reduce('ReduceSum', above, 'rank', 0);
  const values = add('Concat', ['lab.lens.top', logSumExp, entropy, followed, rank], 'values', { axis: { int: 2 } });

  const constant = (name: string, type: number, dims: number[]) =>
    writeNode({ opType: 'Constant', inputs: [], outputs: [name], attributes: { value: { tensor: writeTensor(name, type, dims, new Float32Array(0)) } } });
  const off = [constant('lab.lens.no_ids', INT64, [1, 0, topK]), constant('lab.lens.no_values', FLOAT, [1, 0, topK + 4])];
  const ports = (ids: string, floats: string) => [writeValueInfo(ids, INT64), writeValueInfo(floats, FLOAT)];
  edit.node({
    opType: 'If',
    inputs: [IN.lensOn],
    outputs: [OUT.lensIds, OUT.lens],
    attributes: {
      then_branch: { graph: writeGraph('lab.lens.on', then, ports('lab.lens.top_ids', values)) },
      else_branch: { graph: writeGraph('lab.lens.off', off, ports('lab.lens.no_ids', 'lab.lens.no_values')) },
    },
  });
}

/** The norm part of a Skip*LayerNormalization, for a sum that is already made. */
function plainNorm(skip: OnnxNode, input: string, output: string): NodeSpec {
  const epsilon = { float: skip.attributes.get('epsilon')?.f ?? 1e-5 };
  if (skip.opType === 'SkipSimplifiedLayerNormalization') {
    const attributes = { epsilon, axis: { int: -1 }, stash_type: { int: 1 } };
    return { opType: 'SimplifiedLayerNormalization', inputs: [input, skip.inputs[2]], outputs: [output], attributes };
  }
  const scale = skip.inputs.slice(2, 4).filter((name) => name !== '');
  return { opType: 'LayerNormalization', inputs: [input, ...scale], outputs: [output], attributes: { epsilon, axis: { int: -1 } } };
}

/** Adds tensors up under a name. */
function sumOf(edit: GraphEdit, terms: string[], output: string): string {
  terms.slice(1).reduce((left, right, i) => {
    const name = i === terms.length - 2 ? output : `${output}.partial.${i}`;
    edit.node({ opType: 'Add', inputs: [left, right], outputs: [name] });
    return name;
  }, terms[0]);
  return output;
}

/** Nothing where the types are the same. */
function cast(edit: GraphEdit, tensor: string, from: number, to: number): string {
  if (from === to) return tensor;
  const name = `${tensor}.as.${to}`;
  edit.node({ opType: 'Cast', inputs: [tensor], outputs: [name], attributes: { to: { int: to } } });
  return name;
}
