/**
 * What the graph says by itself, read before any weights beside it are fetched: whether it is a decoder's, which files it wants, how
 * large its largest weight is. Pure.
 */
import { OnnxError, readModel, type OnnxModel, type OnnxValueInfo } from '../onnx';
import { LabError } from '../runtime/errors';
import type { Capabilities } from '../types';
import { presentOf } from './cache';
import { beyondOneBuffer, inMiB } from './limits';

export interface GraphSummary {
  /** The files with weights that the graph names, relative to its own folder. */
  external: string[];
  largest: { name: string; bytes: number };
}

export const PAST = /^past_key_values\.\d+\.(key|value)$/;
const KNOWN_INPUTS = ['input_ids', 'attention_mask', 'position_ids', 'num_logits_to_keep'];
const INSTEAD = 'The lab reads decoder-only text models with a key/value cache; encoders, vision, speech and hybrid (state-space) graphs are not among them.';

/** @throws LabError 'broken-file' | 'unsupported-graph' */
export function summarise(path: string, bytes: Uint8Array): GraphSummary {
  const { graph } = understood(path, () => readModel(bytes));
  checkPorts({ inputs: graph.inputs.filter(({ name }) => !graph.initializers.has(name)), outputs: graph.outputs });
  const external = new Set<string>();
  let largest = { name: '', bytes: 0 };
  for (const { name, data } of graph.initializers.values()) {
    if (data.kind === 'typed') continue;
    const size = data.kind === 'raw' ? data.range.end - data.range.start : data.length;
    if (size > largest.bytes) largest = { name, bytes: size };
    if (data.kind === 'external') external.add(inFolder(path, data.location));
  }
  return { external: [...external], largest };
}

/** A graph's troubles in the lab's words. */
export function understood<T>(path: string, work: () => T): T {
  try {
    return work();
  } catch (error) {
    if (!(error instanceof OnnxError)) throw error;
    const broken = error.code === 'broken';
    throw new LabError(
      broken ? 'broken-file' : 'unsupported-graph',
      `${path}: ${error.message}`,
      broken ? 'The file may be truncated or not ONNX at all; load it again or choose another one.' : 'Choose another export of this model.',
      { cause: error },
    );
  }
}

/** Weights lie beside their graph: a name that leads elsewhere is not followed. */
function inFolder(path: string, location: string): string {
  const name = location.replace(/^\.\//, '');
  if (/^[/\\]|(^|[/\\])\.\.([/\\]|$)|:/.test(name))
    throw new LabError('broken-file', `${path} names weights outside its own folder (${location}).`, 'Choose another export of this model.');
  return name;
}

/** What goes in and comes out is the one thing that exporters agree on. @throws LabError 'unsupported-graph' */
export function checkPorts({ inputs, outputs }: Pick<OnnxModel['graph'], 'inputs' | 'outputs'>): void {
  const refuse = (why: string): never => {
    throw new LabError('unsupported-graph', why, INSTEAD);
  };
  const names = inputs.map((port) => port.name);
  const foreign = names.filter((name) => !KNOWN_INPUTS.includes(name) && !PAST.test(name));
  if (foreign.length > 0) refuse(`The graph wants inputs that a plain decoder does not have: ${foreign.slice(0, 4).join(', ')}.`);
  if (!names.includes('input_ids')) refuse('The graph takes no token ids.');
  const logits = outputs.find((port) => port.name === 'logits');
  if (!logits) return refuse('The graph gives no logits: an encoder, or a part of a larger model.');
  if (!hasRowsOfWords(logits)) refuse('The graph gives one row of logits for the whole text: it classifies texts and does not write any.');
  const past = names.filter((name) => PAST.test(name));
  if (past.length === 0) refuse('The graph keeps no key/value cache, without which every word would need the whole text again.');
  const missing = past.map(presentOf).filter((name) => !outputs.some((port) => port.name === name));
  if (missing.length > 0) refuse(`The graph lacks the outputs ${missing.slice(0, 4).join(', ')}.`);
}

/** [batch, positions, vocab]; not every file says. */
const hasRowsOfWords = ({ shape }: OnnxValueInfo): boolean => shape === null || shape.length === 3;

/** @throws LabError 'unsupported-device' where a weight fits no buffer of the graphics adapter */
export function checkBuffers({ largest }: GraphSummary, can: Capabilities): void {
  const limit = beyondOneBuffer(largest.bytes, can);
  if (limit !== null)
    throw new LabError(
      'unsupported-device',
      `The weight ${largest.name} takes ${inMiB(largest.bytes)}, and this graphics adapter holds at most ${inMiB(limit)} in one piece.`,
      'Choose WASM, or a more compact file.',
    );
}
