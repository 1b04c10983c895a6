/**
 * Moves the weights of a single-file model out of it without moving them: each big tensor becomes "external data" whose place
 * is its offset in the original file, and the same download buffer is given to the session as that external file.  The runtime
 * then reads tensors one by one instead of copying the whole file into its heap (400 MB file: 873 → 16 MB of WASM heap).
 */
import type { GraphEdit } from './edit';
import { writeExternalTensor } from './write';

/** Shapes and axes must stay inside: shape inference reads them before external data is there. */
const KEEP_INSIDE = 1024;

/** Returns whether anything was moved; `location` is the name under which the session must be given the original bytes. */
export function externalise(edit: GraphEdit, location: string): boolean {
  let moved = false;
  for (const tensor of edit.model.graph.initializers.values()) {
    if (tensor.data.kind !== 'raw' || tensor.data.range.end - tensor.data.range.start < KEEP_INSIDE) continue;
    edit.replace(tensor.range, writeExternalTensor(tensor.name, tensor.dataType, tensor.dims, location, tensor.data.range));
    moved = true;
  }
  return moved;
}
