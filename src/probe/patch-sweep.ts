/**
 * Runs a patching plan on a decoder. All layers of one group change the same positions, so what comes before the first of them is
 * computed once, kept as a key/value cache, and only the rest is run per layer: a readout patch costs one token, not a prompt.
 */
import { labFeeds, type Lab as Instruments, type Patch } from '../onnx';
import { LabError, throwIfAborted, toLabError } from '../runtime/errors';
import type { Tensor } from '../runtime/ort';
import { takeFloats, type Session } from '../runtime/session';
import { effect, landingState, positionsNeeded, readDifference, type SweepPlan, type SweepResult } from './patching';

/** What a sweep needs of a decoder (`models/decoder.ts` has it all). */
export interface PatchDecoder {
  readonly session: Pick<Session, 'inputs' | 'int64' | 'tensor' | 'run'>;
  readonly config: { kvHeads: number; headDim: number };
  readonly instruments: Instruments | null;
  readonly opaque: string | null;
  readonly width: number;
  checkLength(tokens: number): void;
  trace(ids: readonly number[], request: { positions: readonly number[]; logits: readonly number[] }): Promise<{ hidden: Float32Array; logits: Float32Array | null }>;
}

export interface SweepOptions {
  signal?: AbortSignal;
  /** After every run. */
  onProgress?: (done: number, total: number) => void;
  /** Continues a stopped sweep of the same plan: cells that were done are kept. */
  resume?: SweepResult;
  /** false: every run reads the whole prompt (to compare). Default true. */
  reusePrefix?: boolean;
}

/** A sweep that was cancelled or lost its device, with what it had done by then. */
export class SweepStopped extends LabError {
  constructor(
    why: LabError,
    readonly soFar: SweepResult,
  ) {
    super(why.code, why.message, why.hint, { cause: why });
  }
}

/** @throws LabError 'unsupported-graph' for a model without patch inputs, 'too-long'; SweepStopped once there is something to keep */
export async function sweep(decoder: PatchDecoder, plan: SweepPlan, options: SweepOptions = {}): Promise<SweepResult> {
  const { instruments } = decoder;
  if (!instruments?.patch) throw new LabError('unsupported-graph', `The lab cannot patch this model: ${decoder.opaque ?? 'it has no patch inputs'}.`, 'It can still answer.');
  const n = plan.layers.length;
  const total = plan.groups.length * n + 2;
  let count = 0;
  const step = (): void => options.onProgress?.(++count, total);

  const positions = positionsNeeded(plan);
  const clean = await decoder.trace(plan.clean, { positions, logits: [plan.clean.length - 1] });
  step();
  throwIfAborted(options.signal);
  const runner = new SuffixRunner(decoder, instruments, plan.corrupted);
  const result: SweepResult = options.resume ?? {
    layers: plan.layers,
    groups: plan.groups.map(({ group, match }) => ({ group, match })),
    absent: plan.absent,
    effects: new Float32Array(plan.groups.length * n).fill(NaN),
    differences: new Float32Array(plan.groups.length * n).fill(NaN),
    flips: new Uint8Array(plan.groups.length * n),
    done: new Uint8Array(plan.groups.length * n),
    clean: readDifference(clean.logits!, plan.a, plan.b),
    corrupted: { difference: NaN, top: -1 },
  };
  try {
    if (!options.resume) result.corrupted = readDifference(await runner.run(0, []), plan.a, plan.b);
    step();
    for (const [g, group] of plan.groups.entries()) {
      for (const [k, layer] of plan.layers.entries()) {
        if (!result.done[g * n + k]) {
          if (options.signal?.aborted) throw options.signal.reason;
          const patches = group.landings.map((landing): Patch => ({ layer, position: landing.to, state: landingState(clean.hidden, positions, decoder.width, layer, landing) }));
          const reading = readDifference(await runner.run(options.reusePrefix === false ? 0 : group.start, patches), plan.a, plan.b);
          result.effects[g * n + k] = effect(reading.difference, result.corrupted.difference, result.clean.difference) ?? NaN;
          result.differences[g * n + k] = reading.difference;
          result.flips[g * n + k] = Number(reading.top === plan.a && result.corrupted.top !== plan.a);
          result.done[g * n + k] = 1;
        }
        step();
      }
    }
    return result;
  } catch (error) {
    const why = options.signal?.aborted ? new LabError('cancelled', 'The patching sweep was stopped; what was done is kept.') : toLabError(error);
    throw new SweepStopped(why, result);
  } finally {
    runner.dispose();
  }
}

/** Runs the end of one text again and again after a cache of its beginning. */
class SuffixRunner {
  private start = -1;
  private past: Record<string, Tensor> = {};
  private readonly pastNames: string[];

  constructor(
    private readonly decoder: PatchDecoder,
    private readonly instruments: Instruments,
    private readonly ids: readonly number[],
  ) {
    decoder.checkLength(ids.length);
    this.pastNames = decoder.session.inputs.map((port) => port.name).filter((name) => /^past_key_values\.\d+\.(key|value)$/.test(name));
  }

  /** Logits at the last position, with the patches (positions of the whole text) in place. */
  async run(start: number, patches: readonly Patch[]): Promise<Float32Array> {
    if (start !== this.start) await this.prefill(start);
    const rows = [this.ids.length - 1 - start];
    const moved = patches.map((patch) => ({ ...patch, position: patch.position - start }));
    const out = await this.decoder.session.run(this.feeds(this.ids.slice(start), start, rows, moved), ['logits']);
    return takeFloats(out['logits']);
  }

  dispose(): void {
    for (const tensor of Object.values(this.past)) tensor.dispose();
    this.past = {};
    this.start = -1;
  }

  private async prefill(start: number): Promise<void> {
    this.dispose();
    this.past = this.empty();
    if (start > 0) {
      const names = this.pastNames.map((name) => name.replace('past_key_values', 'present'));
      const out = await this.decoder.session.run(this.feeds(this.ids.slice(0, start), 0, [start - 1], []), names);
      this.dispose();
      for (const name of this.pastNames) this.past[name] = out[name.replace('past_key_values', 'present')];
    }
    this.start = start;
  }

  private feeds(ids: readonly number[], before: number, rows: readonly number[], patches: readonly Patch[]): Record<string, Tensor> {
    const { session } = this.decoder;
    const total = before + ids.length;
    const feeds: Record<string, Tensor> = { ...this.past };
    for (const { name } of session.inputs) {
      if (name === 'input_ids') feeds[name] = session.int64(ids, [1, ids.length]);
      else if (name === 'attention_mask') feeds[name] = session.tensor('int64', new BigInt64Array(total).fill(1n), [1, total]);
      else if (name === 'position_ids') feeds[name] = session.int64(Array.from(ids, (_, i) => before + i), [1, ids.length]);
      else if (name === 'num_logits_to_keep') feeds[name] = session.int64([0], []);
    }
    for (const [name, { type, data, dims }] of Object.entries(labFeeds(this.instruments, { rows, patches }))) feeds[name] = session.tensor(type, data, dims);
    return feeds;
  }

  private empty(): Record<string, Tensor> {
    const { kvHeads, headDim } = this.decoder.config;
    const known = [1, kvHeads, 0, headDim];
    const out: Record<string, Tensor> = {};
    for (const { name, type, shape } of this.decoder.session.inputs) {
      if (!this.pastNames.includes(name)) continue;
      const dims = known.map((value, i) => (i % 2 === 1 && typeof shape[i] === 'number' ? (shape[i] as number) : value));
      out[name] = this.decoder.session.tensor(type as Tensor.Type, emptyOf(type), dims);
    }
    return out;
  }
}

function emptyOf(type: string): Tensor.DataType {
  if (type !== 'float16') return new Float32Array(0);
  const half = (globalThis as { Float16Array?: new (n: number) => Tensor.DataType }).Float16Array;
  return half ? new half(0) : new Uint16Array(0);
}
