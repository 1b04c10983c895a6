/**
 * The only file that imports onnxruntime-web. Three builds exist and each is needed somewhere:
 *  - jspi: native WebGPU provider, smallest; where the browser can suspend WebAssembly on promises;
 *  - asyncify: the same provider where it cannot;
 *  - plain: WASM only, because the other two have no CPU kernel for GatherBlockQuantized, which many quantised exports use.
 * Each is fetched on first use from the page's own host, so a page that never runs a model never pays for one.
 */
import type * as OrtModule from 'onnxruntime-web';
import asyncifyMjs from 'onnxruntime-web/ort-wasm-simd-threaded.asyncify.mjs?url';
import asyncifyWasm from 'onnxruntime-web/ort-wasm-simd-threaded.asyncify.wasm?url';
import jspiMjs from 'onnxruntime-web/ort-wasm-simd-threaded.jspi.mjs?url';
import jspiWasm from 'onnxruntime-web/ort-wasm-simd-threaded.jspi.wasm?url';
import plainMjs from 'onnxruntime-web/ort-wasm-simd-threaded.mjs?url';
import plainWasm from 'onnxruntime-web/ort-wasm-simd-threaded.wasm?url';
import type { Device } from '../types';

export type Ort = typeof OrtModule;
export type { InferenceSession, Tensor } from 'onnxruntime-web';
export type OrtBuild = 'jspi' | 'asyncify' | 'wasm';

export interface LoadedOrt {
  ort: Ort;
  build: OrtBuild;
  version: string;
}

/** Whether this browser can suspend WebAssembly on a promise. */
export const hasJspi = (): boolean => 'Suspending' in WebAssembly;

export function buildFor(device: Device): OrtBuild {
  if (device === 'wasm') return 'wasm';
  return hasJspi() ? 'jspi' : 'asyncify';
}

/** WASM threads need shared memory, hence cross-origin isolation; one thread is the floor that always works. */
export function threadCount(): number {
  if (!globalThis.crossOriginIsolated) return 1;
  return Math.max(1, Math.min(4, navigator.hardwareConcurrency || 1));
}

const ASSETS: Record<OrtBuild, { mjs: string; wasm: string }> = {
  jspi: { mjs: jspiMjs, wasm: jspiWasm },
  asyncify: { mjs: asyncifyMjs, wasm: asyncifyWasm },
  wasm: { mjs: plainMjs, wasm: plainWasm },
};

const IMPORTS: Record<OrtBuild, () => Promise<Ort>> = {
  jspi: () => import('onnxruntime-web/jspi'),
  asyncify: () => import('onnxruntime-web/webgpu'),
  wasm: () => import('onnxruntime-web/wasm'),
};

const loaded = new Map<OrtBuild, Promise<LoadedOrt>>();

/** Loads ORT for a device, once per build. Paths are set before anything runs: unset, ORT would look beside its own chunk. */
export function loadOrt(device: Device): Promise<LoadedOrt> {
  const build = buildFor(device);
  let promise = loaded.get(build);
  if (!promise) {
    promise = IMPORTS[build]().then((ort) => {
      const { mjs, wasm } = ASSETS[build];
      ort.env.wasm.wasmPaths = { mjs: absolute(mjs), wasm: absolute(wasm) };
      ort.env.wasm.numThreads = threadCount();
      ort.env.wasm.proxy = false;
      ort.env.logLevel = 'error';
      return { ort, build, version: ort.env.versions.web ?? 'unknown' };
    });
    // A failed fetch must not poison every later attempt.
    promise.catch(() => loaded.delete(build));
    loaded.set(build, promise);
  }
  return promise;
}

/** Below this many lanes per subgroup ORT's flash attention (prompts of more than some 30 tokens) computes wrong sums. */
const FEWEST_LANES = 8;
let narrow: Promise<GPUDevice | null> | undefined;

/**
 * A device without subgroups where the adapter's are too narrow (SwiftShader's have 4 lanes: every state after the fourth
 * position of a longer prompt came out wrong, silently); null where ORT's own device is right.
 */
export function narrowDevice(): Promise<GPUDevice | null> {
  narrow ??= makeNarrowDevice();
  const made = narrow;
  const forget = (): void => void (narrow = narrow === made ? undefined : narrow);
  // One that is lost, or was not given, must not stand for all later ones.
  made.then((device) => device?.lost.then(forget), forget);
  return made;
}

async function makeNarrowDevice(): Promise<GPUDevice | null> {
  const adapter = await navigator.gpu?.requestAdapter({ powerPreference: 'high-performance' });
  if (!adapter?.features.has('subgroups') || (adapter.info.subgroupMinSize ?? FEWEST_LANES) >= FEWEST_LANES) return null;
  const { limits } = adapter;
  const names = [
    'maxBufferSize',
    'maxStorageBufferBindingSize',
    'maxComputeWorkgroupStorageSize',
    'maxComputeInvocationsPerWorkgroup',
    'maxComputeWorkgroupSizeX',
    'maxComputeWorkgroupSizeY',
    'maxComputeWorkgroupSizeZ',
    'maxComputeWorkgroupsPerDimension',
    'maxStorageBuffersPerShaderStage',
  ] as const;
  return adapter.requestDevice({
    requiredFeatures: adapter.features.has('shader-f16') ? ['shader-f16'] : [],
    requiredLimits: Object.fromEntries(names.map((name) => [name, limits[name]])),
  });
}

/** Addresses of the runtime files a device needs, for whoever keeps them for offline use. */
export function runtimeAssets(device: Device): string[] {
  const { mjs, wasm } = ASSETS[buildFor(device)];
  return [absolute(mjs), absolute(wasm)];
}

declare const __RUNTIME_BYTES__: Record<OrtBuild, number>;
/** What these files weigh, unpacked: a host may send them packed. */
export const runtimeBytes = (device: Device): number => __RUNTIME_BYTES__[buildFor(device)];

const absolute = (url: string): string => new URL(url, import.meta.url).href;
