/** From a reference to a decoder that runs: resolve, choose a file, download, prepare, compile, warm up, test. */
import { prepareModel, type Prepared } from '../onnx';
import { throwIfAborted, toLabError } from '../runtime/errors';
import type { Meter } from '../runtime/progress';
import type { SessionSource } from '../runtime/session';
import type { View } from '../runtime/view';
import type { Capabilities, Device, ModelRef, Provenance, SelfTest } from '../types';
import { choose, options, type Choice, type Option } from './choose';
import type { ModelConfig } from './config';
import { bytesToRead } from './cost';
import { Decoder } from './decoder';
import { chooseDevice } from './device';
import { checkBuffers, understood } from './graph';
import { download, readDescription, type Material } from './material';
import { selfTest } from './selftest';
import { openSource, type ModelSource, type SourceContext } from './source';
import type { TextTokenizer } from './tokenizer';

export interface OpenOptions {
  /** undefined: WebGPU where it works, else WASM. */
  device?: Device;
  precise: boolean;
  /** Whether to compare with the untouched file; undefined: where it is small enough. */
  compareFile?: boolean;
  capabilities: Capabilities;
  meter: Meter;
}

export interface OpenModel {
  decoder: Decoder;
  tokenizer: TextTokenizer;
  config: ModelConfig;
  device: Device;
  deviceReason: string;
  choice: Choice;
  revision: string;
  files: Provenance['files'];
  selfTest: SelfTest;
  notes: string[];
  /** The graph without its weights: as it came, and with the lab's additions, as the decoder's session was made from it. */
  graphs: { plain: Uint8Array; prepared: Uint8Array };
  /** The files those graphs name, for sessions built beside the decoder (its gradient) or in its place. */
  weights: Weights;
}

/** Kept in memory while small, else read again from where they came; `giveBack` once a session was made of them. */
export type Weights = (signal?: AbortSignal) => Promise<{ files: SessionSource['externalData']; giveBack: () => void }>;

/** Up to this size every load is compared with the untouched file: it costs about as long as building the session does. */
const COMPARE_UP_TO = 512 * 2 ** 20;
/** Up to this size the untouched file is taken to the byte; a larger one with its weights read from where they lie, as ours has them. */
const UNTOUCHED_UP_TO = 32 * 2 ** 20;
/** The downloaded file stays in memory beside the session up to this size. */
const KEEP_UP_TO = 64 * 2 ** 20;
const TEST_TEXT = 'The river flows through the old town. Which river? 河 नदी';

/** The files that a repository offers, with what speaks against each on this device: what a reader chooses from; and what loading would read. */
export async function listOptions(ref: ModelRef, device: Device | undefined, can: Capabilities, context: SourceContext): Promise<{ options: Option[]; choice: Choice; bytes: number | null; device: Device; deviceReason: string }> {
  const source = await openSource(ref, context);
  const { device: chosen, reason } = chooseDevice(device, can);
  const { config } = await readDescription(source, context.signal);
  const list = options(source.files, chosen, can, config);
  const choice = choose(list, ref.dtype, chosen, can);
  return { options: list, choice, bytes: bytesToRead(source.files, choice), device: chosen, deviceReason: reason };
}

/** @throws LabError of every kind that loading can end with */
export async function openModel(ref: ModelRef, open: OpenOptions, context: SourceContext): Promise<OpenModel> {
  const { meter, capabilities: can } = open;
  const { signal } = context;
  const { device, reason } = chooseDevice(open.device, can);
  meter.phase('resolve');
  const source = await openSource(ref, context);
  const described = await readDescription(source, signal);
  const choice = choose(options(source.files, device, can, described.config), ref.dtype, device, can);
  // Nobody asked for WebGPU by name: WASM is the better answer than a refusal.
  let instead: string | null = null;
  const otherwise = (error: unknown): void => {
    const known = toLabError(error, 'internal');
    if (open.device || device !== 'webgpu' || !['unsupported-device', 'unsupported-graph', 'device-lost'].includes(known.code)) throw known;
    instead = `WebGPU failed (${known.message})`;
  };
  const material = await download(source, described, choice, meter, signal, (graph) => {
    try {
      if (device === 'webgpu') checkBuffers(graph, can);
    } catch (error) {
      otherwise(error);
    }
  });

  try {
    if (instead === null) return await build(material, device, reason);
  } catch (error) {
    otherwise(error);
  }
  return build(material, 'wasm', instead ?? reason);

  async function build(m: Material, on: Device, deviceReason: string): Promise<OpenModel> {
    throwIfAborted(signal);
    meter.phase('prepare');
    const prepared = prepare(m, open.precise, on);

    const test = m.tokenizer.encode(TEST_TEXT, true).slice(0, Math.min(24, m.config.maxLength));
    meter.phase('compile', null, on === 'webgpu' ? 'building GPU programs' : 'building the WASM session');
    const plain = await plainLogits(m, prepared, on, open, test);
    throwIfAborted(signal);
    const decoder = await Decoder.create(
      {
        bytes: prepared.bytes,
        externalData: filesOf(m, prepared),
        instruments: prepared.lab,
        opaque: prepared.opaque,
        outputs: prepared.outputs.map((o) => o.name),
      },
      m.config,
      on,
    );
    try {
      throwIfAborted(signal);
      meter.phase('warm-up');
      await decoder.lastLogits(test);
      throwIfAborted(signal);
      meter.phase('self-test');
      const tested = await selfTest(decoder, { ids: test, long: longText(m), plain, tolerance: toleranceOf(m.choice.dtype) });
      meter.phase('done');
      return {
        decoder,
        tokenizer: m.tokenizer,
        config: m.config,
        device: on,
        deviceReason,
        choice: m.choice,
        revision: source.revision,
        files: m.files,
        selfTest: tested,
        notes: m.notes,
        graphs: { plain: prepared.plain, prepared: prepared.bytes },
        weights: weightsOf(m, prepared, source),
      };
    } catch (error) {
      await decoder.dispose();
      throw error;
    }
  }
}

/**
 * What rounding may do, as a share of the logits' spread. 16-bit floats carry three digits; 8-bit dynamic quantisation scales its
 * activations by the largest of the whole run, so the same row says something else beside other rows. Measured on the fixtures and
 * the bundled models, the largest of all checks on both devices: 7e-7 in 32 bits and 4 bits, 2.4e-4 in 16 bits, 1.8e-2 in 8 bits; what
 * is allowed beyond that is for deeper models and for the kernels of other adapters.
 */
const toleranceOf = (dtype: string): number => (/^(q8|u?int8)$/.test(dtype) ? 5e-2 : /16/.test(dtype) ? 2e-2 : 1e-3);

function prepare(m: Material, precise: boolean, device: Device): Prepared {
  return understood(m.choice.path, () => prepareModel(m.graph.bytes, { device, layers: m.config.layers, precise, halvesInFloat: device === 'wasm', loop: device === 'wasm' }));
}

/** Some 72 tokens: long prompts get attention kernels that short ones never see. */
function longText({ tokenizer, config }: Material): number[] {
  const ids = tokenizer.encode(`${TEST_TEXT} `.repeat(12), true);
  return ids.slice(0, Math.min(72, config.maxLength));
}

function weightsOf(m: Material, prepared: Prepared, source: ModelSource): Weights {
  if (m.bytes <= KEEP_UP_TO) {
    const files = filesOf(m, prepared);
    return () => Promise.resolve({ files, giveBack: () => undefined });
  }
  const { path } = m.choice;
  const folder = path.slice(0, path.lastIndexOf('/') + 1);
  return reread(source, [...prepared.externalPaths.map((name) => ({ path: name, at: folder + name })), ...(prepared.selfPath ? [{ path: prepared.selfPath, at: path }] : [])]);
}

/** Where a graph finds its weights: beside it, and where they were inside, in the file as it came. */
function filesOf(m: Material, { externalPaths, selfPath }: Prepared): SessionSource['externalData'] {
  return [...externalPaths.map((path) => ({ path, data: m.external(path) })), ...(selfPath ? [{ path: selfPath, data: m.graph.bytes }] : [])];
}

/** A function of its own, holding names only: sharing a scope with the download would keep all of it alive. */
function reread(source: ModelSource, names: readonly { path: string; at: string }[]): Weights {
  return async (signal) => {
    const views: View[] = [];
    const giveBack = (): void => views.forEach((view) => view.close());
    try {
      for (const { at } of names) views.push(await source.view(at, { signal }));
    } catch (error) {
      giveBack();
      throw error;
    }
    return { files: names.map(({ path }, i) => ({ path, data: views[i].bytes })), giveBack };
  };
}

/**
 * What the untouched file says after `ids`, by a session that is given back before ours is built: the two are never held at once.
 * In precise mode that is the file with its 4-bit products made precise, and nothing else added.
 */
async function plainLogits(m: Material, prepared: Prepared, device: Device, { compareFile, precise }: OpenOptions, ids: readonly number[]): Promise<Float32Array | string> {
  if (!prepared.lab) return 'nothing was added to this file';
  if (compareFile === false) return 'it was not asked for';
  if (!compareFile && m.bytes > COMPARE_UP_TO) return 'a file this large is compared on request only, for it takes a second session before this one';
  const asItIs = !precise && m.bytes <= UNTOUCHED_UP_TO;
  const files = asItIs
    ? { bytes: m.graph.bytes, externalData: filesOf(m, { ...prepared, selfPath: null }) }
    : { bytes: prepared.plain, externalData: filesOf(m, prepared) };
  const plain = await Decoder.create({ ...files, instruments: null, opaque: 'untouched', outputs: prepared.outputs.map((o) => o.name) }, m.config, device);
  try {
    return await plain.lastLogits(ids);
  } finally {
    await plain.dispose();
  }
}
