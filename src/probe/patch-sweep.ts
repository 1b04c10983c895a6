/**
 * Runs a patching plan on a decoder. All layers of one group change the same positions, so what comes before the first of them is
 * computed once, kept as a key/value cache, and only the rest is run per layer: a readout patch costs one token, not a prompt.
 *
 * A product of a few rows rounds otherwise than one of many, so nothing is compared across two ways of running: for each group the
 * clean run that gives its states, the unpatched run and the patched ones are all cut in the same places. A run that is patched with
 * its own states is then itself to the last bit, and its effect is 0 and not a rounding error.
 */
import { LAB_OUTPUTS, labFeeds, type Lab as Instruments, type LabRequest, type Patch } from '../onnx';
import { LabError, throwIfAborted, toLabError } from '../runtime/errors';
import type { Tensor } from '../runtime/ort';
import { takeFloats, type Session } from '../runtime/session';
import { effect, landingState, readDifference, sameLogits, sourcesOf, type Reading, type SweepPlan, type SweepResult } from './patching';

/** What a sweep needs of a decoder (`models/decoder.ts` has it all). */
export interface PatchDecoder {
  readonly session: Pick<Session, 'inputs' | 'int64' | 'tensor' | 'run'>;
  readonly config: { kvHeads: number; headDim: number };
  readonly instruments: Instruments | null;
  readonly opaque: string | null;
  readonly width: number;
  checkLength(tokens: number): void;
}

export interface SweepOptions {
  signal?: AbortSignal;
  /** After every run. */
  onProgress?: (done: number, total: number) => void;
  /** Before the first run and after each patched one: the result as it fills. The same object every time. */
  onPart?: (soFar: SweepResult) => void;
  /** The logits of a patched run beside those of the clean one, by the place of its layer in the plan. */
  onLogits?: (layer: number, patched: Float32Array, clean: Float32Array) => void;
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
  const total = runsOf(plan);
  let count = 0;
  const step = (): void => options.onProgress?.(++count, total);
  const read = (logits: Float32Array): Reading => readDifference(logits, plan.a, plan.b);

  const clean = new SuffixRunner(decoder, instruments, plan.clean);
  const corrupted = new SuffixRunner(decoder, instruments, plan.corrupted);
  const cells = plan.groups.length * n;
  const result: SweepResult = options.resume ?? {
    layers: plan.layers,
    groups: plan.groups.map(({ group, match }) => ({ group, match })),
    absent: plan.absent,
    effects: new Float32Array(cells).fill(NaN),
    differences: new Float32Array(cells).fill(NaN),
    flips: new Uint8Array(cells),
    done: new Uint8Array(cells),
    clean: { difference: NaN, top: -1 },
    corrupted: { difference: NaN, top: -1 },
  };
  // From the beginning of the text to its end, so that each group's cache goes on from the last one's. All of them also when some
  // are done: where the runs are cut must not depend on where a sweep was stopped.
  const order = plan.groups.map((group, g) => ({ ...group, g })).sort((x, y) => x.start - y.start);
  try {
    options.onPart?.(result);
    if (order.length === 0) [result.clean, result.corrupted] = [read((await clean.run(0, [])).logits), read((await corrupted.run(0, [])).logits)];
    for (const group of order) {
      throwIfAborted(options.signal);
      const { g, landings } = group;
      const positions = sourcesOf(group);
      const reuse = options.reusePrefix !== false;
      const from = await clean.run(reuse ? positions[0] : 0, [], positions);
      step();
      const start = reuse ? group.start : 0;
      const unpatched = (await corrupted.run(start, [])).logits;
      step();
      const [there, here] = [read(from.logits), read(unpatched)];
      if (group === order[0]) [result.clean, result.corrupted] = [there, here];
      for (const [k, layer] of plan.layers.entries()) {
        if (!result.done[g * n + k]) {
          if (options.signal?.aborted) throw options.signal.reason;
          const patches = landings.map((landing): Patch => ({ layer, position: landing.to, state: landingState(from.hidden, positions, decoder.width, layer, landing) }));
          const { logits } = await corrupted.run(start, patches);
          const reading = read(logits);
          result.effects[g * n + k] = effect(reading.difference, here.difference, there.difference, sameLogits(logits, unpatched)) ?? NaN;
          result.differences[g * n + k] = reading.difference;
          result.flips[g * n + k] = Number(reading.top === plan.a && here.top !== plan.a);
          result.done[g * n + k] = 1;
          options.onLogits?.(k, logits, from.logits);
          options.onPart?.(result);
        }
        step();
      }
    }
    return result;
  } catch (error) {
    const why = options.signal?.aborted ? new LabError('cancelled', 'The patching sweep was stopped; what was done is kept.') : toLabError(error);
    throw new SweepStopped(why, result);
  } finally {
    clean.dispose();
    corrupted.dispose();
  }
}

/** How many runs a sweep reports: for each group a clean one, an unpatched one and a patched one for every layer. */
export const runsOf = (plan: SweepPlan): number => plan.groups.length * (plan.layers.length + 2);

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

  /**
   * Logits at the last position, with the patches in place, and the states of all layers at `positions` [layers + 1, positions, width]
   * (places of the whole text, none before `start`).
   */
  async run(start: number, patches: readonly Patch[], positions: readonly number[] = []): Promise<{ logits: Float32Array; hidden: Float32Array }> {
    if (start !== this.start) await this.prefill(start);
    const moved = {
      rows: [this.ids.length - 1 - start],
      positions: positions.map((position) => position - start),
      patches: patches.map((patch) => ({ ...patch, position: patch.position - start })),
    };
    const states = positions.length > 0 ? [LAB_OUTPUTS.hidden] : [];
    const out = await this.decoder.session.run(this.feeds(this.ids.slice(start), start, moved), ['logits', ...states]);
    return { logits: await takeFloats(out['logits']), hidden: states.length > 0 ? await takeFloats(out[LAB_OUTPUTS.hidden]) : new Float32Array(0) };
  }

  dispose(): void {
    for (const tensor of Object.values(this.past)) tensor.dispose();
    this.past = {};
    this.start = -1;
  }

  /** A cache of the first `start` tokens: the one there is, gone on with, or a new one. */
  private async prefill(start: number): Promise<void> {
    if (start < this.start || this.start < 0) {
      this.dispose();
      this.past = this.empty();
      this.start = 0;
    }
    if (start > this.start) {
      const names = this.pastNames.map((name) => name.replace('past_key_values', 'present'));
      const out = await this.decoder.session.run(this.feeds(this.ids.slice(this.start, start), this.start, { rows: [start - 1 - this.start] }), names);
      this.dispose();
      for (const name of this.pastNames) this.past[name] = out[name.replace('past_key_values', 'present')];
    }
    this.start = start;
  }

  private feeds(ids: readonly number[], before: number, request: LabRequest): Record<string, Tensor> {
    const { session } = this.decoder;
    const total = before + ids.length;
    const feeds: Record<string, Tensor> = { ...this.past };
    for (const { name } of session.inputs) {
      if (name === 'input_ids') feeds[name] = session.int64(ids, [1, ids.length]);
      else if (name === 'attention_mask') feeds[name] = session.tensor('int64', new BigInt64Array(total).fill(1n), [1, total]);
      else if (name === 'position_ids') feeds[name] = session.int64(Array.from(ids, (_, i) => before + i), [1, ids.length]);
      else if (name === 'num_logits_to_keep') feeds[name] = session.int64([0], []);
    }
    for (const [name, { type, data, dims }] of Object.entries(labFeeds(this.instruments, request))) feeds[name] = session.tensor(type, data, dims);
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
