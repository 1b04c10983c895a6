/**
 * What crosses between page and worker. Calls go through Comlink with an id; progress, tokens and parts come back as plain messages
 * on the same port (so that they never arrive after the result they belong to); a cancel names the id. Errors cross as plain
 * records, because structured cloning strips an Error of everything but its message.
 */
import { transferHandlers } from 'comlink';
import { LabError, toLabError, type PlainLabError } from './runtime/errors';
import type { LoadCost, ModelOption } from './lab';
import type { AlignmentOptions, SetAlignment } from './lab-alignment';
import type { Patching, PatchOptions, Relevance, RelevanceOptions } from './lab-mechanism';
import type { CellRequest } from './study/cell';
import type { OracleOptions } from './study/desk';
import type { OracleResult } from './study/oracle';
import type { CellOutcome } from './study/result';
import type {
  Answer,
  AnswerOptions,
  Ask,
  Capabilities,
  Item,
  LoadOptions,
  LoadedModel,
  ModelCard,
  ModelRef,
  Probe,
  ProbeOptions,
  Progress,
  PromptView,
  SelfTest,
  StorageReport,
  TokenInfo,
} from './types';

/** What a call may report on its way. */
export interface Calls {
  signal?: AbortSignal;
  onProgress?: (progress: Progress) => void;
  /** Each generated token; `text` is what became readable with it ('' in the middle of a character). */
  onToken?: (token: TokenInfo) => void;
  /** Of a patching sweep: all its cells so far (see `done`), before the first run and after each; `stopped` is null while it goes on. */
  onPart?: (soFar: Patching) => void;
}

/** The facade, as the worker has it; the page's mirror has the same methods. */
export interface LabApi {
  capabilities(call?: Calls): Promise<Capabilities>;
  models(call?: Calls): Promise<ModelCard[]>;
  /** Names of the bundled item sets. */
  sets(call?: Calls): Promise<string[]>;
  /** Names of the item sets that the reader dropped or fetched, kept in this browser. */
  keptSets(call?: Calls): Promise<string[]>;
  items(set: string, call?: Calls): Promise<Item[]>;
  options(ref: ModelRef | string, options?: LoadOptions, call?: Calls): Promise<ModelOption[]>;
  cost(ref: ModelRef | string, options?: LoadOptions, call?: Calls): Promise<LoadCost>;
  load(ref: ModelRef | string, options?: LoadOptions, call?: Calls): Promise<LoadedModel>;
  model(call?: Calls): Promise<LoadedModel | null>;
  answer(ask: Ask, options?: AnswerOptions, call?: Calls): Promise<Answer>;
  prompt(ask: Ask, call?: Calls): Promise<PromptView>;
  probe(ask: Ask, options?: ProbeOptions, call?: Calls): Promise<Probe>;
  relevance(ask: Ask, options?: RelevanceOptions, call?: Calls): Promise<Relevance>;
  patch(ask: Ask, options: PatchOptions, call?: Calls): Promise<Patching>;
  alignment(set: string, options?: AlignmentOptions, call?: Calls): Promise<SetAlignment>;
  cell(request: CellRequest, call?: Calls): Promise<CellOutcome>;
  oracle(ask: Ask, options?: OracleOptions, call?: Calls): Promise<OracleResult | null>;
  compareDevices(ask?: Ask | null, call?: Calls): Promise<SelfTest>;
  storage(call?: Calls): Promise<StorageReport>;
  deleteStored(url: string | null, call?: Calls): Promise<StorageReport>;
  persist(call?: Calls): Promise<boolean>;
}

export type Method = keyof LabApi;

/** What the worker exposes. */
export interface Endpoint {
  call(id: number, method: Method, args: unknown[]): Promise<unknown>;
  cancel(id: number): void;
  cancelAll(): void;
  setToken(host: string, token: string | null): void;
  setFiles(id: string, files: [string, File][]): void;
  refuseWebGPU(reason: string | null): void;
}

/** A message beside Comlink's own (which all have an `id` field; these have none, so it ignores them). */
export type WireEvent =
  | { lab: 'progress'; call: number; progress: Progress }
  | { lab: 'token'; call: number; token: TokenInfo }
  | { lab: 'part'; call: number; part: Patching }
  | { lab: 'ready'; lock: string | null };

export function isWireEvent(data: unknown): data is WireEvent {
  return typeof data === 'object' && data !== null && 'lab' in data;
}

/** Must be called on both sides before anything is sent. */
export function installErrorTransfer(): void {
  const base = transferHandlers.get('throw');
  if (!base) throw new Error('comlink has no "throw" handler');
  transferHandlers.set('throw', {
    canHandle: (value): value is unknown => base.canHandle(value),
    serialize: (thrown) => [toLabError((thrown as { value: unknown }).value).toJSON(), []],
    deserialize: (plain: PlainLabError) => {
      throw LabError.from(plain);
    },
  });
}
