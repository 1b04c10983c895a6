/** What a file asks of its attention operator and ONNX Runtime's browser builds do not do, or not as the lab runs a decoder. */
import { OnnxError } from './error';
import type { OnnxModel } from './types';

const ATTENTION = 'GroupQueryAttention';
/** Inputs of the operator: the weights of the norms of query and key. */
const NORMS = [14, 15];

/**
 * onnxruntime-genai's builder bounds the caches of sliding layers unless told not to: the operator then wants a cache as long as the
 * window from the first token on, and throws old keys out of it. The lab's caches begin empty and grow, and what lies outside the window
 * is left unread by another attribute all the same. So the bound is lifted, in place: one byte a layer.
 */
export function growCaches({ bytes, graph }: OnnxModel): void {
  for (const { opType, attributes } of graph.nodes) {
    const bound = attributes.get('sliding_window_cache');
    if (opType === ATTENTION && bound?.i === 1 && bound.iRange) bytes[bound.iRange.start] = 0;
  }
}

/** Throws where a device's kernels refuse what the file asks for, or compute something else without a word. */
export function checkKernels({ graph }: OnnxModel, device: 'wasm' | 'webgpu'): void {
  for (const { opType, inputs, attributes } of graph.nodes) {
    if (opType !== ATTENTION) continue;
    if (device === 'wasm' && NORMS.some((i) => inputs[i])) {
      throw new OnnxError('unsupported', 'This file norms query and key inside its attention operator, which runs on WebGPU only.');
    }
    // ONNX Runtime 1.30 reads the attribute and does not use it: states were 0.4 % off, at scores a twentieth of the cap.
    if (device === 'webgpu' && (attributes.get('softcap')?.f ?? 0) > 0) {
      throw new OnnxError('unsupported', 'This file caps the scores of its attention, which WebGPU would leave out: it runs on WASM only.');
    }
  }
}
