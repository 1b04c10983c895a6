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

export class Session {
  private queue: Promise<unknown> = Promise.resolve();
  private disposed = false;
  private lostBecause: LabError | null = null;

  private constructor(
    readonly runtime: LoadedOrt,
    readonly device: Device,
    private readonly session: InferenceSession,
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
    const webgpu = options.device === 'webgpu';
    try {
      const device = webgpu ? await narrowDevice() : null;
      const session = await runtime.ort.InferenceSession.create(source.bytes, {
        executionProviders: [device ? { name: 'webgpu', device } : options.device],
        externalData: source.externalData,
        logSeverityLevel: 3,
        ...(webgpu && options.keepOnDevice?.length
          ? { preferredOutputLocation: Object.fromEntries(options.keepOnDevice.map((name) => [name, 'gpu-buffer' as const])) }
          : {}),
      });
      const made = new Session(runtime, options.device, session);
      if (webgpu) await made.watchDevice(device);
      return made;
    } catch (error) {
      throw toLabError(error, 'unsupported-graph', 'The model could not be prepared');
    }
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
    const turn = this.queue.then(async () => {
      if (this.lostBecause) throw this.lostBecause;
      if (this.disposed) throw new LabError('no-model', 'The model was closed.', 'Load it again.');
      try {
        return (await this.session.run(feeds, fetches)) as Record<string, Tensor>;
      } catch (error) {
        const known = toLabError(error, 'internal', 'The model could not run');
        if (known.code === 'device-lost') this.lostBecause = known;
        throw known;
      }
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
    device?.lost
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
