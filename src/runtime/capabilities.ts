/** What this browser can do, found by asking the adapter: `navigator.gpu` existing proves nothing. */
import type { Capabilities } from '../types';
import { hasJspi, threadCount } from './ort';

declare const __ORT_VERSION__: string;

let asked: Promise<Capabilities> | null = null;

/** Asked once per worker and frozen: a session chosen by these answers must not see them change. */
export function capabilities(): Promise<Capabilities> {
  asked ??= ask();
  return asked;
}

/** For tests and for `?webgpu=off`: pretend the browser refused. */
let refused: string | null = null;
export function refuseWebGPU(reason: string | null): void {
  refused = reason;
  asked = null;
}

async function ask(): Promise<Capabilities> {
  const base = {
    jspi: hasJspi(),
    crossOriginIsolated: globalThis.crossOriginIsolated === true,
    threads: threadCount(),
    memoryGB: (navigator as Navigator & { deviceMemory?: number }).deviceMemory ?? null,
    ort: __ORT_VERSION__,
  };
  const without = (webgpuReason: string): Capabilities =>
    Object.freeze({ ...base, webgpu: false, webgpuReason, adapter: null, shaderF16: false, limits: null });

  if (refused) return without(refused);
  if (!globalThis.isSecureContext) return without('WebGPU needs a secure page (https or localhost).');
  if (!navigator.gpu) return without('This browser has no WebGPU.');
  let adapter: GPUAdapter | null;
  try {
    adapter = await navigator.gpu.requestAdapter({ powerPreference: 'high-performance' });
  } catch (error) {
    return without(`The browser refused a WebGPU adapter: ${error instanceof Error ? error.message : String(error)}`);
  }
  if (!adapter) return without('The browser has WebGPU but offers no adapter (no suitable graphics device, or it is blocked).');
  const { vendor, architecture, device, description } = adapter.info;
  const fallback = adapter.info.isFallbackAdapter ?? false;
  return Object.freeze({
    ...base,
    webgpu: true,
    webgpuReason: null,
    adapter: Object.freeze({ vendor, architecture, device, description, fallback }),
    shaderF16: adapter.features.has('shader-f16'),
    limits: Object.freeze({
      maxBufferSize: adapter.limits.maxBufferSize,
      maxStorageBufferBindingSize: adapter.limits.maxStorageBufferBindingSize,
    }),
  });
}
