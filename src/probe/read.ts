/** One probe of a decoder: states at every position, group means, and the lens, from a single run over prompt and answer. */
import type { LensReading } from '../onnx';
import { LabError } from '../runtime/errors';
import type { Decoder } from '../models/decoder';
import type { LensCell, ProbeOptions, TokenGroup, TokenInfo } from '../types';
import { GROUPS } from '../types';

export interface Reading {
  positions: number[];
  layers: number[];
  dim: number;
  /** [layers, positions, dim] */
  states: Float32Array | null;
  means: Partial<Record<TokenGroup, Float32Array>>;
  lens: LensCell[];
}

export interface ReadRequest {
  /** Prompt, then answer. */
  tokens: readonly TokenInfo[];
  options: ProbeOptions;
  followed: readonly number[];
  label: (id: number) => string;
}

/** @throws LabError 'bad-input' for positions or layers that do not exist; as `Decoder.trace` */
export async function read(decoder: Decoder, { tokens, options, followed, label }: ReadRequest): Promise<Reading> {
  const all = Array.from(tokens.keys());
  const layers = wanted(options.layers, decoder.layers, 'layer') ?? Array.from({ length: decoder.layers + 1 }, (_, l) => l);
  const positions = positionsOf(options.positions, tokens) ?? all;
  const readout = tokens.findIndex((t) => t.group === 'readout');
  const lensPositions = wanted(options.lensPositions, tokens.length - 1, 'position') ?? (readout >= 0 ? [readout] : []);
  const inRun = decoder.lensFits(lensPositions.length * layers.length, followed.length);

  // Means need every position of every group; what was not asked for stays here.
  const trace = await decoder.trace(
    tokens.map((t) => t.id),
    { positions: all, ...(inRun ? { lens: { positions: lensPositions, layers, tokens: followed } } : {}) },
  );
  const dim = decoder.width;
  const row = (layer: number, position: number): Float32Array => {
    const at = (layer * all.length + position) * dim;
    return trace.hidden.subarray(at, at + dim);
  };
  const readings = inRun ? trace.lens : await decoder.lens(gather(row, layers, lensPositions, dim), followed);
  return {
    positions,
    layers,
    dim,
    states: options.states === false ? null : whole(trace.hidden, layers, positions, decoder.layers, all.length, row, dim),
    means: groupMeans(tokens, layers, row, dim),
    lens: readings.map((reading, i) =>
      cell(reading, layers[Math.floor(i / lensPositions.length)], lensPositions[i % lensPositions.length], followed, options.topK ?? 5, label),
    ),
  };
}

type Row = (layer: number, position: number) => Float32Array;

/** The states as they came when everything was asked for: they can be tens of megabytes. */
function whole(hidden: Float32Array, layers: number[], positions: number[], last: number, n: number, row: Row, dim: number): Float32Array {
  return layers.length === last + 1 && positions.length === n ? hidden : gather(row, layers, positions, dim);
}

function gather(row: Row, layers: readonly number[], positions: readonly number[], dim: number): Float32Array {
  const out = new Float32Array(layers.length * positions.length * dim);
  let at = 0;
  for (const layer of layers)
    for (const position of positions) {
      out.set(row(layer, position), at);
      at += dim;
    }
  return out;
}

/** Mean state of each group present, per layer: [layers, dim]. */
function groupMeans(tokens: readonly TokenInfo[], layers: readonly number[], row: Row, dim: number): Reading['means'] {
  const means: Reading['means'] = {};
  for (const group of GROUPS) {
    const members = Array.from(tokens.keys()).filter((i) => tokens[i].group === group);
    if (members.length === 0) continue;
    const mean = new Float32Array(layers.length * dim);
    layers.forEach((layer, l) => {
      for (const position of members) {
        const state = row(layer, position);
        for (let d = 0; d < dim; d++) mean[l * dim + d] += state[d] / members.length;
      }
    });
    means[group] = mean;
  }
  return means;
}

function cell(
  reading: LensReading,
  layer: number,
  position: number,
  followed: readonly number[],
  topK: number,
  label: (id: number) => string,
): LensCell {
  return {
    layer,
    position,
    top: reading.top.slice(0, topK).map(({ id, p }) => ({ id, text: label(id), p })),
    entropy: reading.entropy,
    followed: reading.followed.map(({ p, rank }, i) => ({ id: followed[i], text: label(followed[i]), p, rank })),
  };
}

/** Ascending and distinct; undefined when nothing was asked for. */
function wanted(list: readonly number[] | undefined, last: number, what: 'layer' | 'position'): number[] | undefined {
  if (!list) return undefined;
  const wrong = list.find((v) => !Number.isInteger(v) || v < 0 || v > last);
  if (wrong !== undefined) throw new LabError('bad-input', `There is no ${what} ${wrong}; they run from 0 to ${last}.`);
  return [...new Set(list)].sort((a, b) => a - b);
}

function positionsOf(asked: ProbeOptions['positions'], tokens: readonly TokenInfo[]): number[] | undefined {
  if (!asked) return undefined;
  const groups = asked.filter((p): p is TokenGroup => typeof p === 'string');
  const unknown = groups.find((g) => !GROUPS.includes(g));
  if (unknown) throw new LabError('bad-input', `There is no token group "${unknown}".`, `Groups: ${GROUPS.join(', ')}.`);
  if (groups.length) return Array.from(tokens.keys()).filter((i) => groups.includes(tokens[i].group));
  return wanted(
    asked.filter((p): p is number => typeof p === 'number'),
    tokens.length - 1,
    'position',
  );
}
