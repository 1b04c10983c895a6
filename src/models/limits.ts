/** What a graphics adapter holds in one piece. Pure. */
import type { Capabilities } from '../types';

/**
 * The adapter's largest buffer, where `bytes` are more than that; else null. What can be bound at once (maxStorageBufferBindingSize) is
 * no limit to a weight: the runtime binds a larger one in several parts (measured with 184 MB on an adapter that binds 128 MiB).
 */
export function beyondOneBuffer(bytes: number, { limits }: Pick<Capabilities, 'limits'>): number | null {
  return limits !== null && bytes > limits.maxBufferSize ? limits.maxBufferSize : null;
}

export const inMiB = (bytes: number): string => `${Math.ceil(bytes / 2 ** 20)} MiB`;
