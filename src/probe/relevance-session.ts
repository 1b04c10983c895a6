/**
 * The backward of a model, ready to run. One run gives one map; only [layers + 1, tokens] numbers leave the device. It lives in one of
 * two places: in a session of its own, over weights of its own (quick to build and to have beside others: for small models), or in the
 * decoder's session as a second program over the decoder's weights, which are then in memory once.
 */
import type { Decoder } from '../models/decoder';
import { OnnxError, findResidual, readModel, type OnnxModel, type Residual } from '../onnx';
import { OUTSIDE, RELEVANCE_OUTPUTS, SWITCH, TARGET_INPUTS, differentiate, differentiateWithin, type Port } from '../onnx/diff';
import { LabError, throwIfAborted } from '../runtime/errors';
import { Session, takeFloats, type SessionSource } from '../runtime/session';
import type { Tensor } from '../runtime/ort';
import type { Device } from '../types';
import type { RelevanceMap, RelevanceRule, RelevanceTarget, TargetPlan } from './relevance';

/** Heads and width of the (empty) caches, where the graph leaves them open. */
export interface CacheShape {
  kvHeads: number;
  headDim: number;
}

/** TensorProto.DataType. */
const FLOAT = 1;

type Run = (feeds: Record<string, Tensor>, fetches: string[]) => Promise<Record<string, Tensor>>;

export class RelevanceSession {
  private constructor(
    private readonly session: Session,
    /** What stands before the names of its inputs and outputs. */
    private readonly prefix: string,
    private readonly run: Run,
    readonly rule: RelevanceRule,
    readonly layers: number,
    readonly dispose: () => Promise<void>,
  ) {}

  /**
   * In a session of its own.
   * @param forward the graph without the lab's additions, and the files that hold its weights
   * @throws LabError 'unsupported-graph' naming the operator for which there is no rule; else as `Session.create`
   */
  static async create(forward: SessionSource, rule: RelevanceRule, device: Device, { kvHeads, headDim }: CacheShape): Promise<RelevanceSession> {
    const made = named(forward.bytes, (model, residual) => differentiate(model, residual, { rule, cache: { kvHeads, headDim } }));
    const session = await Session.create({ bytes: made.bytes, externalData: forward.externalData }, { device });
    return new RelevanceSession(session, '', (feeds, fetches) => session.run(feeds, fetches), rule, made.layers, () => session.dispose());
  }

  /**
   * In the decoder's session, which is closed and built again with the way back in it (whatever way back was in it before is gone).
   * @param plain the graph without the lab's additions
   * @param prepared what the decoder's session was made from
   * @returns null where the graph can't be joined: then there is `create`
   * @throws as `create`; the decoder is then as it was, or closed where even that could not be
   */
  static async within(decoder: Decoder, plain: Uint8Array, prepared: SessionSource, rule: RelevanceRule): Promise<RelevanceSession | null> {
    const { kvHeads, headDim } = decoder.config;
    const made = named(plain, (model, residual) => differentiateWithin(prepared.bytes, model, residual, { rule, cache: { kvHeads, headDim } }));
    if (!made) return null;
    const { session } = decoder;
    await session.replace({ bytes: made.bytes, externalData: prepared.externalData }, silent(session, made.inputs), prepared);
    const run: Run = (feeds, fetches) => decoder.beside({ ...feeds, [SWITCH]: session.tensor('bool', Uint8Array.of(1), []) }, fetches);
    // It ends with the decoder.
    return new RelevanceSession(session, OUTSIDE, run, rule, made.layers, () => Promise.resolve());
  }

  /** @throws LabError 'cancelled' before the run starts (a run cannot be stopped), 'out-of-memory', 'device-lost' */
  async map(target: RelevanceTarget, plan: TargetPlan, signal?: AbortSignal): Promise<RelevanceMap> {
    throwIfAborted(signal);
    const { prefix } = this;
    const started = performance.now();
    const feeds: Record<string, Tensor> = {};
    for (const [name, tensor] of Object.entries({ ...this.promptFeeds(plan.ids), ...this.targetFeeds(plan) })) feeds[prefix + name] = tensor;
    const fetched = await this.run(feeds, Object.values(RELEVANCE_OUTPUTS).map((name) => prefix + name));
    const out = (name: keyof typeof RELEVANCE_OUTPUTS): Promise<Float32Array> => takeFloats(fetched[prefix + RELEVANCE_OUTPUTS[name]]);
    throwIfAborted(signal);
    return {
      rule: this.rule,
      target,
      plan,
      relevance: await out('relevance'),
      layers: this.layers,
      tokens: plan.ids.length,
      z: (await out('z'))[0],
      logits: await out('logits'),
      ms: performance.now() - started,
    };
  }

  private targetFeeds(plan: TargetPlan): Record<string, Tensor> {
    const { session } = this;
    return {
      [TARGET_INPUTS.rows]: session.int64(plan.rows),
      [TARGET_INPUTS.tokens]: session.int64(plan.tokens),
      [TARGET_INPUTS.weights]: session.tensor('float32', Float32Array.from(plan.weights), [plan.weights.length]),
    };
  }

  private promptFeeds(ids: readonly number[]): Record<string, Tensor> {
    const { session, prefix } = this;
    const n = ids.length;
    const all: Record<string, () => Tensor> = {
      input_ids: () => session.int64(ids, [1, n]),
      attention_mask: () => session.tensor('int64', new BigInt64Array(n).fill(1n), [1, n]),
      position_ids: () => session.int64(Array.from(ids, (_, i) => i), [1, n]),
      num_logits_to_keep: () => session.int64([0], []),
    };
    const wanted = new Set(session.inputs.map((port) => port.name));
    return Object.fromEntries(Object.entries(all).flatMap(([name, make]) => (wanted.has(prefix + name) ? [[name, make()]] : [])));
  }
}

/** What a decoder's run feeds to the way back that it does not want: one of everything, and the switch off. */
function silent(session: Session, inputs: readonly Port[]): Record<string, Tensor> {
  const feeds: Record<string, Tensor> = { [SWITCH]: session.tensor('bool', Uint8Array.of(0), []) };
  for (const { name, elemType, shape } of inputs) {
    const dims = shape.map(() => 1);
    feeds[OUTSIDE + name] = elemType === FLOAT ? session.tensor('float32', Float32Array.of(0), dims) : session.int64([0], dims);
  }
  return feeds;
}

/** Refusals of the differentiation, as the lab's own. */
function named<T>(forward: Uint8Array, work: (model: OnnxModel, residual: Residual) => T): T {
  try {
    const model = readModel(forward);
    return work(model, findResidual(model));
  } catch (error) {
    if (error instanceof OnnxError) throw new LabError('unsupported-graph', error.message, 'States, lens and patching work without it.', { cause: error });
    throw error;
  }
}
