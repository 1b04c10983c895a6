/**
 * The way back as a second program in the decoder's own file: one `If` at the top, whose branch reads the weights that the decoder
 * reads. So they are in memory once, packed ones included, and a run of the decoder alone computes nothing of it.
 */
import { ProtoWriter } from '../proto';
import type { OnnxModel } from '../types';
import { BOOL, writeGraph, writeNode, writeTensor, writeValueInfo } from '../write';
import { OUTSIDE, type Emitter } from './emit';
import { MS } from './ir';

/** bool []: whether this run is one of the way back. All its inputs must be fed on every run; off, their numbers do not matter. */
export const SWITCH = `${OUTSIDE}on`;

/** The file with the branch in it. Inputs and outputs of the way back carry `OUTSIDE` before their names. */
export function asBranch({ bytes, opsets }: OnnxModel, e: Emitter): Uint8Array {
  const on = new ProtoWriter();
  for (const node of e.nodes) on.bytes(1, node);
  on.string(2, 'back.on');
  for (const tensor of e.tensors) on.bytes(5, tensor);
  for (const { name, elemType, shape } of e.outputs) on.bytes(12, writeValueInfo(e.wire(name), elemType, shape));

  const nothing = ({ name, elemType, shape }: Emitter['outputs'][number]): Uint8Array => {
    const tensor = writeTensor(name, elemType, shape.map(() => 0), new Float32Array(0));
    return writeNode({ opType: 'Constant', inputs: [], outputs: [`back.none.${name}`], attributes: { value: { tensor } } });
  };
  const off = writeGraph('back.off', e.outputs.map(nothing), e.outputs.map(({ name, elemType }) => writeValueInfo(`back.none.${name}`, elemType)));

  const top = new ProtoWriter();
  const outputs = e.outputs.map(({ name }) => OUTSIDE + name);
  top.bytes(1, writeNode({ opType: 'If', inputs: [SWITCH], outputs, attributes: { then_branch: { graph: on.done() }, else_branch: { graph: off } } }));
  top.bytes(11, writeValueInfo(SWITCH, BOOL, []));
  for (const { name, elemType, shape } of e.inputs) top.bytes(11, writeValueInfo(OUTSIDE + name, elemType, shape));
  for (const { name, elemType } of e.outputs) top.bytes(12, writeValueInfo(OUTSIDE + name, elemType));

  // A second graph field at the end of a file is merged into the first.
  const file = new ProtoWriter().raw(bytes).bytes(7, top.done());
  if (!opsets.has(MS)) file.bytes(8, new ProtoWriter().string(1, MS).uint(2, 1).done());
  return file.done();
}
