/** Which file of a repository to load, and why: from what exists and what the device can do. Pure. */
import { LabError } from '../runtime/errors';
import type { Capabilities, Device, Dtype } from '../types';
import { dtypeOfFile } from './reference';

export interface RemoteFile {
  /** Within the repository. */
  path: string;
  /** null where the host does not say. */
  bytes: number | null;
  sha256: string | null;
}

export interface Option {
  dtype: Dtype;
  path: string;
  /** Graph and weights together. */
  bytes: number | null;
  /** The files beside the graph that belong to it. */
  data: RemoteFile[];
  /** null when it can run here, else why not. */
  refused: string | null;
}

export interface Choice extends Option {
  reason: string;
}

/** Quantised files below this are no use: the full one downloads in the same moment and shows the model as it is. */
const SMALL = 64 * 2 ** 20;

const ORDER: Record<'f16' | 'webgpu' | 'wasm', Dtype[]> = {
  f16: ['q4f16', 'q4', 'fp16', 'fp32', 'q8', 'int8', 'uint8', 'bnb4'],
  webgpu: ['q4', 'fp32', 'q8', 'int8', 'uint8', 'bnb4'],
  // fp16 arithmetic has no fast WASM kernels; q4 keeps memory low, q8 is widespread.
  wasm: ['q4', 'q8', 'int8', 'uint8', 'fp32', 'q4f16', 'bnb4', 'fp16'],
};

/** Every .onnx file of a decoder in the repository, with what speaks against it on this device. */
export function options(files: readonly RemoteFile[], device: Device, can: Capabilities): Option[] {
  const found = new Map<Dtype, Option>();
  for (const file of files) {
    if (!/(^|\/)(model|decoder_model_merged|decoder_model)(_[a-z0-9]+)*\.onnx$/.test(file.path)) continue;
    const dtype = dtypeOfFile(file.path);
    if (!dtype || found.has(dtype)) continue;
    const data = files.filter((f) => f !== file && (f.path.startsWith(`${file.path}_data`) || f.path === `${file.path}.data`));
    const sizes = [file, ...data].map((f) => f.bytes);
    const bytes = sizes.every((b): b is number => b !== null) ? sizes.reduce((a, b) => a + b, 0) : null;
    found.set(dtype, { dtype, path: file.path, bytes, data, refused: refusal(dtype, bytes, device, can) });
  }
  return [...found.values()];
}

function refusal(dtype: Dtype, bytes: number | null, device: Device, can: Capabilities): string | null {
  if (device === 'webgpu') {
    if (!can.webgpu) return can.webgpuReason;
    if (/f16|fp16/.test(dtype) && !can.shaderF16) return 'the graphics adapter has no 16-bit floats (shader-f16)';
  }
  // The runtime's memory is 32-bit: 4 GiB hold the file, its copy for the device, and everything else.
  const ceiling = device === 'wasm' ? 2 * 2 ** 30 : 3.5 * 2 ** 30;
  if (bytes !== null && bytes > ceiling) return `${gib(bytes)} do not fit the ${gib(ceiling)} that a page can hold`;
  if (bytes !== null && can.memoryGB !== null && can.memoryGB < 8 && bytes > (can.memoryGB * 2 ** 30) / 2)
    return `${gib(bytes)} are too much for a device with about ${can.memoryGB} GB of memory`;
  return null;
}

/**
 * @param wanted the reader's own choice; taken even over a better one, refused only when it cannot run.
 * @throws LabError 'not-found' | 'unsupported-device'
 */
export function choose(list: readonly Option[], wanted: Dtype | undefined, device: Device, can: Capabilities): Choice {
  if (list.length === 0)
    throw new LabError('not-found', 'The repository has no decoder in ONNX.', 'Look for a repository whose name ends in -ONNX, or one of onnx-community.');
  if (wanted) {
    const option = list.find((o) => o.dtype === wanted);
    if (!option)
      throw new LabError('not-found', `There is no ${wanted} file.`, `Available: ${list.map((o) => o.dtype).join(', ')}.`);
    if (option.refused) throw new LabError('unsupported-device', `The ${wanted} file cannot run here: ${option.refused}.`, suggestion(list));
    return { ...option, reason: 'asked for' };
  }
  const usable = list.filter((o) => !o.refused);
  if (usable.length === 0)
    throw new LabError(
      'unsupported-device',
      `None of the files can run here: ${list.map((o) => `${o.dtype}: ${o.refused}`).join('; ')}.`,
      device === 'webgpu' ? 'Choose WASM, or a smaller model.' : 'Choose a smaller model.',
    );
  const whole = usable.find((o) => o.dtype === 'fp32' && o.bytes !== null && o.bytes <= SMALL);
  if (whole) return { ...whole, reason: 'small enough to load unquantised' };
  const order = ORDER[device === 'wasm' ? 'wasm' : can.shaderF16 ? 'f16' : 'webgpu'];
  const best = [...usable].sort((a, b) => rank(order, a.dtype) - rank(order, b.dtype))[0];
  return { ...best, reason: why(best, list, device) };
}

const rank = (order: Dtype[], dtype: Dtype): number => (order.includes(dtype) ? order.indexOf(dtype) : order.length);

function why(best: Option, list: readonly Option[], device: Device): string {
  const lost = list.find((o) => o.refused && o.dtype === 'q4f16');
  if (list.length === 1) return 'the only file there is';
  if (best.dtype === 'q4f16') return 'the most compact file, and the adapter has 16-bit floats';
  if (lost && device === 'webgpu') return `${lost.dtype} was passed over because ${lost.refused}`;
  return device === 'wasm' ? 'the most compact file that WASM runs well' : 'the most compact file that this adapter runs';
}

const suggestion = (list: readonly Option[]): string => {
  const others = list.filter((o) => !o.refused).map((o) => o.dtype);
  return others.length ? `These can: ${others.join(', ')}.` : 'Choose another model.';
};

const gib = (bytes: number): string => `${(bytes / 2 ** 30).toFixed(1)} GiB`;
