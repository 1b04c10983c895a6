/** The key/value cache between runs, and the small numbers around a decode loop. */
import type { Tensor } from '../runtime/ort';

/** The cache of a run, and how many tokens it holds. */
export interface Past {
  length: number;
  tensors: Record<string, Tensor>;
  /** Lent to a branch: the branch reads it and must not free it. */
  borrowed?: boolean;
}

/** Σ ln softmax(row i)[targets[i]]; an untouched graph may give more rows than asked for: the last ones count. */
export function sumLogProb(logits: Float32Array, vocab: number, targets: readonly number[]): number {
  const first = logits.length / vocab - targets.length;
  let sum = 0;
  targets.forEach((target, i) => {
    const row = logits.subarray((first + i) * vocab, (first + i + 1) * vocab);
    let most = -Infinity;
    for (const x of row) if (x > most) most = x;
    let all = 0;
    for (const x of row) all += Math.exp(x - most);
    sum += row[target] - most - Math.log(all);
  });
  return sum;
}

export const presentOf = (past: string): string => past.replace('past_key_values', 'present');

/** Frees the cache; a borrowed one is its owner's. */
export function disposePast(past: Past): void {
  if (past.borrowed) return;
  for (const tensor of Object.values(past.tensors)) tensor.dispose();
  past.tensors = {};
}

export function emptyOf(type: string): Tensor.DataType {
  if (type !== 'float16') return new Float32Array(0);
  const half = (globalThis as { Float16Array?: new (n: number) => Tensor.DataType }).Float16Array;
  return half ? new half(0) : new Uint16Array(0);
}

export function argMaxLast(values: Float32Array, dims: readonly number[]): number {
  const vocab = dims[dims.length - 1];
  let best = values.length - vocab;
  const first = best;
  for (let i = first + 1; i < values.length; i++) if (values[i] > values[best]) best = i;
  return best - first;
}

/**
 * Lets messages in now and then: a WASM run resolves without ever returning to the event loop, so that a cancel sent during
 * a long answer would otherwise be read only after it. A message channel, because timers are held back to 4 ms.
 */
export class Breath {
  private last = performance.now();
  async take(): Promise<void> {
    if (performance.now() - this.last < 16) return;
    await new Promise<void>((resolve) => {
      const { port1, port2 } = new MessageChannel();
      port1.onmessage = () => {
        port1.close();
        resolve();
      };
      port2.postMessage(null);
    });
    this.last = performance.now();
  }
}
