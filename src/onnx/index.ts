/**
 * ONNX graphs as plain data: read, understand, extend.  Pure: no runtime, no DOM, no network.
 *
 * The short way in:
 *
 *     const prepared = prepareModel(bytes, { layers: config.num_hidden_layers });
 *     // session from prepared.bytes; externalData: the model's own files, plus { path: prepared.selfPath, data: bytes } if set
 *     const feeds = labFeeds(prepared.lab, { rows: [last], positions: [0, 1, 2], lens: { positions: [last], layers: [0, 1], tokens: [42] } });
 *     // run with { input_ids, attention_mask, past …, ...feeds }
 *     const cells = readLens(prepared.lab, outputs['lab.lens_ids'].data, outputs['lab.lens'].data, 1);
 */
export { OnnxError } from './error';
export { LAB_INPUTS, LAB_OUTPUTS, labFeeds, readLens } from './lab';
export type { Lab, LabRequest, LabTensor, LensReading, Patch } from './lab';
export { prepareModel } from './prepare';
export type { Prepared, PrepareOptions } from './prepare';
export type * from './types';

// The single steps, for whoever needs more than `prepareModel`.
export { GraphEdit } from './edit';
export { externalise } from './externalise';
export { instrument } from './instrument';
export type { InstrumentOptions } from './instrument';
export { inLoop } from './loop';
export { makePrecise } from './precise';
export { readModel } from './read';
export { findResidual } from './residual';
export type { Residual, ResidualPoint } from './residual';
