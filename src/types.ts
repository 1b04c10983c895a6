/**
 * The words of the lab: types shared by every room. Types only (plus two constant lists), so importing it costs nothing.
 * Everything here is structured-clonable: it crosses the worker boundary and goes into records as it is.
 */

export const LANGUAGES = ['en', 'de', 'es', 'vi', 'zh', 'hi', 'ar', 'el', 'ro', 'ru', 'th', 'tr'] as const;
export type Language = (typeof LANGUAGES)[number];

export type Scenario = 'en-en' | 'en-x' | 'x-x' | 'x-en' | 'x-y';

/** Token groups. `template` is everything of the prompt that is none of the others; `readout` is the prompt's last position. */
export const GROUPS = ['template', 'context', 'answerSpan', 'question', 'readout', 'answer'] as const;
export type TokenGroup = (typeof GROUPS)[number];

export type Device = 'webgpu' | 'wasm';
export type Dtype = 'fp32' | 'fp16' | 'q4' | 'q4f16' | 'q8' | (string & {});

/** A question of an item set, in the languages the set has. Offsets are Unicode code points. */
export interface Item {
  /** The SQuAD question id, the same in all languages. */
  id: string;
  set: string;
  paragraph: string;
  context: Partial<Record<Language, string>>;
  question: Partial<Record<Language, string>>;
  answer: Partial<Record<Language, { text: string; start: number }>>;
  /** What the set says of the item (held-out kind, relation …). */
  tags?: string[];
}

/** What is asked. Either an item of a known set, or literal text. */
export type Ask =
  | { item: string | Item; set?: string; contextLanguage: Language; questionLanguage: Language; prompt?: PromptOptions }
  | {
      context: string;
      question: string;
      contextLanguage?: Language;
      questionLanguage?: Language;
      /** In `context`. `own`: what the model itself wrote (`ProbeOptions.ownSpan`): a span to look at, no gold to score by. */
      answer?: { text: string; start: number; own?: true };
      prompt?: PromptOptions;
    };

export interface PromptOptions {
  /** 'chat' uses the model's own template; 'completion' the documented plain prompt for base models. Default: what the model has. */
  kind?: 'chat' | 'completion';
  shots?: number;
  /**
   * A prompt edited by the reader; replaces the built one (of a chat: the last user turn). `{context}` and `{question}` in it
   * stand for the texts asked about; without these marks the texts are searched in it, and their spans may be lost.
   */
  text?: string;
}

/** A prompt as it would be read, shown before it is. */
export interface PromptView {
  kind: 'chat' | 'completion';
  /** Everything the model reads, template and examples included. */
  text: string;
  /** The part that `PromptOptions.text` replaces. */
  editable: string;
  tokens: TokenInfo[];
  /** Whether the text stands in the prompt as it was asked about: false after an edit that changed it. */
  spans: { context: boolean; question: boolean };
  /** What the reader should know. */
  notes: string[];
}

export interface TokenInfo {
  id: number;
  /** The exact piece of text this token adds; '' for a token that only continues a grapheme begun before. */
  text: string;
  group: TokenGroup;
  /** Code-point range in the prompt (or, for group `answer`, in the generated text). */
  start: number;
  end: number;
  special: boolean;
}

export interface Scores {
  f1: number;
  em: number;
}

export interface Answer {
  text: string;
  tokens: TokenInfo[];
  /** Why generation ended. */
  stop: 'eos' | 'length' | 'cancelled';
  gold: string | null;
  squad: Scores | null;
  languageAware: Scores | null;
  timing: { prefillMs: number; decodeMs: number; tokensPerSecond: number };
}

/** One lens reading: layer × position. */
export interface LensCell {
  layer: number;
  position: number;
  top: { id: number; text: string; p: number }[];
  /** Entropy of the whole distribution, in nats. */
  entropy: number;
  /** For each followed token: probability and rank (0 = top). */
  followed: { id: number; text: string; p: number; rank: number }[];
}

export interface SelfTestCheck {
  name: 'lens-equals-logits' | 'finite' | 'no-zero-layer' | 'whole-equals-pieces' | 'instrumented-equals-plain' | 'webgpu-equals-wasm';
  /** null = not run. */
  passed: boolean | null;
  /** Plain words with the measured value. */
  detail: string;
}
export interface SelfTest {
  passed: boolean;
  checks: SelfTestCheck[];
}

export interface Provenance {
  app: string;
  ort: string;
  device: Device;
  /** Why this device runs (asked for, fallback …). */
  deviceReason: string;
  adapter: string | null;
  dtype: Dtype;
  model: string;
  revision: string;
  files: { path: string; bytes: number; sha256: string | null }[];
  precise: boolean;
  selfTest: SelfTest | null;
  time: string;
}

export interface Capabilities {
  webgpu: boolean;
  /** Why WebGPU is not available, in plain words; null when it is. */
  webgpuReason: string | null;
  adapter: { vendor: string; architecture: string; device: string; description: string; fallback: boolean } | null;
  shaderF16: boolean;
  limits: { maxBufferSize: number; maxStorageBufferBindingSize: number } | null;
  jspi: boolean;
  crossOriginIsolated: boolean;
  threads: number;
  memoryGB: number | null;
  ort: string;
}

export interface ModelRef {
  /** 'bundled:<name>', or 'owner/name', or 'files:<id>' for dropped files. */
  id: string;
  revision?: string;
  dtype?: Dtype;
  /** Base address with the hub's layout; default https://huggingface.co. */
  host?: string;
}

export interface ModelCard {
  ref: ModelRef;
  title: string;
  /** 'base' and 'post-trained' siblings share `pair`; checkpoints are in order by `step`. */
  stage: 'base' | 'checkpoint' | 'post-trained';
  pair: string | null;
  step: number | null;
  parameters: number | null;
  layers: number | null;
  width: number | null;
  bytes: Partial<Record<Dtype, number>>;
  languages: Language[];
  license: string;
  bundled: boolean;
  note: string;
}

export interface LoadedModel {
  card: ModelCard;
  ref: ModelRef;
  device: Device;
  deviceReason: string;
  dtype: Dtype;
  layers: number;
  width: number;
  vocab: number;
  maxLength: number;
  hasChatTemplate: boolean;
  /** null when the lab can look inside; else why it cannot. */
  opaque: string | null;
  selfTest: SelfTest | null;
  provenance: Provenance;
}

export type Phase = 'resolve' | 'download' | 'prepare' | 'compile' | 'warm-up' | 'self-test' | 'run' | 'done';
export interface Progress {
  phase: Phase;
  /** Bytes or steps done; never falls within one phase. */
  done: number;
  /** null while unknown; constant once known. */
  total: number | null;
  /** Per second. */
  rate: number | null;
  note?: string;
}

/** A file kept on this device. */
export interface StoredFileInfo {
  url: string;
  bytes: number;
  /** False for a download that was cut and will go on from here. */
  complete: boolean;
  time: string;
}

/** What is kept besides models' files. */
export interface StoredCacheInfo {
  name: string;
  /** The page's own files, for use without a network; or what hubs said of their repositories. */
  of: 'page' | 'hubs';
  entries: number;
  bytes: number;
}

export interface StorageReport {
  files: StoredFileInfo[];
  caches: StoredCacheInfo[];
  /** The origin's own figures, all its data together; null where the browser does not tell. */
  used: number | null;
  quota: number | null;
  /** Whether the browser promised not to evict. */
  persisted: boolean;
  /** null when files can be kept, else why not. */
  unavailable: string | null;
}

export type LabErrorCode =
  | 'cancelled'
  | 'superseded'
  | 'not-found'
  | 'broken-file'
  | 'unsupported-graph'
  | 'unsupported-device'
  | 'out-of-memory'
  | 'device-lost'
  | 'worker-lost'
  | 'too-long'
  | 'empty-question'
  | 'bad-input'
  | 'network'
  | 'gated'
  | 'storage-full'
  | 'no-model'
  | 'internal';

export interface LoadOptions {
  /** Default: WebGPU where it works, else WASM. */
  device?: Device;
  /** 4-bit products on float activations (accuracy level 1): slower, and equal on every device. */
  precise?: boolean;
  /**
   * Whether the self-test compares with the untouched file, which takes a second session, built and given back before the model's own.
   * Default: for files of at most 512 MiB.
   */
  compareFile?: boolean;
}

export interface AnswerOptions {
  /** Default 48. */
  maxTokens?: number;
  /** Calls in one lane give way to later ones in it; null gives way to nobody (studies). Default: one lane per method. */
  lane?: string | null;
}

export interface ProbeOptions {
  /** Groups or explicit positions; default: every prompt position and the generated answer. */
  positions?: TokenGroup[] | number[];
  /** Layers to keep; default all, 0..L. */
  layers?: number[];
  /** Return raw states (else only reductions). Default true. */
  states?: boolean;
  /** Lens positions; default the readout. */
  lensPositions?: number[];
  /** How many top tokens per lens cell, at most 10. Default 5. */
  topK?: number;
  /**
   * Of literal text that names no answer: the answer span is where the model's own answer stands in the context, if it stands there in
   * one place, word for word. The probe's `ask` then has it, and its notes say so. Default false.
   */
  ownSpan?: boolean;
  /** Token ids to follow in the lens besides the gold answer's and the given answer's first. */
  follow?: number[];
  /** Answer first and probe prompt and answer together; false probes the prompt alone (the answer is then empty). Default true. */
  generate?: boolean;
  /** Default 48. */
  maxTokens?: number;
  /** As in AnswerOptions. */
  lane?: string | null;
}

/** What one probe read out. `states` is [layers+1, positions, dim], row-major, layer 0 = embeddings, before any final norm. */
export interface Probe {
  ask: Ask;
  model: LoadedModel;
  prompt: string;
  tokens: TokenInfo[];
  answer: Answer;
  /** The positions (indices into `tokens`) that `states` holds, ascending. */
  positions: number[];
  layers: number[];
  dim: number;
  states: Float32Array | null;
  /** Group means [layers, dim] for every group present, always there. */
  means: Partial<Record<TokenGroup, Float32Array>>;
  lens: LensCell[];
  /** Probability-lens token ids followed: gold's first token first. */
  followed: { id: number; text: string; role: 'gold' | 'answer' | 'pinned' }[];
  provenance: Provenance;
  notes: string[];
}
