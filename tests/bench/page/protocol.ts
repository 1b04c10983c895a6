/** What the page says to transformers.js' worker, and what `window.bench` gives to the benchmark in Node. */
import type { Device, Item, Language } from '../../../src/types';
import type { Counts } from './counter';
import type { Opened, Packed } from './many';

export interface Target {
  /** `owner/name` on the benchmark's own hub. */
  id: string;
  revision: string;
  host: string;
  dtype: 'fp32' | 'q4';
  device: Device;
}

export type TransformersRequest = ({ do: 'load'; threads: number } & Target) | { do: 'generate'; ids: number[]; tokens: number };

/** One greedy continuation, timed inside the worker that made it: up to the first token, and from there to the last. */
export interface Generation {
  ids: number[];
  prefillMs: number;
  decodeMs: number;
}

/** Some items of a parallel set. */
export interface Slice {
  /** The set's name. */
  set: string;
  items: Item[];
  languages: Language[];
  maxTokens: number;
}

export type Side = 'lab' | 'transformers';

export interface Bench {
  load(side: Side, target: Target): Promise<{ ms: number }>;
  /** The ids of the prompt that the lab makes of a text. */
  prompt(text: string): Promise<number[]>;
  /** A `tokens` not asked for before: the lab remembers its answers. */
  generate(side: Side, text: string, ids: number[], tokens: number): Promise<Generation>;
  /** Milliseconds on the page, messages included, of one method of the lab. null: it has no such method. */
  time(method: string, args: unknown[]): Promise<number | null>;
  counts(side: Side): Promise<Counts>;
  /** Milliseconds of each of `times` instrumentings of one file, in the page's own thread. */
  instrument(url: string, times: number): Promise<number[]>;
  /** The cells of a study of English contexts and questions in other languages, in the study's own order. */
  studyPrompts(slice: Slice): Promise<number[][]>;
  /** The same cells through `lab.cell`, as a study asks for them; null: the lab has no such method. */
  study(slice: Slice): Promise<{ ms: number; ids: number[][] } | null>;
  /** A study of so many made-up cells, in this browser's database. */
  fillStudy(id: string, count: number): Promise<number>;
  openStudy(id: string): Promise<Opened>;
  unsettle(id: string, how: 'corrected' | 'never summed'): Promise<void>;
  packStudy(id: string): Promise<Packed>;
  threads(): number;
}
