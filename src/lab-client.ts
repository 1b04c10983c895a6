/**
 * The lab as the page has it: the same methods as `lab.ts`, run in a worker that can die. Whatever is needed to build another
 * one is kept here: the last load, hub tokens, dropped files. Ending the worker is the only way to give memory back to the
 * system, so every load of another model gets a new one.
 */
import { wrap, type Remote } from 'comlink';
import { LabError, LOST, throwIfAborted, toLabError } from './runtime/errors';
import type { LoadCost, ModelOption } from './lab';
import type { AlignmentOptions, SetAlignment } from './lab-alignment';
import type { Patching, PatchOptions, Relevance, RelevanceOptions } from './lab-mechanism';
import type { Opened, Opener, OpenOptions, Side } from './lab-share';
import type { PatchSetOptions, RelevanceSetOptions } from './lab-sets';
import type { StudyStart } from './lab-study';
import type { PatchPair, PatchSet, PatchSummary, PairWish } from './probe/patch-set';
import type { RelevanceSet, SetSummary } from './probe/relevance-set';
import type { ExportFormat, Recordable } from './share/of-record';
import type { LabRecord } from './share/record';
import type { CellRequest } from './study/cell';
import type { StudyDesign } from './study/design';
import type { OracleOptions } from './study/desk';
import type { OracleResult } from './study/oracle';
import type { CellOutcome } from './study/result';
import type { StudyRun } from './study/session';
import type {
  Answer,
  AnswerOptions,
  Ask,
  Capabilities,
  Item,
  Language,
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
} from './types';
import type { AnswerToClassify, Classified } from './xmrc/errors';
import type { BothScores } from './xmrc/score';
import { keepForOffline } from './runtime/offline';
import { installErrorTransfer, isWireEvent, type Calls, type Endpoint, type LabApi, type Method } from './wire';

interface Pending {
  calls: Calls;
  reject: (error: LabError) => void;
  /** Asks the same of the next worker, for calls that no model is needed for. */
  again: (() => void) | null;
}

/** What does not touch the loaded model: a new worker can answer as well as the one it replaces. */
const LIGHT: readonly Method[] = ['capabilities', 'models', 'sets', 'keptSets', 'items', 'options', 'cost', 'storage', 'deleteStored'];

type LabEvent = 'lost' | 'loaded';

let installed = false;

export function createLab(base: string = new URL('./', document.baseURI).href): LabClient {
  if (!installed) installErrorTransfer();
  installed = true;
  const lab = new LabClient(base);
  // The console and scripts get the very object the page uses.
  (globalThis as { lab?: LabClient }).lab ??= lab;
  // Not in development, where it would serve yesterday's code.
  if (import.meta.env.PROD) navigator.serviceWorker?.register(new URL('service-worker.js', base)).catch(() => undefined);
  return lab;
}

export class LabClient implements LabApi {
  private worker: Worker | null = null;
  private remote: Remote<Endpoint> | null = null;
  private readonly pending = new Map<number, Pending>();
  private nextId = 1;
  private remembered: { ref: ModelRef | string; options: LoadOptions } | null = null;
  private current: LoadedModel | null = null;
  /** A load came as far as building a session here and failed: its memory does not come back, and its graphics device may be gone. */
  private spent = false;
  private readonly tokens = new Map<string, string>();
  private readonly files = new Map<string, [string, File][]>();
  private refused: string | null = null;
  /** How the page goes where a link points; null where no page listens. */
  opener: Opener | null = null;
  private readonly listeners = new Map<LabEvent, Set<(detail: LabError | LoadedModel) => void>>();

  constructor(private readonly base: string) {}

  capabilities(calls: Calls = {}): Promise<Capabilities> {
    return this.call('capabilities', [], calls);
  }

  models(calls: Calls = {}): Promise<ModelCard[]> {
    return this.call('models', [], calls);
  }

  sets(calls: Calls = {}): Promise<string[]> {
    return this.call('sets', [], calls);
  }

  keptSets(calls: Calls = {}): Promise<string[]> {
    return this.call('keptSets', [], calls);
  }

  /** Of a set that ships, or of one kept in this browser. */
  items(set: string, calls: Calls = {}): Promise<Item[]> {
    return this.call('items', [set], calls);
  }

  /** What a typed name or a pasted address stands for. `host`: a base address with the hub's layout, for names without one. */
  async reference(text: string | ModelRef, host?: string): Promise<ModelRef> {
    const { parseRef } = await import('./models/reference');
    const ref = parseRef(text);
    return host && !ref.host && !/^(bundled|files):/.test(ref.id) ? parseRef({ ...ref, host }) : ref;
  }

  /** The files a repository offers, their sizes, what speaks against each, and which one `load` would take and why. */
  options(ref: ModelRef | string, options: LoadOptions = {}, calls: Calls = {}): Promise<ModelOption[]> {
    return this.call('options', [ref, options], calls);
  }

  /** What loading would fetch, model and runtime, where none of it has been kept. */
  cost(ref: ModelRef | string, options: LoadOptions = {}, calls: Calls = {}): Promise<LoadCost> {
    return this.call('cost', [ref, options], calls);
  }

  /** Loads a model (in a new worker if a session was built in this one before) and tests it. */
  async load(ref: ModelRef | string, options: LoadOptions & Calls = {}, calls: Calls = {}): Promise<LoadedModel> {
    const merged = { ...callsOf(options), ...calls };
    throwIfAborted(merged.signal);
    if (this.current || this.spent || [...this.pending.values()].some((p) => !p.again)) this.replace();
    const wanted = { device: options.device, precise: options.precise };
    this.connect();
    const { worker } = this;
    let built = false;
    const onProgress = (progress: Progress): void => {
      built ||= progress.phase === 'compile';
      merged.onProgress?.(progress);
    };
    const loaded = await this.call<LoadedModel>('load', [ref, { ...wanted, compareFile: options.compareFile }], { ...merged, onProgress }).catch((error: unknown) => {
      if (built && worker === this.worker) this.spent = true;
      throw error;
    });
    this.current = loaded;
    // Pinned to what was found, so that a rebuilt worker loads the very same files.
    this.remembered = { ref: loaded.ref, options: { ...wanted, device: loaded.device } };
    this.emit('loaded', loaded);
    void keepForOffline(this.base);
    return loaded;
  }

  async model(): Promise<LoadedModel | null> {
    return this.current;
  }

  async answer(ask: Ask, options: AnswerOptions & Calls = {}, calls: Calls = {}): Promise<Answer> {
    await this.revive();
    return this.call('answer', [ask, plain(options)], { ...callsOf(options), ...calls });
  }

  /** The prompt as the loaded model would read it: shown, and edited, before anything runs. */
  async prompt(ask: Ask, calls: Calls = {}): Promise<PromptView> {
    await this.revive();
    return this.call('prompt', [ask], calls);
  }

  async probe(ask: Ask, options: ProbeOptions & Calls = {}, calls: Calls = {}): Promise<Probe> {
    await this.revive();
    return this.call('probe', [ask, plain(options)], { ...callsOf(options), ...calls });
  }

  /** Which tokens, and at which layers, the answer's logit is made of: [layers + 1, tokens] by AttnLRP, CP-LRP or the plain gradient. */
  async relevance(ask: Ask, options: RelevanceOptions & Calls = {}, calls: Calls = {}): Promise<Relevance> {
    await this.revive();
    return this.call('relevance', [ask, plain(options)], { ...callsOf(options), ...calls });
  }

  /**
   * The causal check: states of the run of `options.clean` put into the asked one, group by group and layer by layer. Finished cells come
   * here as they are made, so that with `partial` they outlive a lost worker too; to go on after a loss loads the model anew.
   */
  async patch(ask: Ask, options: PatchOptions & Calls, calls: Calls = {}): Promise<Patching> {
    const given = { ...callsOf(options), ...calls };
    const broken = options.resume?.stopped?.code;
    if (broken && broken !== 'worker-lost' && LOST.includes(broken)) await this.recover(given);
    else await this.revive();
    let soFar = options.resume ?? null;
    const onPart = (part: Patching): void => {
      soFar = part;
      given.onPart?.(part);
    };
    try {
      return await this.call<Patching>('patch', [ask, plain(options)], { ...given, onPart });
    } catch (error) {
      const { code, message } = toLabError(error);
      if (!options.partial || soFar === null || code !== 'worker-lost') throw error;
      return { ...soFar, stopped: { code, message } };
    }
  }

  /** Relevance over many items, reduced to their groups' curves. What is finished is kept when it is stopped (`stopped`), and `resume` goes on. */
  async relevanceSet(asks: readonly Ask[], options: RelevanceSetOptions = {}): Promise<RelevanceSet> {
    return (await import('./lab-sets')).relevanceSet(this, asks, options);
  }

  /** A patching sweep of every pair, flips counted by `summarise`; stopped and resumed as `relevanceSet`. */
  async patchSet(pairs: readonly PatchPair[], options: PatchSetOptions = {}): Promise<PatchSet> {
    return (await import('./lab-sets')).patchSet(this, pairs, options);
  }

  /** Runs to patch between: each item beside the next question of its passage, in one language or across two. */
  async pairs(items: readonly Item[], wish: PairWish): Promise<PatchPair[]> {
    return (await import('./probe/patch-set')).pairsOf(items, wish);
  }

  /** Means and spread of a set, MRD, phases and stability: what the page's own pictures are drawn from. */
  async summarise(set: RelevanceSet, threshold?: number): Promise<SetSummary>;
  async summarise(set: PatchSet): Promise<PatchSummary>;
  async summarise(set: RelevanceSet | PatchSet, threshold?: number): Promise<SetSummary | PatchSummary> {
    if (set.kind === 'patch-set') return (await import('./probe/patch-set')).patchSummary(set);
    return (await import('./probe/relevance-set')).summary(set, threshold);
  }

  /** Where a set's questions meet their English wordings: raw and centred cosine and nearest-neighbour accuracy, by language and layer. */
  async alignment(set: string, options: AlignmentOptions & Calls = {}, calls: Calls = {}): Promise<SetAlignment> {
    await this.revive();
    return this.call('alignment', [set, plain(options)], { ...callsOf(options), ...calls });
  }

  /** One cell of a study, by the loaded model. `study` is what asks for many. */
  cell(request: CellRequest, calls: Calls = {}): Promise<CellOutcome> {
    return this.call('cell', [request], calls);
  }

  /** Which sentence of the context the answer hangs on, by leaving out one after the other. */
  async oracle(ask: Ask, options: OracleOptions & Calls = {}, calls: Calls = {}): Promise<OracleResult | null> {
    await this.revive();
    return this.call('oracle', [ask, plain(options)], { ...callsOf(options), ...calls });
  }

  /**
   * Runs a study, or goes on with it where it stopped: every finished cell is stored at once and none is computed twice. The
   * study loads its models in a worker of its own.
   */
  async study(design: StudyDesign, options: StudyStart = {}): Promise<StudyRun> {
    return (await import('./lab-study')).startStudy(this, design, options);
  }

  /**
   * The same question to two models (base and post-trained, two sizes, two dtypes, two devices): a record of both, A and B, with
   * the cosine between them by layer. A side that is loaded answers at once; any other gets a worker of its own for as long as it takes.
   */
  async compare(a: Side, b: Side, ask: Ask, options: ProbeOptions & Calls = {}): Promise<LabRecord> {
    return (await import('./lab-share')).compareModels(this, a, b, ask, options);
  }

  /** The record of one model's probes, the asked one first, and of a second model's beside them: what `link` and `export` take, and what a file holds. */
  async record(a: Probe | readonly Probe[], b: Probe | readonly Probe[] = []): Promise<LabRecord> {
    return (await import('./lab-share')).recordOf(a, b);
  }

  /** The link that asks the same again, of the same files, in the same view. `of`: a probe, or a record. */
  async link(of: Recordable): Promise<string> {
    return (await import('./lab-share')).linkTo(of, this.base);
  }

  /**
   * Goes where a link points and resolves with the record of what is then on show. Nothing is downloaded from another host
   * unless `download` says so: such a link is shown, its `needs` are listed, and `record` is null. Rejects with 'not-found' where the
   * item, the set or the recording that it names is not to be had, and as `load` and `probe` do.
   */
  async open(link: string, options: OpenOptions = {}): Promise<Opened> {
    return (await import('./lab-share')).openLink(this, link, this.opener, options);
  }

  /** A probe or a record as a file: 'zip' (what the lab opens again), 'json', 'safetensors' or 'csv'. */
  async export(of: Recordable, format: ExportFormat = 'zip', options: { states?: boolean } = {}): Promise<File> {
    return (await import('./lab-share')).exportAs(of, format, options);
  }

  /** F1 and exact match of a prediction, by SQuAD v1.1's rules and by those of the answer's language. */
  async score(prediction: string, gold: string, options: { language: Language }): Promise<BothScores> {
    return (await import('./xmrc/score')).score(prediction, gold, options);
  }

  /** What is wrong with an answer, by the lab's own detectors. */
  async classify(answer: AnswerToClassify): Promise<Classified> {
    return (await import('./xmrc/errors')).classify(answer);
  }

  /** WebGPU against WASM, layer by layer. */
  async compareDevices(ask: Ask | null = null, calls: Calls = {}): Promise<SelfTest> {
    await this.revive();
    const loaded = this.current;
    const selfTest = await this.call<SelfTest>('compareDevices', [ask], calls);
    if (loaded && this.current === loaded) this.current = { ...loaded, selfTest, provenance: { ...loaded.provenance, selfTest } };
    return selfTest;
  }

  storage(calls: Calls = {}): Promise<StorageReport> {
    return this.call('storage', [], calls);
  }

  deleteStored(url: string | null = null, calls: Calls = {}): Promise<StorageReport> {
    return this.call('deleteStored', [url], calls);
  }

  /** Asks the browser not to evict what is kept. Only a page may ask. */
  async persist(): Promise<boolean> {
    return (await navigator.storage?.persist?.()) ?? false;
  }

  /** Ends everything that runs or waits; each rejects with 'cancelled'. */
  cancel(): void {
    void this.remote?.cancelAll();
  }

  /** A hub token: in memory only, sent to that host only. null forgets it. */
  async setToken(host: string, token: string | null): Promise<void> {
    if (token) this.tokens.set(host, token);
    else this.tokens.delete(host);
    await this.remote?.setToken(host, token);
  }

  /**
   * Dropped or picked files in hub layout; returns the reference to load. A common first folder is taken off, so that a
   * whole model folder can be dropped.
   * @param name to be found by again, `files:<name>`; default: a new one
   */
  async addFiles(files: Iterable<File>, name?: string): Promise<ModelRef> {
    const list = [...files].map((file): [string, File] => [(file.webkitRelativePath || file.name).replace(/^\.?\//, ''), file]);
    if (list.length === 0) throw new LabError('bad-input', 'No files were given.');
    const root = list.map(([path]) => path).find((path) => /(^|\/)config\.json$/.test(path));
    const prefix = root ? root.slice(0, root.length - 'config.json'.length) : '';
    const id = name ?? `drop-${this.files.size + 1}`;
    const entries = list.filter(([path]) => path.startsWith(prefix)).map(([path, file]): [string, File] => [path.slice(prefix.length), file]);
    this.files.set(id, entries);
    await this.remote?.setFiles(id, entries);
    return { id: `files:${id}` };
  }

  /** Makes the lab believe that WebGPU is refused (null: ask the browser again). For tests and for readers in trouble. */
  async refuseWebGPU(reason: string | null): Promise<void> {
    this.refused = reason;
    await this.connect().refuseWebGPU(reason);
  }

  /** A second lab in a worker of its own, for two models side by side. */
  another(): LabClient {
    const other = new LabClient(this.base);
    for (const [host, token] of this.tokens) other.tokens.set(host, token);
    for (const [id, files] of this.files) other.files.set(id, files);
    other.refused = this.refused;
    return other;
  }

  /** Ends the worker and all its memory. The next call builds another one. */
  terminate(): void {
    this.end(new LabError('worker-lost', 'The model’s worker was ended.', 'Ask again: the model is loaded anew.'));
  }

  /** Builds a new worker and loads the last model again. */
  async recover(calls: Calls = {}): Promise<LoadedModel | null> {
    const { remembered } = this;
    this.terminate();
    return remembered ? this.load(remembered.ref, remembered.options, calls) : null;
  }

  /** 'lost': the worker died (its calls have been rejected); 'loaded': a model is ready. Returns how to stop listening. */
  on(event: 'lost', listener: (error: LabError) => void): () => void;
  on(event: 'loaded', listener: (model: LoadedModel) => void): () => void;
  on(event: LabEvent, listener: ((error: LabError) => void) | ((model: LoadedModel) => void)): () => void {
    const set = this.listeners.get(event) ?? new Set();
    this.listeners.set(event, set);
    const wrapped = listener as (detail: LabError | LoadedModel) => void;
    set.add(wrapped);
    return () => set.delete(wrapped);
  }

  /** After a lost worker the next question brings its model back: the reader asked, so this is no loop. */
  private async revive(): Promise<void> {
    if (!this.worker && this.remembered) await this.load(this.remembered.ref, this.remembered.options);
  }

  private call<T>(method: Method, args: unknown[], calls: Calls): Promise<T> {
    return new Promise<T>((resolve, reject) => {
      try {
        throwIfAborted(calls.signal);
      } catch (error) {
        reject(error as LabError);
        return;
      }
      const remote = this.connect();
      const id = this.nextId++;
      const cancel = (): void => void remote.cancel(id);
      const settle = (): void => {
        this.pending.delete(id);
        calls.signal?.removeEventListener('abort', cancel);
      };
      this.pending.set(id, {
        calls,
        reject: (error) => {
          settle();
          reject(error);
        },
        again: LIGHT.includes(method)
          ? () => {
              settle();
              this.call<T>(method, args, calls).then(resolve, reject);
            }
          : null,
      });
      calls.signal?.addEventListener('abort', cancel, { once: true });
      (remote.call(id, method, args) as Promise<T>).then(
        (value) => {
          settle();
          resolve(value);
        },
        (error: unknown) => {
          settle();
          reject(error instanceof LabError ? error : new LabError('bad-input', error instanceof Error ? error.message : String(error)));
        },
      );
    });
  }

  private connect(): Remote<Endpoint> {
    if (this.remote) return this.remote;
    const worker = new Worker(new URL('../workers/lab.worker.ts', import.meta.url), { type: 'module', name: this.base });
    const remote = wrap<Endpoint>(worker);
    worker.addEventListener('message', (event) => this.receive(worker, event.data));
    worker.addEventListener('error', (event) => {
      event.preventDefault();
      this.lose(worker, event.message || 'its script could not be loaded');
    });
    worker.addEventListener('messageerror', () => this.lose(worker, 'a message could not be read'));
    this.worker = worker;
    this.remote = remote;
    for (const [host, token] of this.tokens) void remote.setToken(host, token);
    for (const [id, files] of this.files) void remote.setFiles(id, files);
    if (this.refused) void remote.refuseWebGPU(this.refused);
    return remote;
  }

  private receive(worker: Worker, data: unknown): void {
    if (!isWireEvent(data) || worker !== this.worker) return;
    if (data.lab === 'ready') {
      // Granted when the worker has ended, by whatever cause: no other sign of that reaches a page.
      if (data.lock) void navigator.locks.request(data.lock, () => this.lose(worker, 'it ended by itself or was ended by the browser'));
      return;
    }
    const calls = this.pending.get(data.call)?.calls;
    if (data.lab === 'progress') calls?.onProgress?.(data.progress);
    else if (data.lab === 'token') calls?.onToken?.(data.token);
    else calls?.onPart?.(data.part);
  }

  private lose(worker: Worker, why: string): void {
    if (worker !== this.worker) return;
    const error = new LabError(
      'worker-lost',
      `The model’s worker was lost: ${why}.`,
      'Ask again: the model is loaded anew. If it happens again, choose a smaller model.',
    );
    this.end(error);
    this.emit('lost', error);
  }

  /** A new worker for another model. */
  private replace(): void {
    const light = [...this.pending].filter(([, p]) => p.again);
    for (const [id] of light) this.pending.delete(id);
    this.end(new LabError('superseded', 'Another model is being loaded.'));
    for (const [, p] of light) p.again?.();
  }

  private end(reason: LabError): void {
    this.worker?.terminate();
    this.worker = null;
    this.remote = null;
    this.current = null;
    this.spent = false;
    for (const { reject } of [...this.pending.values()]) reject(reason);
  }

  private emit(event: LabEvent, detail: LabError | LoadedModel): void {
    for (const listener of this.listeners.get(event) ?? []) listener(detail);
  }
}

/** Options without what cannot be cloned. */
function plain<T extends Calls>(options: T): Omit<T, keyof Calls> {
  const { signal: _signal, onProgress: _onProgress, onToken: _onToken, onPart: _onPart, ...rest } = options;
  return rest;
}

const callsOf = ({ signal, onProgress, onToken, onPart }: Calls): Calls => ({
  ...(signal ? { signal } : {}),
  ...(onProgress ? { onProgress } : {}),
  ...(onToken ? { onToken } : {}),
  ...(onPart ? { onPart } : {}),
});
