/** From a reference to a decoder that runs: resolve, choose a file, download, prepare, compile, warm up, test. */
import { OnnxError, prepareModel, type Prepared } from '../onnx';
import { LabError, throwIfAborted, toLabError } from '../runtime/errors';
import { parseJson, type Fetched } from '../runtime/fetch';
import type { Meter } from '../runtime/progress';
import type { SessionSource } from '../runtime/session';
import type { Capabilities, Device, ModelRef, Provenance, SelfTest } from '../types';
import { choose, options, type Choice, type Option } from './choose';
import { readConfig, type ModelConfig } from './config';
import { bytesToRead } from './cost';
import { Decoder } from './decoder';
import { chooseDevice } from './device';
import { selfTest } from './selftest';
import { openSource, type ModelSource, type SourceContext } from './source';
import { TextTokenizer, type TokenizerJson } from './tokenizer';

export interface OpenOptions {
  /** undefined: WebGPU where it works, else WASM. */
  device?: Device;
  precise: boolean;
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
  /**
   * The file as it came, for sessions built beside the decoder (its gradient, a second device). Kept in memory while small,
   * else read again, from the store where it is kept.
   */
  original: (signal?: AbortSignal) => Promise<SessionSource>;
  /** What the decoder's session was made from, over the files of `original`. */
  prepared: (original: SessionSource) => SessionSource;
}

/** A plain second session is built for the self-test up to this size. */
const PLAIN_UP_TO = 32 * 2 ** 20;
/** The downloaded file stays in memory beside the session up to this size. */
const KEEP_UP_TO = 64 * 2 ** 20;
const TEST_TEXT = 'The river flows through the old town. Which river? 河 नदी';

/** The files that a repository offers, with what speaks against each on this device: what a reader chooses from; and what loading would read. */
export async function listOptions(ref: ModelRef, device: Device | undefined, can: Capabilities, context: SourceContext): Promise<{ options: Option[]; choice: Choice; bytes: number | null; device: Device; deviceReason: string }> {
  const source = await openSource(ref, context);
  const { device: chosen, reason } = chooseDevice(device, can);
  const list = options(source.files, chosen, can);
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
  const choice = choose(options(source.files, device, can), ref.dtype, device, can);
  const material = await download(source, choice, meter, signal);

  try {
    return await build(material, device, reason);
  } catch (error) {
    const known = toLabError(error, 'internal');
    // Nobody asked for WebGPU by name: WASM is the better answer than a refusal.
    if (open.device || device !== 'webgpu' || !['unsupported-device', 'unsupported-graph', 'device-lost'].includes(known.code)) throw known;
    return build(material, 'wasm', `WebGPU failed (${known.message})`);
  }

  async function build(m: Material, on: Device, deviceReason: string): Promise<OpenModel> {
    throwIfAborted(signal);
    meter.phase('prepare');
    const prepared = prepare(m, open.precise, on);
    const files = { bytes: m.graph.bytes, externalData: prepared.externalPaths.map((path) => ({ path, data: m.external(path) })) };

    meter.phase('compile', null, on === 'webgpu' ? 'building GPU programs' : 'building the WASM session');
    const decoder = await Decoder.create(
      {
        ...preparedOf(prepared)(files),
        instruments: prepared.lab,
        opaque: prepared.opaque,
        outputs: prepared.outputs.map((o) => o.name),
      },
      m.config,
      on,
    );
    let plain: Decoder | null = null;
    try {
      throwIfAborted(signal);
      meter.phase('warm-up');
      const test = m.tokenizer.encode(TEST_TEXT, true).slice(0, Math.min(24, m.config.maxLength));
      await decoder.lastLogits(test);
      throwIfAborted(signal);
      meter.phase('self-test');
      if (m.bytes <= PLAIN_UP_TO && !open.precise && prepared.lab) plain = await plainDecoder(m, prepared, on);
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
        original: originalOf(m, prepared, source),
        prepared: preparedOf(prepared),
      };
    } catch (error) {
      await decoder.dispose();
      throw error;
    } finally {
      await plain?.dispose();
    }
  }
}

/**
 * What rounding may do, as a share of the logits' spread. 16-bit floats carry three digits; 8-bit dynamic quantisation scales its
 * activations by the largest of the whole run, so the same row says something else beside other rows.
 */
const toleranceOf = (dtype: string): number => (/^(q8|u?int8)$/.test(dtype) ? 5e-2 : /16/.test(dtype) ? 2e-2 : 1e-3);

interface Material {
  config: ModelConfig;
  tokenizer: TextTokenizer;
  graph: Fetched;
  external: (path: string) => Uint8Array;
  choice: Choice;
  bytes: number;
  files: Provenance['files'];
  notes: string[];
}

async function download(source: ModelSource, choice: Choice, meter: Meter, signal: AbortSignal | undefined): Promise<Material> {
  const notes: string[] = [];
  meter.phase('download', bytesToRead(source.files, choice), `${choice.path} (${choice.dtype}): ${choice.reason}`);
  const got = new Map<string, Fetched>();
  const read = async (path: string): Promise<Fetched> => {
    const file = await source.read(path, {
      signal,
      onBytes: (n, moved) => meter.add(n, moved),
      onStoreFull: () => {
        const note = 'The storage of this browser is full: the model is used from memory and not kept.';
        if (!notes.includes(note)) notes.push(note);
        meter.note(note);
      },
    });
    got.set(path, file);
    return file;
  };
  const optional = async (path: string): Promise<Fetched | null> => (source.has(path) ? read(path) : null);
  const json = (file: Fetched | null): unknown => (file ? parseJson(file) : null);

  if (!source.has('config.json')) throw new LabError('not-found', 'There is no config.json.', 'This is not a model in the hub’s layout.');
  const config = await readConfig(json(await read('config.json')), json(await optional('generation_config.json')));
  if (!source.has('tokenizer.json')) throw new LabError('not-found', 'There is no tokenizer.json.', 'The lab needs a fast tokenizer beside the model.');
  const template = await optional('chat_template.jinja');
  const tokenizer = await TextTokenizer.create({
    tokenizer: json(await read('tokenizer.json')) as TokenizerJson,
    config: (json(await optional('tokenizer_config.json')) ?? {}) as Record<string, unknown>,
    template: template ? new TextDecoder().decode(template.bytes) : null,
  });
  const graph = await read(choice.path);
  for (const data of choice.data) await read(data.path);
  meter.finish();

  const folder = choice.path.includes('/') ? choice.path.slice(0, choice.path.lastIndexOf('/') + 1) : '';
  return {
    config,
    tokenizer,
    graph,
    external: (path) => {
      const file = got.get(folder + path);
      if (!file)
        throw new LabError('not-found', `The graph keeps its weights in ${path}, which is not there.`, 'Load the whole folder, weights included.');
      return file.bytes;
    },
    choice,
    bytes: [...got.values()].reduce((sum, f) => sum + f.bytes.byteLength, 0),
    files: [...got].map(([path, f]) => ({ path, bytes: f.bytes.byteLength, sha256: f.sha256 })),
    notes,
  };
}

function prepare(m: Material, precise: boolean, device: Device): Prepared {
  try {
    return prepareModel(m.graph.bytes, { layers: m.config.layers, precise, halvesInFloat: device === 'wasm', loop: device === 'wasm' });
  } catch (error) {
    if (error instanceof OnnxError)
      throw new LabError(
        error.code === 'broken' ? 'broken-file' : 'unsupported-graph',
        `${m.choice.path}: ${error.message}`,
        error.code === 'broken' ? 'The file may be truncated or not ONNX at all; load it again or choose another one.' : 'Choose another export of this model.',
        { cause: error },
      );
    throw error;
  }
}

/** Some 72 tokens: long prompts get attention kernels that short ones never see. */
function longText({ tokenizer, config }: Material): number[] {
  const ids = tokenizer.encode(`${TEST_TEXT} `.repeat(12), true);
  return ids.slice(0, Math.min(72, config.maxLength));
}

function originalOf(m: Material, prepared: Prepared, source: ModelSource): OpenModel['original'] {
  const data = prepared.externalPaths;
  return m.bytes <= KEEP_UP_TO ? keep(m, data) : reread(source, m.choice.path, data);
}

/** Of the prepared file only what a session needs; like `reread` a function of its own. */
function preparedOf({ bytes, selfPath }: Prepared): OpenModel['prepared'] {
  return (original) => ({
    ...original,
    bytes,
    externalData: [...original.externalData, ...(selfPath ? [{ path: selfPath, data: original.bytes }] : [])],
  });
}

function keep(m: Material, data: readonly string[]): OpenModel['original'] {
  const kept = { bytes: m.graph.bytes, externalData: data.map((path) => ({ path, data: m.external(path) })) };
  return () => Promise.resolve(kept);
}

/** A function of its own, holding names only: sharing a scope with the download would keep all of it alive. */
function reread(source: ModelSource, path: string, data: readonly string[]): OpenModel['original'] {
  const folder = path.slice(0, path.lastIndexOf('/') + 1);
  return async (signal) => {
    const bytes = (await source.read(path, { signal })).bytes;
    const externalData = await Promise.all(data.map(async (name) => ({ path: name, data: (await source.read(folder + name, { signal })).bytes })));
    const giveBack = (): void => {
      for (const { buffer } of [bytes, ...externalData.map((file) => file.data)]) if (buffer instanceof ArrayBuffer) structuredClone(buffer, { transfer: [buffer] });
    };
    return { bytes, externalData, giveBack };
  };
}

/** The file as it came, for comparison. */
function plainDecoder(m: Material, prepared: Prepared, device: Device): Promise<Decoder> {
  return Decoder.create(
    {
      bytes: m.graph.bytes,
      externalData: prepared.externalPaths.map((path) => ({ path, data: m.external(path) })),
      instruments: null,
      opaque: 'untouched',
      outputs: prepared.outputs.map((o) => o.name),
    },
    m.config,
    device,
  );
}

