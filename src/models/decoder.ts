/**
 * A decoder-only language model: our own session and greedy loop. The next token is chosen in the graph, so that one token id
 * leaves the device per step; the key/value cache stays where it was computed. One trace reads every layer at any positions.
 *
 * Ids go in and come out here; text is `prompting.ts`, bytes of the graph are `src/onnx`.
 */
import { LAB_INPUTS, LAB_OUTPUTS, labFeeds, readLens, type Lab as Instruments, type LabRequest, type LensReading, type Patch } from '../onnx';
import { LabError, throwIfAborted } from '../runtime/errors';
import type { Tensor } from '../runtime/ort';
import { Session, takeFloats, takeInts, type Port, type SessionSource } from '../runtime/session';
import type { Device } from '../types';
import { argMaxLast, Breath, disposePast, emptyOf, presentOf, sumLogProb, type Past } from './cache';
import type { ModelConfig } from './config';
import { PAST } from './graph';

export interface DecoderSource extends SessionSource {
  /** null: the graph runs, but the lab cannot look inside. */
  instruments: Instruments | null;
  opaque: string | null;
  /** Names of the graph's own outputs: the cache among them is kept on the GPU. */
  outputs: string[];
}

export interface GenerateOptions {
  maxTokens: number;
  stopIds: readonly number[];
  /** Called with each new token; true ends the answer after it (a stop string was seen). */
  onToken?: (id: number) => boolean | void;
  signal?: AbortSignal;
  /** The cache of the first `prefix.length` ids, borrowed: it stays valid. It must leave at least one id to read. */
  prefix?: DecoderPrefix | null;
}

/** The key/value cache of a text's beginning, where it was computed; any number of branches may start from it. */
export interface DecoderPrefix {
  readonly length: number;
  dispose(): void;
}

export interface Generated {
  /** Without the stop token. */
  ids: number[];
  stop: 'eos' | 'length';
  prefillMs: number;
  decodeMs: number;
}

export interface TraceRequest {
  /** Positions to return states of; [] for none. */
  positions: readonly number[];
  lens?: { positions: readonly number[]; layers: readonly number[]; tokens: readonly number[] };
  patches?: readonly Patch[];
  /** Positions whose logits are wanted; default none (the graph always computes the last one). */
  logits?: readonly number[];
}

export interface Trace {
  /** [layers+1, positions, width], before any final norm. */
  hidden: Float32Array;
  /** Layer-major over lens.layers × lens.positions. */
  lens: LensReading[];
  /** Arg-max at the last position (or at each of `logits`). */
  next: Int32Array;
  /** [logits.length, vocab], null when not asked for. */
  logits: Float32Array | null;
}

/** What the lens may take for a moment: enough for one position through 30 layers of a 150k vocabulary. */
const LENS_BYTES = 128 * 2 ** 20;
/** Where a run can make several steps, it makes as many as fit in so many milliseconds: a cancel and the reader's eye wait no longer. */
const RUN_MS = 48;
const MOST_STEPS = 16;

export class Decoder {
  readonly layers: number;
  readonly width: number;
  private readonly pastPorts: Port[];
  private readonly has: Record<'attention_mask' | 'position_ids' | 'num_logits_to_keep', boolean>;
  private readonly presentNames: string[];
  /** What a decoding step took last time. */
  private stepMs: number | null = null;
  private readonly prefixes = new WeakMap<DecoderPrefix, Past>();

  private constructor(
    readonly session: Session,
    readonly config: ModelConfig,
    readonly instruments: Instruments | null,
    readonly opaque: string | null,
  ) {
    this.layers = instruments?.layers ?? config.layers;
    this.width = instruments?.width ?? config.width;
    const inputs = session.inputs;
    this.pastPorts = inputs.filter((port) => PAST.test(port.name));
    const there = (name: string): boolean => inputs.some((port) => port.name === name);
    this.has = {
      attention_mask: there('attention_mask'),
      position_ids: there('position_ids'),
      num_logits_to_keep: there('num_logits_to_keep'),
    };
    this.presentNames = this.pastPorts.map((port) => presentOf(port.name));
  }

  /** Of a graph whose inputs and outputs were found to be a decoder's (`checkPorts`). @throws LabError as `Session.create` */
  static async create(source: DecoderSource, config: ModelConfig, device: Device): Promise<Decoder> {
    const keepOnDevice = source.outputs.filter((name) => name.startsWith('present'));
    return new Decoder(await Session.create(source, { device, keepOnDevice }), config, source.instruments, source.opaque);
  }

  /**
   * Greedy continuation of `ids`.
   * @throws LabError 'too-long' when the prompt leaves no room; 'cancelled' | 'superseded' by the signal
   */
  async generate(ids: readonly number[], options: GenerateOptions): Promise<Generated> {
    this.checkLength(ids.length + 1);
    const room = Math.min(options.maxTokens, this.config.maxLength - ids.length);
    const out: number[] = [];
    const breath = new Breath();
    let past = this.pastOf(ids, options.prefix);
    const started = performance.now();
    let prefillMs = 0;
    let feed = ids.slice(past.length);
    try {
      for (;;) {
        throwIfAborted(options.signal);
        const began = performance.now();
        const made = await this.step(feed, past, prefillMs === 0 ? 1 : this.stepsAtOnce(room - out.length), options.stopIds);
        past = made.past;
        if (prefillMs === 0) prefillMs = performance.now() - started;
        else this.stepMs = (performance.now() - began) / made.tokens.length;
        for (const token of made.tokens) {
          if (options.stopIds.includes(token)) return done('eos');
          out.push(token);
          if (options.onToken?.(token)) return done('eos');
          if (out.length >= room) return done('length');
        }
        feed = made.tokens.slice(-1);
        await breath.take();
      }
    } finally {
      disposePast(past);
    }

    function done(stop: Generated['stop']): Generated {
      return { ids: out, stop, prefillMs, decodeMs: performance.now() - started - prefillMs };
    }
  }

  /**
   * The cache of `ids`, kept until it is disposed of: on the GPU on WebGPU, as plain copies on WASM.
   * @throws LabError 'too-long'
   */
  async prefill(ids: readonly number[]): Promise<DecoderPrefix> {
    this.checkLength(ids.length + 1);
    const { past } = await this.step(ids, this.emptyPast());
    const prefix: DecoderPrefix = { length: ids.length, dispose: () => disposePast(past) };
    this.prefixes.set(prefix, { ...past, borrowed: true });
    return prefix;
  }

  /**
   * Σ ln p of `ids[from…]`, each after all before it, in one run. Natural logarithm of the softmax over the whole vocabulary.
   * @throws LabError 'too-long'
   */
  async logProb(ids: readonly number[], from: number, prefix: DecoderPrefix | null = null): Promise<number> {
    this.checkLength(ids.length);
    const past = this.pastOf(ids.slice(0, from), prefix);
    // The last id is only predicted, never read.
    const feed = ids.slice(past.length, -1);
    const first = from - 1 - past.length;
    const rows = Array.from({ length: ids.length - from }, (_, i) => first + i);
    try {
      const out = await this.session.run(this.feeds(feed, past, { rows }), ['logits']);
      const { dims } = out['logits'];
      return sumLogProb(await takeFloats(out['logits']), dims[dims.length - 1], ids.slice(from));
    } finally {
      disposePast(past);
    }
  }

  /**
   * One run over `ids` from an empty cache, with the instruments on.
   * @throws LabError 'unsupported-graph' for an opaque model, 'too-long'
   */
  async trace(ids: readonly number[], request: TraceRequest): Promise<Trace> {
    const { instruments } = this;
    if (!instruments) throw new LabError('unsupported-graph', `The lab cannot look inside this model: ${this.opaque}`, 'It can still answer.');
    this.checkLength(ids.length);
    const rows = request.logits?.length ? request.logits : [ids.length - 1];
    const past = this.emptyPast();
    const fetches: string[] = [LAB_OUTPUTS.next];
    if (request.positions.length > 0) fetches.push(LAB_OUTPUTS.hidden);
    const cells = request.lens ? request.lens.positions.length * request.lens.layers.length : 0;
    if (cells > 0) fetches.push(LAB_OUTPUTS.lensIds, LAB_OUTPUTS.lens);
    if (request.logits?.length) fetches.push('logits');
    const feeds = this.feeds(ids, past, {
      rows,
      positions: request.positions,
      ...(cells > 0 ? { lens: request.lens } : {}),
      ...(request.patches ? { patches: request.patches } : {}),
    });
    try {
      const out = await this.session.run(feeds, fetches);
      const lensValues = cells > 0 ? await takeFloats(out[LAB_OUTPUTS.lens]) : null;
      const lensIds = cells > 0 ? ((await out[LAB_OUTPUTS.lensIds].getData(true)) as BigInt64Array) : null;
      return {
        hidden: request.positions.length > 0 ? await takeFloats(out[LAB_OUTPUTS.hidden]) : new Float32Array(0),
        lens: lensValues && lensIds ? readLens(instruments, lensIds, lensValues, request.lens?.tokens.length ?? 0) : [],
        next: await takeInts(out[LAB_OUTPUTS.next]),
        logits: request.logits?.length ? await takeFloats(out['logits']) : null,
      };
    } finally {
      disposePast(past);
    }
  }

  /**
   * Reads kept residual states with the lens, in pieces that fit: a cell needs about vocab · (12 + 8·tokens) bytes for a moment.
   * @param states [cells, width], row-major
   */
  async lens(states: Float32Array, tokens: readonly number[]): Promise<LensReading[]> {
    const { instruments } = this;
    if (!instruments) throw new LabError('unsupported-graph', `The lab cannot look inside this model: ${this.opaque}`, 'It can still answer.');
    const perCell = Math.max(1, this.config.vocab) * (12 + 8 * Math.max(1, tokens.length));
    const cells = Math.max(1, Math.floor(LENS_BYTES / perCell));
    const readings: LensReading[] = [];
    for (let at = 0; at < states.length; at += cells * this.width) {
      const chunk = states.slice(at, at + cells * this.width);
      const past = this.emptyPast();
      try {
        const feeds = this.feeds([this.config.bosId ?? 0], past, { rows: [0], lens: { states: chunk, tokens } });
        const out = await this.session.run(feeds, [LAB_OUTPUTS.lensIds, LAB_OUTPUTS.lens]);
        const ids = (await out[LAB_OUTPUTS.lensIds].getData(true)) as BigInt64Array;
        readings.push(...readLens(instruments, ids, await takeFloats(out[LAB_OUTPUTS.lens]), tokens.length));
      } finally {
        disposePast(past);
      }
    }
    return readings;
  }

  /** Whether this many lens cells can be read in the run that makes the states. */
  lensFits(cells: number, tokens: number): boolean {
    return cells * this.config.vocab * (12 + 8 * Math.max(1, tokens)) <= LENS_BYTES;
  }

  /**
   * Logits at the last position [vocab]; works on any graph, instrumented or not.
   * @param piece read so many tokens at a time, from cache to cache; default all at once
   */
  async lastLogits(ids: readonly number[], piece = ids.length): Promise<Float32Array> {
    this.checkLength(ids.length);
    let past = this.emptyPast();
    try {
      while (ids.length - past.length > piece) past = (await this.step(ids.slice(past.length, past.length + piece), past)).past;
      const rest = ids.slice(past.length);
      const out = await this.session.run(this.feeds(rest, past, { rows: [rest.length - 1] }), ['logits']);
      const { dims } = out['logits'];
      const all = await takeFloats(out['logits']);
      // An untouched graph gives one row per position.
      return all.slice(all.length - dims[dims.length - 1]);
    } finally {
      disposePast(past);
    }
  }

  /**
   * A run of what was put beside the decoder in its session, with the decoder itself as idle as its graph can be: a loop makes no step,
   * any other graph reads one token.
   */
  async beside(feeds: Record<string, Tensor>, fetches: readonly string[]): Promise<Record<string, Tensor>> {
    const past = this.emptyPast();
    try {
      return await this.session.run({ ...this.feeds([this.config.bosId ?? 0], past, { rows: [0], steps: 0 }), ...feeds }, fetches);
    } finally {
      disposePast(past);
    }
  }

  /** @throws LabError 'too-long' */
  checkLength(tokens: number): void {
    if (tokens > this.config.maxLength)
      throw new LabError(
        'too-long',
        `The text has ${tokens} tokens; this model reads at most ${this.config.maxLength}.`,
        'Shorten the context, or choose a model with a longer window.',
      );
  }

  dispose(): Promise<void> {
    return this.session.dispose();
  }

  private stepsAtOnce(most: number): number {
    if (!this.instruments?.loop || this.stepMs === null) return 1;
    return Math.max(1, Math.min(most, MOST_STEPS, Math.floor(RUN_MS / this.stepMs)));
  }

  /**
   * A forward pass over `ids` and the token it chooses; more passes over what was chosen, up to `steps` or one of `stop`, where
   * the graph is a loop. Takes `past` over: it is disposed of, whatever happens.
   */
  private async step(ids: readonly number[], past: Past, steps = 1, stop: readonly number[] = []): Promise<{ tokens: number[]; past: Past }> {
    const { instruments } = this;
    const choice = instruments?.loop ? LAB_OUTPUTS.tokens : instruments ? LAB_OUTPUTS.next : 'logits';
    let out: Record<string, Tensor>;
    try {
      out = await this.session.run(this.feeds(ids, past, { rows: [ids.length - 1], steps, stop }), [choice, ...this.presentNames]);
    } finally {
      disposePast(past);
    }
    const tensors: Record<string, Tensor> = {};
    for (const port of this.pastPorts) tensors[port.name] = out[presentOf(port.name)];
    const tokens = instruments ? Array.from(await takeInts(out[choice])) : [argMaxLast(await takeFloats(out[choice]), out[choice].dims)];
    return { tokens, past: { length: past.length + ids.length + tokens.length - 1, tensors } };
  }

  private feeds(ids: readonly number[], past: Past, request: LabRequest): Record<string, Tensor> {
    const { session } = this;
    const n = ids.length;
    const total = past.length + n;
    const feeds: Record<string, Tensor> = { input_ids: session.int64(ids, [1, n]), ...past.tensors };
    if (this.has.attention_mask) feeds['attention_mask'] = session.tensor('int64', new BigInt64Array(total).fill(1n), [1, total]);
    if (this.has.position_ids) feeds['position_ids'] = session.int64(Array.from({ length: n }, (_, i) => past.length + i), [1, n]);
    // Zero asks for all positions, among which `lab.rows` chooses; an untouched graph is asked for the last ones only.
    if (this.has.num_logits_to_keep) feeds['num_logits_to_keep'] = session.int64([this.instruments ? 0 : n - request.rows[0]], []);
    if (this.instruments) Object.assign(feeds, this.isSilentStep(n, request) ? this.silentStep(request) : this.labTensors(request));
    return feeds;
  }

  private isSilentStep(n: number, request: LabRequest): boolean {
    return n === 1 && request.rows.length === 1 && !request.positions?.length && !request.lens && !request.patches?.length;
  }

  /** The lab's feeds of every decoding step are the same few empty tensors; how many steps, and where to stop, is said anew. */
  private silentStep({ steps = 1, stop = [] }: LabRequest): Record<string, Tensor> {
    this.silent ??= this.labTensors({ rows: [0] });
    if (!this.instruments?.loop) return this.silent;
    return { ...this.silent, [LAB_INPUTS.steps]: this.session.int64([steps], []), [LAB_INPUTS.stop]: this.session.int64(stop) };
  }
  private silent: Record<string, Tensor> | null = null;

  private labTensors(request: LabRequest): Record<string, Tensor> {
    const tensors: Record<string, Tensor> = {};
    if (this.instruments)
      for (const [name, { type, data, dims }] of Object.entries(labFeeds(this.instruments, request))) tensors[name] = this.session.tensor(type, data, dims);
    return tensors;
  }

  /** The borrowed cache to go on from, or an empty one. */
  private pastOf(ids: readonly number[], prefix: DecoderPrefix | null | undefined): Past {
    if (!prefix) return this.emptyPast();
    const past = this.prefixes.get(prefix);
    if (!past || past.length >= ids.length) throw new LabError('internal', 'The kept beginning does not belong to this text.');
    return past;
  }

  /** A cache of no tokens. Heads and head width may be symbols in the graph: then the config knows them. */
  private emptyPast(): Past {
    const { kvHeads, headDim } = this.config;
    const tensors: Record<string, Tensor> = {};
    for (const { name, type, shape } of this.pastPorts) {
      const known = [1, kvHeads, 0, headDim];
      const dims = known.map((value, i) => (i === 2 || i === 0 || typeof shape[i] !== 'number' ? value : (shape[i] as number)));
      tensors[name] = this.session.tensor(type as Tensor.Type, emptyOf(type), dims);
    }
    return { length: 0, tensors };
  }
}
