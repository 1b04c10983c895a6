/** A model file whose weights lie in one file beside it, cut up as large exports are: some inside, the rest over several chunks. */
import { GraphEdit, readModel } from '../src/onnx';
import { writeExternalTensor } from '../src/onnx/write';
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
