/** Models' graphs made into what other exporters write: weights cut up over several files, no cache, only the last logits; and into one that is ill. */
import { GraphEdit, findResidual, readModel } from '../src/onnx';
import { FLOAT, INT64, rewireNode, writeExternalTensor, writeTensor } from '../src/onnx/write';
import { ProtoReader, ProtoWriter } from '../src/onnx/proto';

/** Fields of a TensorProto that say where its data is. */
const RAW_DATA = 9;
const EXTERNAL_DATA = 13;
const DATA_LOCATION = 14;

/**
 * @param chunks how many files the weights go to: `<name>`, `<name>_1`, …, in turns
 * @param inside every so many-th tensor is put into the graph instead; 0: none
 */
export function scatterWeights(graph: Uint8Array, data: Uint8Array, name: string, chunks: number, inside: number): { graph: Buffer; files: Record<string, Buffer> } {
  const model = readModel(graph);
  const edit = new GraphEdit(model);
  const files = Array.from({ length: chunks }, (): Uint8Array[] => []);
  const sizes = new Array<number>(chunks).fill(0);
  let n = 0;
  for (const tensor of model.graph.initializers.values()) {
    if (tensor.data.kind !== 'external') continue;
    const { offset, length } = tensor.data;
    const bytes = data.subarray(offset, offset + length);
    n++;
    if (inside && n % inside === 0) {
      const w = new ProtoWriter();
      const r = new ProtoReader(graph, tensor.range);
      while (r.next()) if (r.field !== EXTERNAL_DATA && r.field !== DATA_LOCATION) w.raw(graph.subarray(r.fieldStart, r.end));
      edit.replace(tensor.range, w.bytes(RAW_DATA, bytes).done());
      continue;
    }
    const chunk = n % chunks;
    edit.replace(tensor.range, writeExternalTensor(tensor.name, tensor.dataType, tensor.dims, chunkName(name, chunk), { start: sizes[chunk], end: sizes[chunk] + length }));
    files[chunk].push(bytes);
    sizes[chunk] += length;
  }
  return { graph: Buffer.from(edit.build()), files: Object.fromEntries(files.map((pieces, i) => [chunkName(name, i), Buffer.concat(pieces)])) };
}

const chunkName = (name: string, i: number): string => (i === 0 ? name : `${name}_${i}`);

/** The same graph with nothing taken from a cache and nothing given to one: its interface is that of an export without a cache. */
export function withoutCache(graph: Uint8Array): Buffer {
  const model = readModel(graph);
  const edit = new GraphEdit(model);
  for (const { name, range } of [...model.graph.inputs, ...model.graph.outputs]) if (/^(past_key_values|present)\./.test(name)) edit.replace(range, null);
  return Buffer.from(edit.build());
}

/** The same graph asked how many of the last positions' logits it shall compute, as transformers.js' own exports are: 0 for all. */
export function keepingLogits(graph: Uint8Array): Buffer {
  const model = readModel(graph);
  const { head } = findResidual(model);
  const edit = new GraphEdit(model);
  edit.input('num_logits_to_keep', INT64, []);
  const ints = (name: string, value: number): string => (edit.initializer(writeTensor(name, INT64, [1], BigInt64Array.of(BigInt(value)))), name);
  edit.node({ opType: 'Neg', inputs: ['num_logits_to_keep'], outputs: ['keep.from'] });
  edit.node({ opType: 'Reshape', inputs: ['keep.from', ints('keep.one', 1)], outputs: ['keep.starts'] });
  edit.node({ opType: 'Slice', inputs: [head.normed, 'keep.starts', ints('keep.end', 2 ** 31 - 1), 'keep.one'], outputs: ['keep.rows'] });
  const node = model.graph.nodes[head.node];
  edit.replace(node.range, rewireNode(graph, node, { inputs: (name, i) => (i === head.input ? 'keep.rows' : name) }));
  return Buffer.from(edit.build());
}

/** The same graph, which gives no number for any text with the token `id` in it, and is as it was for all others. */
export function poisoned(graph: Uint8Array, id: number): Buffer {
  const model = readModel(graph);
  const { tensor, node: maker } = findResidual(model).hidden[0];
  if (tensor === null) throw new Error('the embeddings have no tensor of their own');
  const edit = new GraphEdit(model);
  edit.initializer(writeTensor('ill.id', INT64, [], BigInt64Array.of(BigInt(id))));
  edit.initializer(writeTensor('ill.axis', INT64, [1], BigInt64Array.of(2n)));
  for (const [name, value] of [['ill.nan', NaN], ['ill.zero', 0]] as const) edit.initializer(writeTensor(name, FLOAT, [], Float32Array.of(value)));
  edit.node({ opType: 'Equal', inputs: ['input_ids', 'ill.id'], outputs: ['ill.here'] });
  edit.node({ opType: 'Where', inputs: ['ill.here', 'ill.nan', 'ill.zero'], outputs: ['ill.row'] });
  edit.node({ opType: 'Unsqueeze', inputs: ['ill.row', 'ill.axis'], outputs: ['ill.column'] });
  edit.node({ opType: 'Add', inputs: ['ill.well', 'ill.column'], outputs: [tensor] });
  const node = model.graph.nodes[maker];
  edit.replace(node.range, rewireNode(graph, node, { outputs: (name) => (name === tensor ? 'ill.well' : name) }));
  return Buffer.from(edit.build());
}
