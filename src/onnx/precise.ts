/**
 * 4-bit products (MatMulNBits) with accuracy_level 4 round their activations to int8, each backend in its own way: about 1 % of
 * the logit scale between WebGPU and WASM.  Level 1 keeps float activations and brings agreement to 1e-6.
 */
import type { GraphEdit } from './edit';
import type { OnnxNode } from './types';

const INT8_ACTIVATIONS = 4;
const FLOAT_ACTIVATIONS = 1;

/** A node's content with level 4 turned into 1; null when the node does not round its activations. */
export function preciseNode(bytes: Uint8Array, node: OnnxNode): Uint8Array | null {
  const level = node.attributes.get('accuracy_level');
  if (node.opType !== 'MatMulNBits' || level?.i !== INT8_ACTIVATIONS || level.iRange?.end !== level.iRange!.start + 1) return null;
  const content = bytes.slice(node.range.start, node.range.end);
  content[level.iRange.start - node.range.start] = FLOAT_ACTIVATIONS;
  return content;
}

/** Returns how many nodes were changed. */
export function makePrecise(edit: GraphEdit): number {
  let changed = 0;
  for (const node of edit.model.graph.nodes) {
    const content = preciseNode(edit.model.bytes, node);
    if (!content) continue;
    edit.replace(node.range, content);
    changed++;
  }
  return changed;
}
