/** The other side of the comparison: transformers.js as its documentation shows it, in a worker, on the tree's one onnxruntime-web. */
import './counter';
import { AutoModelForCausalLM, BaseStreamer, Tensor, env, type PreTrainedModel } from '@huggingface/transformers';
import mjs from 'onnxruntime-web/ort-wasm-simd-threaded.asyncify.mjs?url';
import wasm from 'onnxruntime-web/ort-wasm-simd-threaded.asyncify.wasm?url';
import type { Generation, TransformersRequest } from './protocol';

let model: PreTrainedModel | null = null;

/** Notes when each token came and which it was; does nothing else. */
class Clock extends BaseStreamer {
  readonly at: number[] = [];
  readonly ids: number[] = [];
  override put(value: bigint[][]): void {
    this.at.push(performance.now());
    // The prompt comes first.
    if (this.at.length > 1) this.ids.push(Number(value[0][0]));
  }
  override end(): void {}
}

async function load(request: Extract<TransformersRequest, { do: 'load' }>): Promise<null> {
  env.allowLocalModels = false;
  env.useBrowserCache = false;
  env.useWasmCache = false;
  env.remoteHost = request.host;
  env.remotePathTemplate = '{model}/resolve/{revision}/';
  const settings = env.backends.onnx.wasm;
  if (!settings) throw new Error('transformers.js has no WASM settings');
  settings.wasmPaths = { mjs: new URL(mjs, import.meta.url).href, wasm: new URL(wasm, import.meta.url).href };
  settings.numThreads = request.threads;
  model = await AutoModelForCausalLM.from_pretrained(request.id, { device: request.device, dtype: request.dtype });
  nameWidths(model);
  return null;
}

/** onnxruntime-genai's builder leaves the heads' width a symbol, of which transformers.js makes an empty cache of width 0. */
function nameWidths({ sessions, config }: PreTrainedModel): void {
  const width = (config as unknown as { head_dim?: number }).head_dim;
  for (const session of Object.values(sessions) as { inputMetadata: readonly { name: string; shape?: readonly (number | string)[] }[] }[]) {
    const named = session.inputMetadata.map((port) =>
      port.name.startsWith('past_key_values.') ? { ...port, shape: port.shape?.map((d, i) => (i === 3 && typeof d === 'string' ? (width ?? d) : d)) } : port,
    );
    Object.defineProperty(session, 'inputMetadata', { value: named });
  }
}

async function generate({ ids, tokens }: Extract<TransformersRequest, { do: 'generate' }>): Promise<Generation> {
  if (!model) throw new Error('no model');
  const dims = [1, ids.length];
  const input_ids = new Tensor('int64', BigInt64Array.from(ids, BigInt), dims);
  const attention_mask = new Tensor('int64', new BigInt64Array(ids.length).fill(1n), dims);
  const clock = new Clock();
  const started = performance.now();
  await model.generate({ input_ids, attention_mask, max_new_tokens: tokens, do_sample: false, streamer: clock } as never);
  const [, first] = clock.at;
  const last = clock.at[clock.at.length - 1];
  return { ids: clock.ids, prefillMs: first - started, decodeMs: last - first };
}

self.addEventListener('message', ({ data, ports }: MessageEvent<TransformersRequest>) => {
  const work: Promise<unknown> = data.do === 'load' ? load(data) : generate(data);
  work.then(
    (result) => ports[0].postMessage({ result }),
    (error: unknown) => ports[0].postMessage({ error: error instanceof Error ? error.message : String(error) }),
  );
});
