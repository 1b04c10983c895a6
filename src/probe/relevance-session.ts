/**
 * The backward of a model as a session of its own: built from the forward's bytes, over the same weight files.
 * One run gives one map; only [layers + 1, tokens] numbers leave the device.
 */
import { OnnxError, findResidual, readModel } from '../onnx';
import { differentiate, RELEVANCE_OUTPUTS, TARGET_INPUTS } from '../onnx/diff';
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

export class RelevanceSession {
  private constructor(
    private readonly session: Session,
    private readonly cache: CacheShape,
    readonly rule: RelevanceRule,
    readonly layers: number,
  ) {}

  /**
   * @param forward the original file (not the instrumented one) and its external files
   * @throws LabError 'unsupported-graph' naming the operator for which there is no rule; else as `Session.create`
   */
  static async create(forward: SessionSource, rule: RelevanceRule, device: Device, cache: CacheShape): Promise<RelevanceSession> {
    let made: ReturnType<typeof differentiate>;
    try {
      const model = readModel(forward.bytes);
      made = differentiate(model, findResidual(model), { rule });
    } catch (error) {
      if (error instanceof OnnxError) throw new LabError('unsupported-graph', error.message, 'States, lens and patching work without it.', { cause: error });
      throw error;
    }
    const externalData = [...forward.externalData];
    if (made.selfPath) externalData.push({ path: made.selfPath, data: forward.bytes });
    if (made.extra) externalData.push(made.extra);
    const session = await Session.create({ bytes: made.bytes, externalData }, { device });
    return new RelevanceSession(session, cache, rule, made.layers);
  }

  /** @throws LabError 'cancelled' before the run starts (a run cannot be stopped), 'out-of-memory', 'device-lost' */
  async map(target: RelevanceTarget, plan: TargetPlan, signal?: AbortSignal): Promise<RelevanceMap> {
    throwIfAborted(signal);
    const { session } = this;
    const started = performance.now();
    const feeds = { ...this.forwardFeeds(plan.ids), ...this.targetFeeds(plan) };
    const out = await session.run(feeds, Object.values(RELEVANCE_OUTPUTS));
    throwIfAborted(signal);
    return {
      rule: this.rule,
      target,
      plan,
      relevance: await takeFloats(out[RELEVANCE_OUTPUTS.relevance]),
      layers: this.layers,
      tokens: plan.ids.length,
      z: (await takeFloats(out[RELEVANCE_OUTPUTS.z]))[0],
      logits: await takeFloats(out[RELEVANCE_OUTPUTS.logits]),
      ms: performance.now() - started,
    };
  }

  dispose(): Promise<void> {
    return this.session.dispose();
  }

  private targetFeeds(plan: TargetPlan): Record<string, Tensor> {
    const { session } = this;
    return {
      [TARGET_INPUTS.rows]: session.int64(plan.rows),
      [TARGET_INPUTS.tokens]: session.int64(plan.tokens),
      [TARGET_INPUTS.weights]: session.tensor('float32', Float32Array.from(plan.weights), [plan.weights.length]),
    };
  }

  private forwardFeeds(ids: readonly number[]): Record<string, Tensor> {
    const { session, cache } = this;
    const n = ids.length;
    const feeds: Record<string, Tensor> = {};
    for (const { name, type, shape } of session.inputs) {
      if (name === 'input_ids') feeds[name] = session.int64(ids, [1, n]);
      else if (name === 'attention_mask') feeds[name] = session.tensor('int64', new BigInt64Array(n).fill(1n), [1, n]);
      else if (name === 'position_ids') feeds[name] = session.int64(Array.from({ length: n }, (_, i) => i), [1, n]);
      else if (name === 'num_logits_to_keep') feeds[name] = session.int64([0], []);
      else if (name.startsWith('past_key_values')) {
        const known = [1, cache.kvHeads, 0, cache.headDim];
        const dims = known.map((value, i) => (i === 1 || i === 3 ? (typeof shape[i] === 'number' ? shape[i] : value) : value));
        feeds[name] = session.tensor(type as Tensor.Type, emptyOf(type), dims);
      }
    }
    return feeds;
  }
}

function emptyOf(type: string): Tensor.DataType {
  if (type !== 'float16') return new Float32Array(0);
  const half = (globalThis as { Float16Array?: new (n: number) => Tensor.DataType }).Float16Array;
  return half ? new half(0) : new Uint16Array(0);
}
