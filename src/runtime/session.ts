/**
 * One ONNX session: created from bytes in memory, run one call at a time, disposed for good.
 * Knows nothing of language models; `src/models/decoder.ts` does.
 */
import type { Device } from '../types';
import { LabError, toLabError } from './errors';
import { loadOrt, narrowDevice, type InferenceSession, type LoadedOrt, type Tensor } from './ort';

export interface SessionSource {
  /** The .onnx file, possibly with an appended graph. */
  bytes: Uint8Array;
  /** Weights outside the graph; `path` is the location that the graph names. */
  externalData: { path: string; data: Uint8Array }[];
}

export interface SessionOptions {
  device: Device;
  /** Outputs that stay on the GPU; the caller disposes their tensors. Ignored on WASM, where outputs are plain copies. */
  keepOnDevice?: string[];
}

export interface Port {
  name: string;
  type: string;
  /** Numbers where fixed, symbols (or '') where not. */
  shape: readonly (number | string)[];
}

/** How long a failed run waits for its device to say that it was lost. */
const WORD_WITHIN_MS = 200;

export class Session {
  private queue: Promise<unknown> = Promise.resolve();
  private disposed = false;
  private lostBecause: LabError | null = null;
  /** Settles when the graphics device is lost; null where there is none. */
  private lost: Promise<void> | null = null;

  /** Fed on every run that does not feed them itself: what a graph put in place later wants beside its first inputs. */
  private standing: Record<string, Tensor> = {};

  private constructor(
    readonly runtime: LoadedOrt,
    readonly device: Device,
    private readonly keepOnDevice: readonly string[],
    private session: InferenceSession,
  ) {}

  /** @throws LabError 'unsupported-device' | 'out-of-memory' | 'device-lost' | 'unsupported-graph' */
  static async create(source: SessionSource, options: SessionOptions): Promise<Session> {
    let runtime: LoadedOrt;
    try {
      runtime = await loadOrt(options.device);
    } catch (error) {
      throw new LabError('network', `The ONNX runtime could not be loaded: ${toLabError(error).message}`, 'Reload the page.', {
        cause: error,
      });
    }
    const keep = options.keepOnDevice ?? [];
    const { session, device } = await compile(runtime, source, options.device, keep);
    const made = new Session(runtime, options.device, keep, session);
    if (options.device === 'webgpu') await made.watchDevice(device);
    return made;
  }

  /**
   * Another graph in this one's place: the old one's memory is given back first, so that the two are never held at once. Runs asked for
   * before are run before, those after see the new graph.
   * @param standing fed on every run that does not feed them itself
   * @throws LabError as `create`; `last` is then in place again, or this session is closed
   */
  replace(next: SessionSource, standing: Record<string, Tensor>, last: SessionSource): Promise<void> {
    return this.inTurn(async () => {
      await this.session.release();
      try {
        this.session = (await compile(this.runtime, next, this.device, this.keepOnDevice)).session;
        this.standing = standing;
      } catch (error) {
        this.standing = {};
        this.session = (
          await compile(this.runtime, last, this.device, this.keepOnDevice).catch((second: unknown) => {
            this.disposed = true;
            throw second;
          })
        ).session;
        throw error;
      }
    });
  }

  get inputs(): Port[] {
    return this.session.inputMetadata.map(asPort);
  }

  get outputs(): Port[] {
    return this.session.outputMetadata.map(asPort);
  }

  tensor(type: Tensor.Type, data: Tensor.DataType, dims: readonly number[]): Tensor {
    return new this.runtime.ort.Tensor(type, data, dims);
  }

  /** int64 is what token ids and positions are; JS numbers below 2^53 are exact. */
  int64(values: ArrayLike<number>, dims: readonly number[] = [values.length]): Tensor {
    const data = new BigInt64Array(values.length);
    for (let i = 0; i < values.length; i++) data[i] = BigInt(values[i]);
    return this.tensor('int64', data, dims);
  }

  /**
   * Runs in turn: a session cannot run twice at once, and a failed run must not block the next.
   * Every graph node runs whatever is fetched; fetching less saves the copy only.
   * @throws LabError 'device-lost' | 'out-of-memory' | 'internal'
   */
  run(feeds: Record<string, Tensor>, fetches: readonly string[]): Promise<Record<string, Tensor>> {
    return this.inTurn(async () => {
      try {
        return (await this.session.run({ ...this.standing, ...feeds }, fetches)) as Record<string, Tensor>;
      } catch (error) {
        const known = toLabError(error, 'internal', 'The model could not run');
        if (known.code === 'device-lost') this.lostBecause ??= known;
        // what runs on a device that is lost fails with words about a buffer, a moment before the device says why
        else if (this.lost) await Promise.race([this.lost, new Promise((resolve) => setTimeout(resolve, WORD_WITHIN_MS))]);
        throw this.lostBecause ?? known;
      }
    });
  }

  private inTurn<T>(work: () => Promise<T>): Promise<T> {
    const turn = this.queue.then(() => {
      if (this.lostBecause) throw this.lostBecause;
      if (this.disposed) throw new LabError('no-model', 'The model was closed.', 'Load it again.');
      return work();
    });
    this.queue = turn.catch(() => undefined);
    return turn;
  }

  async dispose(): Promise<void> {
    if (this.disposed) return;
    this.disposed = true;
    await this.queue;
    await this.session.release().catch(() => undefined);
  }

  private async watchDevice(own: GPUDevice | null): Promise<void> {
    const device = own ?? ((await this.runtime.ort.env.webgpu.device) as GPUDevice | undefined);
    if (!device) return;
    this.lost = device.lost
      .then((info) => {
        if (this.disposed) return;
        this.lostBecause = new LabError(
          'device-lost',
          `The graphics device was lost${info.message ? `: ${info.message}` : ''}.`,
          'Load the model again; if it happens again, choose WASM or a smaller model.',
        );
      })
      .catch(() => undefined);
  }
}

async function compile(runtime: LoadedOrt, source: SessionSource, on: Device, keep: readonly string[]): Promise<{ session: InferenceSession; device: GPUDevice | null }> {
  const webgpu = on === 'webgpu';
  try {
    const device = webgpu ? await narrowDevice() : null;
    const session = await runtime.ort.InferenceSession.create(source.bytes, {
      executionProviders: [device ? { name: 'webgpu', device } : on],
      externalData: source.externalData,
      logSeverityLevel: 3,
      ...(webgpu && keep.length > 0 ? { preferredOutputLocation: Object.fromEntries(keep.map((name) => [name, 'gpu-buffer' as const])) } : {}),
    });
    return { session, device };
  } catch (error) {
    throw toLabError(error, 'unsupported-graph', 'The model could not be prepared');
  }
}

function asPort(meta: InferenceSession.ValueMetadata): Port {
  return meta.isTensor ? { name: meta.name, type: meta.type, shape: meta.shape } : { name: meta.name, type: '', shape: [] };
}

/**
 * Takes a small output to the CPU as numbers and frees whatever held it.
 * float16 arrives as Float16Array where the browser has it, else as raw 16-bit words.
 */
export async function takeFloats(tensor: Tensor): Promise<Float32Array> {
  const data = await tensor.getData(true);
  const type = tensor.type;
  tensor.dispose();
  if (data instanceof Float32Array) return data;
  if (type === 'float16') return data instanceof Uint16Array ? halves(data) : Float32Array.from(data as unknown as ArrayLike<number>);
  if (data instanceof BigInt64Array) return Float32Array.from(data, Number);
  return Float32Array.from(data as unknown as ArrayLike<number>);
}

export async function takeInts(tensor: Tensor): Promise<Int32Array> {
  const data = await tensor.getData(true);
  tensor.dispose();
  return data instanceof BigInt64Array ? Int32Array.from(data, Number) : Int32Array.from(data as unknown as ArrayLike<number>);
}

/** IEEE 754 half precision to single. */
export function halves(words: Uint16Array): Float32Array {
  const out = new Float32Array(words.length);
  for (let i = 0; i < words.length; i++) {
    const sign = words[i] & 0x8000 ? -1 : 1;
    const exponent = (words[i] >> 10) & 0x1f;
    const fraction = words[i] & 0x3ff;
    out[i] =
      exponent === 0
        ? sign * fraction * 2 ** -24
        : exponent === 31
          ? fraction
            ? NaN
            : sign * Infinity
          : sign * (1 + fraction / 1024) * 2 ** (exponent - 15);
  }
  return out;
}
