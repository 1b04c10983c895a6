/** From the bytes of a downloaded model file to what a session is created from. */
import { OnnxError } from './error';
import { GraphEdit } from './edit';
import { externalise } from './externalise';
import { instrument } from './instrument';
import { checkKernels, growCaches } from './kernels';
import { inLoop } from './loop';
import type { Lab } from './lab';
import { makePrecise } from './precise';
import { readModel } from './read';
import { findResidual } from './residual';
import type { OnnxValueInfo } from './types';
import { FLOAT16 } from './write';

export interface PrepareOptions {
  /** Where the session will run: a graph that the device's kernels cannot run is refused. Default: not looked at. */
  device?: 'wasm' | 'webgpu';
  /** `num_hidden_layers` of config.json. The graph is refused (opaque) when it shows another count. */
  layers?: number;
  /** Tokens kept per lens cell; default 10. */
  topK?: number;
  /** Add patch inputs; default true. */
  patch?: boolean;
  /** For the CPU: patch inputs of 16-bit graphs that round nothing while they are silent (instrument.ts); default false. */
  halvesInFloat?: boolean;
  /**
   * For the CPU: several decoding steps in one run (loop.ts); default false. Not of 16-bit graphs: which Casts the CPU inserts into them
   * and takes out again depends on where their nodes stand, and a body rounds elsewhere.
   */
  loop?: boolean;
  /** Run 4-bit products on float activations instead of int8 ones (accuracy_level 4 → 1); default false. */
  precise?: boolean;
}

export interface Prepared {
  /** The model to create a session from: small, whatever the original was. */
  bytes: Uint8Array;
  /** The same without the lab's additions: the graph as it came, its weights outside. What the way back is made from (diff/). */
  plain: Uint8Array;
  /**
   * Set when the original held its weights inside: give the ORIGINAL bytes to the session as external data under this path
   * (`externalData: [{ path, data: original }]`), beside any external files the model already had.
   */
  selfPath: string | null;
  /** External files the graph names (`model.onnx_data` …), `selfPath` excluded. */
  externalPaths: string[];
  /** The graph's own inputs, lab inputs excluded: what the decode loop must feed. */
  inputs: OnnxValueInfo[];
  /** The graph's own outputs, lab outputs excluded. */
  outputs: OnnxValueInfo[];
  /** null: the graph runs, but the lab cannot look inside; `opaque` says why. */
  lab: Lab | null;
  opaque: string | null;
}

/** The name under which the original file is given to the session as its own external data. */
const SELF = 'lab.weights';

/** Throws OnnxError: a damaged file, or one that this device cannot run. An unknown structure is no error but an opaque model. */
export function prepareModel(bytes: Uint8Array, options: PrepareOptions = {}): Prepared {
  let model = readModel(bytes);
  growCaches(model);
  if (options.device) checkKernels(model, options.device);
  const external = new Set<string>();
  for (const { data } of model.graph.initializers.values()) if (data.kind === 'external') external.add(data.location.replace(/^\.\//, ''));
  const { inputs, outputs } = model.graph;

  // First make the file small, then work on the small one: the second pass copies everything it keeps.
  const edit = new GraphEdit(model);
  const moved = externalise(edit, SELF);
  const sharpened = options.precise ? makePrecise(edit) : 0;
  if (moved || sharpened > 0) model = readModel(edit.build());

  const prepared: Prepared = {
    bytes: model.bytes,
    plain: model.bytes,
    selfPath: moved ? SELF : null,
    externalPaths: [...external],
    inputs: inputs.filter(({ name }) => !model.graph.initializers.has(name)),
    outputs,
    lab: null,
    opaque: null,
  };
  try {
    const { bytes: instrumented, lab } = instrument(model, findResidual(model, options.layers), options);
    const loop = options.loop && [...model.graph.initializers.values()].every(({ dataType }) => dataType !== FLOAT16);
    return { ...prepared, ...(loop ? { bytes: inLoop(readModel(instrumented)), lab: { ...lab, loop: true } } : { bytes: instrumented, lab }) };
  } catch (error) {
    if (!(error instanceof OnnxError) || error.code !== 'unsupported') throw error;
    return { ...prepared, opaque: error.message };
  }
}
