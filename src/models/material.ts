/** All that a model is made of, fetched: first what is small and says what it is, then the graph, then the weights that the graph names. */
import { LabError } from '../runtime/errors';
import { parseJson, type Fetched } from '../runtime/fetch';
import type { Meter } from '../runtime/progress';
import type { Provenance } from '../types';
import type { Choice } from './choose';
import { readConfig, type ModelConfig } from './config';
import { summarise, type GraphSummary } from './graph';
import type { ModelSource } from './source';
import { TextTokenizer, type TokenizerJson } from './tokenizer';

export interface Material {
  config: ModelConfig;
  tokenizer: TextTokenizer;
  graph: Fetched;
  external: (path: string) => Uint8Array;
  choice: Choice;
  bytes: number;
  files: Provenance['files'];
  notes: string[];
}

/** config.json and generation_config.json: a few kilobytes that say whether the rest is worth fetching. */
export interface Described {
  config: ModelConfig;
  fetched: Map<string, Fetched>;
}

const json = (file: Fetched | undefined): unknown => (file ? parseJson(file) : null);

/** @throws LabError 'not-found' | 'broken-file' | 'unsupported-graph' */
export async function readDescription(source: ModelSource, signal: AbortSignal | undefined): Promise<Described> {
  if (!source.has('config.json')) throw new LabError('not-found', 'There is no config.json.', 'This is not a model in the hub’s layout.');
  const fetched = new Map<string, Fetched>();
  for (const path of ['config.json', 'generation_config.json']) if (source.has(path)) fetched.set(path, await source.read(path, { signal }));
  return { config: await readConfig(json(fetched.get('config.json')), json(fetched.get('generation_config.json'))), fetched };
}

/** @param onGraph told what the graph says before its weights are fetched; may refuse them by throwing */
export async function download(
  source: ModelSource,
  described: Described,
  choice: Choice,
  meter: Meter,
  signal: AbortSignal | undefined,
  onGraph: (summary: GraphSummary) => void,
): Promise<Material> {
  const notes: string[] = [];
  const got = new Map(described.fetched);
  const sizeOf = (paths: readonly string[]): number | null => {
    const sizes = paths.map((p) => source.files.find((f) => f.path === p)?.bytes ?? null);
    return sizes.every((s): s is number => s !== null) ? sizes.reduce((a, b) => a + b, 0) : null;
  };
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

  const text = ['tokenizer.json', 'tokenizer_config.json', 'chat_template.jinja'].filter((p) => source.has(p));
  if (!text.includes('tokenizer.json')) throw new LabError('not-found', 'There is no tokenizer.json.', 'The lab needs a fast tokenizer beside the model.');
  const planned = [...text, choice.path, ...choice.data.map((d) => d.path)];
  meter.phase('download', choice.bytes === null ? null : sizeOf(planned), `${choice.path} (${choice.dtype}): ${choice.reason}`);
  for (const path of text) await read(path);
  const template = got.get('chat_template.jinja');
  const tokenizer = await TextTokenizer.create({
    tokenizer: json(got.get('tokenizer.json')) as TokenizerJson,
    config: (json(got.get('tokenizer_config.json')) ?? {}) as Record<string, unknown>,
    template: template ? new TextDecoder().decode(template.bytes) : null,
  });

  const graph = await read(choice.path);
  const summary = summarise(choice.path, graph.bytes);
  onGraph(summary);
  const folder = choice.path.slice(0, choice.path.lastIndexOf('/') + 1);
  const missing = (path: string): LabError =>
    new LabError('not-found', `The graph keeps its weights in ${path}, which is not there.`, 'Load the whole folder, weights included.');
  for (const path of summary.external) if (!(await source.find(folder + path, signal))) throw missing(path);
  const wanted = summary.external.map((path) => folder + path);
  for (const path of wanted.filter((p) => planned.includes(p))) await read(path);
  meter.finish();
  // Weights under names of their own: nobody could know of them, and of their size, before the graph was read.
  const others = wanted.filter((p) => !planned.includes(p));
  if (others.length > 0) meter.phase('download', sizeOf(others), `${others.join(', ')}: weights that the graph names`);
  for (const path of others) await read(path);
  if (others.length > 0) meter.finish();

  return {
    config: described.config,
    tokenizer,
    graph,
    external: (path) => {
      const file = got.get(folder + path);
      if (!file) throw missing(path);
      return file.bytes;
    },
    choice,
    bytes: [...got.values()].reduce((sum, f) => sum + f.bytes.byteLength, 0),
    files: [...got].map(([path, f]) => ({ path, bytes: f.bytes.byteLength, sha256: f.sha256 })),
    notes,
  };
}
