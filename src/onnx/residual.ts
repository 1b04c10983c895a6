/**
 * Finds the residual stream of a decoder by the shape of its graph, not by the exporter's names.
 *
 * A node is a *residual sum* iff it adds two tensors one of which is computed from the other: the ancestor is the incoming
 * stream, the other one the branch.  (Mask, rope and bias sums fail this, as do attention + MLP sums of parallel blocks.)
 * Starting from the last such sum before the head and following incoming streams back gives the whole stream; the layer of
 * each sum follows from which `present.{i}` cache its branch produces.  Whatever does not fit is refused with its reason:
 * a wrong guess here would be a wrong measurement later.
 */
import { OnnxError } from './error';
import type { OnnxGraph, OnnxModel, OnnxNode, OnnxTensor } from './types';

/** Where h[l] is in the graph. */
export interface ResidualPoint {
  /** The tensor that holds it, or null where the exporter fused it away (the last one, usually): then it is the sum of `terms`. */
  tensor: string | null;
  terms: string[];
  /** Index of the node that makes it. */
  node: number;
  /** The node also applies the next norm (Skip*LayerNormalization: output 0 = norm of the sum). */
  fusedNorm: boolean;
  /** TensorProto.DataType of the stream at this point. */
  elemType: number;
}

export interface Residual {
  /** Blocks L. */
  layers: number;
  width: number;
  /** L+1 points: after the embedding, then after each block, before any final norm. */
  hidden: ResidualPoint[];
  /** Nodes from h[L] to `normed`, in order: what the lens repeats for any other state. A fused last sum is not among them. */
  tail: number[];
  /** The head's first node, which of its inputs the final norm feeds, and that tensor [1, positions, width]. */
  head: { node: number; input: number; normed: string };
  /** Nodes from the head's first node to `logits`. */
  headPath: number[];
  logits: string;
  logitsElemType: number;
  /** Cache inputs and outputs by layer. */
  past: { key: string; value: string }[];
  present: { key: string; value: string }[];
}

const MATMULS = new Set(['MatMul', 'MatMulNBits', 'MatMulBnb4', 'FusedMatMul', 'MatMulInteger', 'DynamicQuantizeMatMul']);
const AFTER_HEAD = new Set(['Add', 'Sub', 'Mul', 'Div', 'Tanh', 'Cast', 'Identity', 'Where', 'Clip', 'Min', 'Max', 'DynamicQuantizeLinear']);
const NORM_OPS = new Set([
  ...['SimplifiedLayerNormalization', 'LayerNormalization', 'RMSNormalization', 'Cast', 'Identity', 'Pow', 'ReduceMean', 'Add', 'Sub', 'Sqrt'],
  ...['Mul', 'Div', 'Reciprocal', 'MatMul', 'MatMulNBits'],
]);
const SELECTORS = new Set(['Slice', 'Gather']);
const SEE_THROUGH = new Set(['Cast', 'Identity']);
const FUSED_NORMS = new Set(['SkipSimplifiedLayerNormalization', 'SkipLayerNormalization']);
/** float32, float16, bfloat16. */
const STREAM_TYPES = new Set([1, 10, 16]);
/** Ancestor sets take nodes²/8 bytes. */
const MAX_NODES = 20_000;

const unsupported = (message: string) => new OnnxError('unsupported', message);

export function findResidual(model: OnnxModel, expectedLayers?: number): Residual {
  const { graph } = model;
  const caches = checkInterface(graph);
  const index = new GraphIndex(graph);
  const { head, headPath } = findHead(index);

  const sums = index.sums();
  const headProducer = index.producer.get(head.normed)!;
  const before = [...sums.keys()].filter((n) => n === headProducer || index.isAncestor(n, headProducer));
  const last = before.filter((n) => !before.some((other) => index.isAncestor(n, other)));
  if (last.length !== 1) throw unsupported(`The residual stream could not be followed: ${last.length} candidates for its last sum.`);

  const chain = [last[0]];
  for (;;) {
    const tensor = index.behindCasts(sums.get(chain[0])!.incoming);
    const n = index.producer.get(tensor);
    if (n === undefined || !sums.has(n)) break;
    // Post-norm models carry the normed sum on: their stream is another thing.
    if (tensor !== point(index, n).tensor) throw unsupported('The residual stream is normed between blocks (a post-norm model).');
    chain.unshift(n);
  }
  const ends = layerEnds(index, sums, chain, caches.present);
  const layers = ends.length;
  if (expectedLayers !== undefined && layers !== expectedLayers) {
    throw unsupported(`The graph shows ${layers} layers where the model's config says ${expectedLayers}.`);
  }

  const embedding = sums.get(chain[0])!.incoming;
  const embeddingNode = index.resolve(embedding);
  if (embeddingNode === undefined || !index.readsIds(embeddingNode)) throw unsupported('The residual stream does not begin at the token embeddings.');
  // The tensor behind any Cast: what it feeds is then all of the stream.
  const points: ResidualPoint[] = [point(index, embeddingNode)];
  for (const n of ends) points.push(point(index, n));
  const odd = points.find(({ elemType }) => !STREAM_TYPES.has(elemType));
  if (odd) throw unsupported(`The residual stream has the element type ${odd.elemType}, which the lab does not read.`);

  const tail = headProducer === last[0] ? [] : index.between(last[0], headProducer);
  for (const n of tail) {
    const { opType } = graph.nodes[n];
    if (!NORM_OPS.has(opType)) throw unsupported(`Between the last block and the head there is ${opType}, which the lens does not know.`);
  }
  const width = streamWidth(index, last[0], tail);
  return {
    layers,
    width,
    hidden: points,
    tail,
    head,
    headPath,
    logits: 'logits',
    logitsElemType: graph.outputs.find((o) => o.name === 'logits')!.elemType || index.elemType('logits'),
    past: caches.past,
    present: caches.present,
  };
}

/** Names of inputs and outputs are the one thing exporters agree on; they say what kind of model this is. */
function checkInterface(graph: OnnxGraph): Pick<Residual, 'past' | 'present'> {
  const inputs = graph.inputs.map((i) => i.name).filter((name) => !graph.initializers.has(name));
  const outputs = graph.outputs.map((o) => o.name);
  if (!outputs.includes('logits')) throw unsupported('The graph has no output "logits": it is not a language model that writes (an encoder?).');
  if (!inputs.includes('input_ids')) throw unsupported('The graph does not read "input_ids" (one part of a larger model?).');
  const known = /^(input_ids|attention_mask|position_ids|num_logits_to_keep|past_key_values\.\d+\.(key|value))$/;
  for (const name of inputs) {
    if (/^(past|cache)_?(conv|recurrent|ssm)|\.(conv|ssm|recurrent)/.test(name)) throw unsupported(`A hybrid model: it keeps a state "${name}" that is not attention.`);
    if (name === 'use_cache_branch') throw unsupported('A merged decoder with two graphs in one file.');
    if (!known.test(name)) throw unsupported(`The graph asks for "${name}": not a plain text decoder.`);
  }
  const past: { key: string; value: string }[] = [];
  const present: { key: string; value: string }[] = [];
  const count = outputs.filter((name) => name.startsWith('present')).length / 2;
  for (let i = 0; i < count; i++) {
    past.push({ key: `past_key_values.${i}.key`, value: `past_key_values.${i}.value` });
    present.push({ key: `present.${i}.key`, value: `present.${i}.value` });
  }
  const missing = [...present.flatMap((p) => [p.key, p.value]).filter((n) => !outputs.includes(n)), ...past.flatMap((p) => [p.key, p.value]).filter((n) => !inputs.includes(n))];
  if (count < 1 || missing.length > 0) throw unsupported(count < 1 ? 'The graph keeps no attention cache.' : `The attention cache is irregular: "${missing[0]}" is missing.`);
  if (inputs.filter((n) => n.startsWith('past_key_values.')).length !== 2 * count) throw unsupported('The attention cache is irregular: more layers come in than go out.');
  return { past, present };
}

/** From `logits` back to the matrix product that makes them, and to the tensor that enters it. */
function findHead(index: GraphIndex): Pick<Residual, 'head' | 'headPath'> {
  const { nodes } = index.graph;
  const path: number[] = [];
  let tensor = 'logits';
  for (;;) {
    const n = index.producer.get(tensor);
    if (n === undefined) throw unsupported('No matrix product was found behind "logits".');
    path.unshift(n);
    const node = nodes[n];
    if (MATMULS.has(node.opType)) break;
    if (!AFTER_HEAD.has(node.opType)) throw unsupported(`Between the head and "logits" there is ${node.opType}, which the lens does not know.`);
    const next = node.inputs.find((name) => index.dependsOnIds(name));
    if (next === undefined) throw unsupported('"logits" do not depend on the text.');
    tensor = next;
  }
  let first = path[0];
  const quantiser = index.producer.get(nodes[first].inputs[0]);
  if (quantiser !== undefined && nodes[quantiser].opType === 'DynamicQuantizeLinear') path.unshift((first = quantiser));
  let normed = nodes[first].inputs[0];
  // Exporters that compute only the last logits select a row here; the lab selects its own.
  for (let n = index.producer.get(normed); n !== undefined && SELECTORS.has(nodes[n].opType); n = index.producer.get(normed)) normed = nodes[n].inputs[0];
  if (!index.producer.has(normed)) throw unsupported('Nothing computes what the head reads.');
  return { head: { node: first, input: 0, normed }, headPath: path };
}

/** The last sum of every block. */
function layerEnds(index: GraphIndex, sums: Map<number, Sum>, chain: number[], present: Residual['present']): number[] {
  const starts: number[] = [];
  present.forEach(({ key }, layer) => {
    const makers = index.unaryAncestry(key);
    const at = chain.findIndex((n) => {
      const { incoming, branch } = sums.get(n)!;
      return makers.some((maker) => index.inCone(maker, branch, incoming));
    });
    if (at === -1) throw unsupported(`The attention of layer ${layer} does not feed the residual stream that reaches the head.`);
    starts.push(at);
  });
  const perLayer = chain.length / starts.length;
  // Blocks are alike: anything else means that a sum was missed or taken for one.
  if (starts.some((at, layer) => at !== layer * perLayer)) {
    throw unsupported(`The residual stream is irregular: ${chain.length} sums for ${starts.length} layers, attention at ${starts.join(', ')}.`);
  }
  return starts.map((at) => chain[at + perLayer - 1]);
}

function point(index: GraphIndex, n: number): ResidualPoint {
  const node = index.graph.nodes[n];
  const fusedNorm = FUSED_NORMS.has(node.opType);
  const tensor = (fusedNorm ? node.outputs[3] : node.outputs[0]) || null;
  // Skip norms may add a bias (input 4) before the norm.
  const terms = fusedNorm ? [node.inputs[0], node.inputs[1], ...(node.opType === 'SkipLayerNormalization' && node.inputs[4] ? [node.inputs[4]] : [])] : [];
  if (fusedNorm && node.opType === 'SkipSimplifiedLayerNormalization' && node.inputs[3]) terms.push(node.inputs[3]);
  return { tensor, terms, node: n, fusedNorm, elemType: index.elemType(tensor ?? terms[0]) };
}

/** From the final norm's weight, else from the recorded shape. */
function streamWidth(index: GraphIndex, lastSum: number, tail: number[]): number {
  const { nodes, valueInfo } = index.graph;
  const norm = FUSED_NORMS.has(nodes[lastSum].opType) ? [lastSum, ...tail] : tail;
  for (const n of norm) {
    for (const name of nodes[n].inputs) {
      const dims = index.constant(name)?.dims;
      if (dims?.length === 1 && dims[0] > 1) return dims[0];
    }
  }
  const recorded = valueInfo.get(nodes[lastSum].outputs[0])?.shape?.at(-1);
  if (typeof recorded === 'number' && recorded > 0) return recorded;
  throw unsupported("The width of the residual stream could not be found: no norm before the head.");
}

interface Sum {
  incoming: string;
  branch: string;
}

/** Who makes what, and what is computed from what. */
class GraphIndex {
  readonly producer = new Map<string, number>();
  private readonly words: number;
  /** Row n: the ancestors of node n, one bit each. */
  private readonly ancestors: Uint32Array;
  private readonly idReaders: number[];

  constructor(readonly graph: OnnxGraph) {
    const { nodes } = graph;
    if (nodes.length > MAX_NODES) throw unsupported(`The graph has ${nodes.length} nodes, more than the lab analyses.`);
    const given = new Set([...graph.initializers.keys(), ...graph.inputs.map((i) => i.name)]);
    nodes.forEach((node, n) => {
      for (const name of node.outputs) {
        if (name === '') continue;
        if (this.producer.has(name) || given.has(name)) throw new OnnxError('broken', `Two things in the graph are called "${name}".`);
        this.producer.set(name, n);
      }
    });
    for (const node of nodes) {
      for (const name of node.inputs) {
        if (name !== '' && !given.has(name) && !this.producer.has(name)) throw new OnnxError('broken', `The graph reads "${name}", which nothing makes.`);
      }
    }
    this.words = Math.ceil(nodes.length / 32);
    this.ancestors = new Uint32Array(nodes.length * this.words);
    for (const n of this.order()) {
      const row = n * this.words;
      for (const p of this.parents(n)) {
        for (let w = 0; w < this.words; w++) this.ancestors[row + w] |= this.ancestors[p * this.words + w];
        this.ancestors[row + (p >> 5)] |= 1 << (p & 31);
      }
    }
    this.idReaders = nodes.flatMap((node, n) => (node.inputs.includes('input_ids') ? [n] : []));
  }

  private parents(n: number): number[] {
    return this.graph.nodes[n].inputs.flatMap((name) => this.producer.get(name) ?? []);
  }

  /** Depth-first without recursion: files decide the depth, and stacks are small. */
  private order(): number[] {
    const out: number[] = [];
    const state = new Uint8Array(this.graph.nodes.length);
    for (let root = 0; root < state.length; root++) {
      const stack = [root];
      while (stack.length > 0) {
        const n = stack[stack.length - 1];
        if (state[n] === 0) {
          state[n] = 1;
          for (const p of this.parents(n)) {
            if (state[p] === 1) throw new OnnxError('broken', 'The graph computes something from itself.');
            if (state[p] === 0) stack.push(p);
          }
        } else {
          stack.pop();
          if (state[n] === 1) out.push(n);
          state[n] = 2;
        }
      }
    }
    return out;
  }

  isAncestor(a: number, n: number): boolean {
    return ((this.ancestors[n * this.words + (a >> 5)] >>> (a & 31)) & 1) === 1;
  }

  readsIds(n: number): boolean {
    return this.idReaders.some((r) => r === n || this.isAncestor(r, n));
  }

  dependsOnIds(tensor: string): boolean {
    const n = this.producer.get(tensor);
    return n !== undefined && this.readsIds(n);
  }

  /** The tensor a chain of Cast and Identity starts from. */
  behindCasts(tensor: string): string {
    for (let n = this.producer.get(tensor); n !== undefined && SEE_THROUGH.has(this.graph.nodes[n].opType); n = this.producer.get(tensor)) {
      tensor = this.graph.nodes[n].inputs[0];
    }
    return tensor;
  }

  resolve(tensor: string): number | undefined {
    return this.producer.get(this.behindCasts(tensor));
  }

  sums(): Map<number, Sum> {
    const out = new Map<number, Sum>();
    this.graph.nodes.forEach((node, n) => {
      if (node.opType !== 'Add' && !FUSED_NORMS.has(node.opType)) return;
      const [a, b] = node.inputs;
      const pa = this.resolve(a);
      const pb = this.resolve(b);
      if (pa === undefined || pb === undefined) return;
      if (this.isAncestor(pa, pb)) out.set(n, { incoming: a, branch: b });
      else if (this.isAncestor(pb, pa)) out.set(n, { incoming: b, branch: a });
    });
    return out;
  }

  /** Whether node n is part of what turns `incoming` into `branch`. */
  inCone(n: number, branch: string, incoming: string): boolean {
    const to = this.producer.get(branch)!;
    const from = this.producer.get(incoming)!;
    return (n === to || this.isAncestor(n, to)) && n !== from && !this.isAncestor(n, from);
  }

  /** A tensor's producer, and what it was before casts and layout changes. */
  unaryAncestry(tensor: string): number[] {
    const out: number[] = [];
    for (let n = this.producer.get(tensor); n !== undefined; n = this.producer.get(this.graph.nodes[n].inputs[0])) {
      out.push(n);
      if (this.graph.nodes[n].inputs.filter((name) => this.producer.has(name)).length !== 1) break;
    }
    return out;
  }

  /** Nodes computed from `from` that `to` is computed from, `to` included and `from` not, in order of computation. */
  between(from: number, to: number): number[] {
    return this.order().filter((n) => this.isAncestor(from, n) && (n === to || this.isAncestor(n, to)));
  }

  constant(name: string): OnnxTensor | undefined {
    const n = this.producer.get(name);
    return this.graph.initializers.get(name) ?? (n === undefined ? undefined : constantTensor(this.graph.nodes[n]));
  }

  /** Element type of a tensor: as recorded, else by the few rules decoders need. 0 = unknown. */
  elemType(name: string): number {
    const { graph } = this;
    for (;;) {
      const recorded =
        graph.valueInfo.get(name)?.elemType ||
        graph.outputs.find((o) => o.name === name)?.elemType ||
        graph.inputs.find((i) => i.name === name)?.elemType ||
        this.constant(name)?.dataType;
      if (recorded) return recorded;
      const n = this.producer.get(name);
      if (n === undefined) return 0;
      const { opType, inputs, attributes } = graph.nodes[n];
      if (opType === 'Cast') return attributes.get('to')?.i ?? 0;
      const source = opType === 'GatherBlockQuantized' ? 2 : opType === 'DequantizeLinear' || opType === 'Where' ? 1 : 0;
      if (!inputs[source]) return 0;
      name = inputs[source];
    }
  }
}

function constantTensor(node: OnnxNode): OnnxTensor | undefined {
  return node.opType === 'Constant' ? node.attributes.get('value')?.t : undefined;
}
