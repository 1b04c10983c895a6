/** The same ids on two devices, layer by layer. */
import type { SelfTestCheck } from '../types';
import type { Decoder } from './decoder';

/** Below this cosine two devices are not computing the same thing. 16-bit and int8-activation files stay well above it. */
const WORST_COSINE = 0.995;

export async function compareStates(a: Decoder, b: Decoder, ids: readonly number[]): Promise<SelfTestCheck> {
  const positions = ids.map((_, i) => i);
  const first = await a.trace(ids, { positions });
  const second = await b.trace(ids, { positions });
  let worst = { cosine: 1, layer: 0, position: 0 };
  const lowest = new Float64Array(a.layers + 1).fill(1);
  for (let layer = 0; layer <= a.layers; layer++)
    for (const position of positions) {
      const at = (layer * positions.length + position) * a.width;
      const c = cosine(first.hidden.subarray(at, at + a.width), second.hidden.subarray(at, at + a.width));
      if (!(c >= lowest[layer])) lowest[layer] = c;
      if (!(c >= worst.cosine)) worst = { cosine: c, layer, position };
    }
  return {
    name: 'webgpu-equals-wasm',
    passed: worst.cosine >= WORST_COSINE,
    detail: `worst cosine ${worst.cosine.toFixed(6)} at layer ${worst.layer}, position ${worst.position} of ${ids.length}; worst of layers 0–${a.layers}: ${Array.from(lowest, (c) => c.toFixed(6)).join(' ')}`,
  };
}

function cosine(a: Float32Array, b: Float32Array): number {
  let dot = 0;
  let aa = 0;
  let bb = 0;
  for (let i = 0; i < a.length; i++) {
    dot += a[i] * b[i];
    aa += a[i] * a[i];
    bb += b[i] * b[i];
  }
  return aa === 0 && bb === 0 ? 1 : dot / Math.sqrt(aa * bb);
}
