/**
 * What an instrumented graph offers beside its own inputs and outputs, how to feed it, and how to read it.
 * Plain data only: the runtime wraps each `LabTensor` in its own tensor class.
 *
 * Every lab input must be fed on every run. With the silent feeds the graph does the work of the untouched file and its
 * logits are bit-equal to it (rows = all positions), on the CPU (16-bit files: prepared with `halvesInFloat`) and on WebGPU.
 */

/** The inputs every instrumented graph has. Positions count from 0 within THIS run's `input_ids`, not within the whole text. */
export const LAB_INPUTS = {
  /** int64 [n]: positions whose residual stream is returned in `lab.hidden`; n = 0 is silent. */
  positions: 'lab.positions',
  /** int64 [r], r ≥ 1: positions that go through the model's head. `logits` becomes [1, r, vocab]. */
  rows: 'lab.rows',
  /** bool []: compute the lens statistics. Off = nothing is computed, whatever the other lens inputs say. */
  lensOn: 'lab.lens_on',
  /** int64 [m]: positions of this run to read. */
  lensPositions: 'lab.lens_positions',
  /** int64 [k]: layers (0 … L) to read at every lens position. */
  lensLayers: 'lab.lens_layers',
  /** float32 [s, width]: residual states kept from an earlier run (or made up) to read with the same lens. */
  lensStates: 'lab.lens_states',
  /** int64 [t], t ≥ 1 when the lens is on: followed token ids. */
  lensTokens: 'lab.lens_tokens',
  /** int64 [], ≥ 1: most decoding steps of this run; only in a loop (loop.ts). */
  steps: 'lab.steps',
  /** int64 [s]: token ids after which no further step is made; only in a loop. */
  stop: 'lab.stop',
} as const;

export const LAB_OUTPUTS = {
  /** int64 [1, r]: the arg-max token of each row of `logits`. */
  next: 'lab.next',
  /** float32 [L+1, n, width]: h[0] = embeddings … h[L] = last block's output before the final norm. */
  hidden: 'lab.hidden',
  /** int64 [1, c, topK], c = k·m + s: ids of the most likely tokens per cell; cells run layer by layer, then `lens_states`. */
  lensIds: 'lab.lens_ids',
  /** float32 [1, c, topK + 2 + 2t]: top-K logits | log-sum-exp | entropy in nats | t logits | t ranks (0 = top). */
  lens: 'lab.lens',
  /** int64 [steps made]: the token of the last row, step by step; only in a loop. */
  tokens: 'lab.tokens',
} as const;

/** What `instrument` put into the graph. */
export interface Lab {
  /** Number of blocks L; hidden states have L+1 layers. */
  layers: number;
  /** Residual width. */
  width: number;
  /** Tokens kept per lens cell (fixed when the graph was instrumented). */
  topK: number;
  /** Whether the graph takes patches (`lab.patch_at.{l}` int64 [p, 2], `lab.patch_states.{l}` float32 [p, width], for every l). */
  patch: boolean;
  /** Whether one run can make several decoding steps (`inLoop`). */
  loop: boolean;
}

export interface LabTensor {
  type: 'int64' | 'float32' | 'bool';
  data: BigInt64Array | Float32Array | Uint8Array;
  dims: number[];
}

/** Replace the residual stream of `layer` at `position` (of this run) by `state` [width] before the next block reads it. */
export interface Patch {
  layer: number;
  position: number;
  state: Float32Array;
}

/** What to read or change in one run. Everything but `rows` may be left out. */
export interface LabRequest {
  /** Positions whose logits are wanted; usually only the last one. At least one. */
  rows: readonly number[];
  positions?: readonly number[];
  lens?: {
    positions?: readonly number[];
    layers?: readonly number[];
    /** float32 [s, width], row-major: states from anywhere; read by the same final norm and head. */
    states?: Float32Array;
    tokens?: readonly number[];
  };
  patches?: readonly Patch[];
  /** In a loop: most decoding steps of this run (default 1), and the token ids that end it sooner. Several steps leave all else silent. */
  steps?: number;
  stop?: readonly number[];
}

const NONE = new BigInt64Array(0);

function int64(values: readonly number[]): LabTensor {
  return { type: 'int64', data: values.length === 0 ? NONE : BigInt64Array.from(values, BigInt), dims: [values.length] };
}

/**
 * Feeds for every lab input. Memory: the lens needs about `cells · vocab · (12 + 8t)` bytes for a moment, so a caller with many
 * cells runs once for the states and then reads them in chunks through `lens.states` behind a one-token run.
 */
export function labFeeds(lab: Lab, request: LabRequest): Record<string, LabTensor> {
  const { width, layers } = lab;
  const lens = request.lens;
  const positions = lens?.positions ?? [];
  const lensLayers = positions.length === 0 ? [] : (lens?.layers ?? []);
  const states = lens?.states ?? new Float32Array(0);
  if (request.rows.length === 0) throw new RangeError('rows: at least one position must go through the head');
  if (states.length % width !== 0) throw new RangeError(`lens.states: ${states.length} numbers are not rows of ${width}`);
  if (lensLayers.some((l) => !Number.isInteger(l) || l < 0 || l > layers)) throw new RangeError(`lens.layers: 0 … ${layers}`);
  const cells = positions.length * lensLayers.length + states.length / width;
  const feeds: Record<string, LabTensor> = {
    [LAB_INPUTS.positions]: int64(request.positions ?? []),
    [LAB_INPUTS.rows]: int64(request.rows),
    [LAB_INPUTS.lensOn]: { type: 'bool', data: Uint8Array.of(cells > 0 ? 1 : 0), dims: [] },
    [LAB_INPUTS.lensPositions]: int64(positions),
    [LAB_INPUTS.lensLayers]: int64(lensLayers),
    [LAB_INPUTS.lensStates]: { type: 'float32', data: states, dims: [states.length / width, width] },
    // One unused token keeps every lens tensor non-empty: reductions over nothing are not dependable on every device.
    [LAB_INPUTS.lensTokens]: int64(lens?.tokens?.length ? lens.tokens : [0]),
  };
  if (lab.loop) {
    feeds[LAB_INPUTS.steps] = { ...int64([request.steps ?? 1]), dims: [] };
    feeds[LAB_INPUTS.stop] = int64(request.stop ?? []);
  } else if ((request.steps ?? 1) !== 1) throw new RangeError('steps: this graph makes one step a run');
  if (!lab.patch) {
    if (request.patches?.length) throw new RangeError('patches: this graph was instrumented without patch inputs');
    return feeds;
  }
  const byLayer = new Map<number, Patch[]>();
  for (const patch of request.patches ?? []) {
    if (!(patch.layer >= 0 && patch.layer <= layers)) throw new RangeError(`patch.layer: 0 … ${layers}`);
    if (patch.state.length !== width) throw new RangeError(`patch.state: ${patch.state.length} numbers, the stream has ${width}`);
    byLayer.set(patch.layer, [...(byLayer.get(patch.layer) ?? []), patch]);
  }
  for (let l = 0; l <= layers; l++) {
    const here = byLayer.get(l) ?? [];
    const data = new Float32Array(here.length * width);
    here.forEach((patch, i) => data.set(patch.state, i * width));
    const at = int64(here.flatMap((patch) => [0, patch.position]));
    feeds[`lab.patch_at.${l}`] = { ...at, dims: [here.length, 2] };
    feeds[`lab.patch_states.${l}`] = { type: 'float32', data, dims: [here.length, width] };
  }
  return feeds;
}

/** One lens reading; probabilities are `exp(logit − logSumExp)`. */
export interface LensReading {
  top: { id: number; logit: number; p: number }[];
  logSumExp: number;
  /** Nats. */
  entropy: number;
  /** In the order of `lens.tokens`. */
  followed: { logit: number; p: number; rank: number }[];
}

/** Unpacks `lab.lens_ids` and `lab.lens` into cells: layer-major over (lens.layers × lens.positions), then `lens.states`. */
export function readLens(lab: Lab, ids: BigInt64Array, values: Float32Array, tokens: number): LensReading[] {
  const k = lab.topK;
  const followedCount = Math.max(1, tokens);
  const stride = k + 2 + 2 * followedCount;
  const cells: LensReading[] = [];
  for (let c = 0; c * stride < values.length; c++) {
    const row = values.subarray(c * stride, (c + 1) * stride);
    const logSumExp = row[k];
    const p = (logit: number) => Math.exp(logit - logSumExp);
    cells.push({
      top: Array.from({ length: k }, (_, i) => ({ id: Number(ids[c * k + i]), logit: row[i], p: p(row[i]) })),
      logSumExp,
      entropy: row[k + 1],
      followed: Array.from({ length: tokens }, (_, i) => {
        const logit = row[k + 2 + i];
        return { logit, p: p(logit), rank: row[k + 2 + followedCount + i] };
      }),
    });
  }
  return cells;
}
