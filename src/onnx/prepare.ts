/** From the bytes of a downloaded model file to what a session is created from. */
import { OnnxError } from './error';
import type { Lab } from './lab';
import type { OnnxValueInfo } from './types';

export interface PrepareOptions {
  /** `num_hidden_layers` of config.json. The graph is refused (opaque) when it shows another count. */
  layers?: number;
  /** Tokens kept per lens cell; default 10. */
  topK?: number;
  /** Add patch inputs; default true. */
  patch?: boolean;
  /** Run 4-bit products on float activations instead of int8 ones (accuracy_level 4 → 1); default false. */
  precise?: boolean;
}

export interface Prepared {
  /** The model to create a session from: small, whatever the original was. */
  bytes: Uint8Array;
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

/** Throws OnnxError('broken') for a damaged file; an unknown structure is no error but an opaque model. */
export function prepareModel(_bytes: Uint8Array, _options: PrepareOptions = {}): Prepared {
  throw new OnnxError('unsupported', 'not built yet');
}
