/**
 * Counts what crosses between a worker and its WebGPU device. Imported first in a worker, it wraps the device's own classes and
 * answers on a channel: `{ ask }` → `{ counts, worker }`.
 */
export interface Counts {
  dispatches: number;
  submits: number;
  maps: number;
  /** Bytes mapped for reading. */
  bytesRead: number;
  /** Bytes given to `writeBuffer`, or mapped for writing. */
  bytesWritten: number;
}

export interface CountReply {
  worker: string;
  counts: Counts;
}

export const CHANNEL = 'bench-counts';

const counts: Counts = { dispatches: 0, submits: 0, maps: 0, bytesRead: 0, bytesWritten: 0 };

/** Calls `note` before the method does its work. */
function wrap<T extends object>(type: { prototype: T } | undefined, method: keyof T, note: (self: T, args: unknown[]) => void): void {
  if (!type) return;
  const original = type.prototype[method] as (...args: unknown[]) => unknown;
  type.prototype[method] = function (this: T, ...args: unknown[]): unknown {
    note(this, args);
    return original.apply(this, args);
  } as T[keyof T];
}

if (typeof GPUDevice !== 'undefined') {
  wrap(GPUComputePassEncoder, 'dispatchWorkgroups', () => counts.dispatches++);
  wrap(GPUComputePassEncoder, 'dispatchWorkgroupsIndirect', () => counts.dispatches++);
  wrap(GPUQueue, 'submit', () => counts.submits++);
  wrap(GPUQueue, 'writeBuffer', (_, [, , data, , size]) => {
    counts.bytesWritten += (size as number | undefined) ?? (data as ArrayBuffer).byteLength;
  });
  wrap(GPUBuffer, 'mapAsync', (buffer, [mode, offset, size]) => {
    const length = (size as number | undefined) ?? buffer.size - ((offset as number | undefined) ?? 0);
    if (mode === GPUMapMode.READ) {
      counts.maps++;
      counts.bytesRead += length;
    } else counts.bytesWritten += length;
  });
}

if (typeof WorkerGlobalScope !== 'undefined' && self instanceof WorkerGlobalScope) {
  const channel = new BroadcastChannel(CHANNEL);
  channel.addEventListener('message', ({ data }: MessageEvent<{ ask?: true }>) => {
    if (data.ask) channel.postMessage({ worker: self.location.pathname, counts: { ...counts } } satisfies CountReply);
  });
}
