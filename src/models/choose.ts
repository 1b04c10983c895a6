/** Which file of a repository to load, and why: from what exists and what the device can do. Pure. */
import { LabError } from '../runtime/errors';
import type { Capabilities, Device, Dtype } from '../types';
import type { ModelConfig } from './config';
import { beyondOneBuffer, inMiB } from './limits';
import { graphOfFile } from './reference';

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
  /** Graph and weights together; null where only the graph itself can tell which weights belong to it. */
  bytes: number | null;
  /** The files beside the graph that belong to it, by their names. */
  data: RemoteFile[];
  /** null when it can run here, else why not. */
  refused: string | null;
  /** What to know of it that speaks neither for nor against. */
  remark: string | null;
}

export interface Choice extends Option {
  reason: string;
}

/** What a table of words is as large as. */
export type TableSize = Pick<ModelConfig, 'vocab' | 'width'>;

/** Quantised files below this are no use: the full one downloads in the same moment and shows the model as it is. */
const SMALL = 64 * 2 ** 20;
/** A graph that holds its own weights is larger than this. */
const GRAPH_ALONE = 16 * 2 ** 20;

const ORDER: Record<'f16' | 'webgpu' | 'wasm', Dtype[]> = {
  f16: ['q4f16', 'q4', 'fp16', 'fp32', 'q8', 'int8', 'uint8', 'bnb4'],
  webgpu: ['q4', 'fp32', 'q8', 'int8', 'uint8', 'bnb4'],
  // fp16 arithmetic has no fast WASM kernels; q4 keeps memory low, q8 is widespread.
  wasm: ['q4', 'q8', 'int8', 'uint8', 'fp32', 'q4f16', 'bnb4', 'fp16'],
};

/** Of one kind the likeliest: one decoder in one file, then a merged one, then one that keeps no cache; the hub's folder before others. */
const BASES = ['model', 'decoder_model_merged', 'decoder_model'];
const FOLDERS = ['onnx/', ''];

interface Graph {
  file: RemoteFile;
  dtype: Dtype;
  rank: number;
}

/** Every decoder of the repository, one per kind, with what speaks against it on this device. */
export function options(files: readonly RemoteFile[], device: Device, can: Capabilities, size: TableSize | null = null): Option[] {
  const best = new Map<Dtype, Graph>();
  for (const file of files) {
    const graph = graphOfFile(file.path);
    if (!graph) continue;
    const folder = FOLDERS.indexOf(folderOf(file.path));
    const rank = BASES.indexOf(graph.base) * (FOLDERS.length + 1) + (folder < 0 ? FOLDERS.length : folder);
    const other = best.get(graph.dtype);
    if (!other || rank < other.rank) best.set(graph.dtype, { file, dtype: graph.dtype, rank });
  }
  return [...best.values()].map(({ file, dtype }) => {
    const data = files.filter((f) => isDataOf(f.path, file.path));
    const unnamed = data.length === 0 && (file.bytes ?? 0) < GRAPH_ALONE && files.some((f) => isLooseData(f.path, file.path, files));
    const sizes = [file, ...data].map((f) => f.bytes);
    const bytes = !unnamed && sizes.every((b): b is number => b !== null) ? sizes.reduce((a, b) => a + b, 0) : null;
    const remark = device === 'webgpu' && INTEGER_PRODUCTS.test(dtype) ? 'its products of integers run on the CPU: WASM is the quicker place for it' : null;
    return { dtype, path: file.path, bytes, data, refused: refusal(dtype, bytes, device, can, size), remark };
  });
}

/** WebGPU has no kernel for MatMulInteger, of which these files are made; the runtime then computes it on the CPU, rightly. */
const INTEGER_PRODUCTS = /^(q8|u?int8)$/;

const folderOf = (path: string): string => path.slice(0, path.lastIndexOf('/') + 1);
const isDataOf = (path: string, graph: string): boolean => path.startsWith(graph) && /^[._]data(_\d+)?$/.test(path.slice(graph.length));

/** Weights that some graph of the folder may name, by no rule. */
function isLooseData(path: string, graph: string, files: readonly RemoteFile[]): boolean {
  return folderOf(path) === folderOf(graph) && /\.(bin|data|weights?|pb)$/.test(path) && !files.some((f) => isDataOf(path, f.path));
}

function refusal(dtype: Dtype, bytes: number | null, device: Device, can: Capabilities, size: TableSize | null): string | null {
  if (device === 'webgpu') {
    if (!can.webgpu) return can.webgpuReason;
    if (/f16|fp16/.test(dtype) && !can.shaderF16) return 'the graphics adapter has no 16-bit floats (shader-f16)';
    // Other kinds may keep the table in fewer bits: of those the graph tells, before its weights are fetched.
    const perWeight = dtype === 'fp32' ? 4 : dtype === 'fp16' ? 2 : 0;
    const table = size ? size.vocab * size.width * perWeight : 0;
    const limit = beyondOneBuffer(table, can);
    if (limit !== null) return `its table of words takes ${inMiB(table)}, and the graphics adapter holds at most ${inMiB(limit)} in one piece`;
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
