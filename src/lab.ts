/**
 * The lab: one model at a time, asked and looked into. This class lives in the worker; `lab-client.ts` mirrors it on the page.
 * Everything it returns is a plain record that can be cloned, stored and shared.
 */
import { alignSet, type AlignmentOptions, type SetAlignment } from './lab-alignment';
import { mechanismMeasures } from './lab-cell';
import { ItemSets, type Resolved } from './lab-items';
import { Mechanism, type MechanismAsk, type Patching, type PatchOptions, type Relevance, type RelevanceOptions } from './lab-mechanism';
import { LabStorage } from './lab-storage';
import { writeAnswer } from './models/answering';
import { firstTokenOf, makePrompt, type Prompt } from './models/prompting';
import { bundledCards, catalogue } from './models/catalogue';
import { compareStates } from './models/compare';
import { describe } from './models/describe';
import { listOptions, openModel, type OpenModel } from './models/open';
import { parseRef } from './models/reference';
import { read } from './probe/read';
import { capabilities } from './runtime/capabilities';
import { LabError, throwIfAborted } from './runtime/errors';
import { Lanes } from './runtime/lanes';
import { runtimeBytes } from './runtime/ort';
import { Meter } from './runtime/progress';
import type { CellRequest } from './study/cell';
import { CellDesk, type OracleOptions } from './study/desk';
import type { OracleResult } from './study/oracle';
import type { CellOutcome } from './study/result';
import type {
  Answer,
  AnswerOptions,
  Ask,
  Capabilities,
  Device,
  Item,
  LoadOptions,
  LoadedModel,
  ModelCard,
  ModelRef,
  Probe,
  ProbeOptions,
  PromptView,
  SelfTest,
  StorageReport,
} from './types';
import type { Calls, LabApi } from './wire';
import { ownSpan } from './xmrc/answer';
import { score } from './xmrc/score';

/** One file a repository offers. */
export interface ModelOption {
  dtype: string;
  path: string;
  bytes: number | null;
  /** null when it can run here, else why not. */
  refused: string | null;
  /** What to know of it that speaks neither for nor against; null: nothing. */
  remark: string | null;
  /** Set for the one that `load` would take. */
  chosen: string | null;
}

/** What loading would fetch, where none of it has been kept; null where a host does not say how large its files are. */
export interface LoadCost {
  dtype: string;
  device: Device;
  model: number | null;
  runtime: number;
}

const MAX_TOKENS = 48;
const OWN_SPAN = 'No gold answer is named: the answer span is where the model’s own answer stands in the passage.';
const NO_SPAN = 'No gold answer is named, and the model’s own does not stand in the passage in one place, word for word: there is no answer span.';
const ANSWERS_KEPT = 16;

interface Loaded {
  open: OpenModel;
  record: LoadedModel;
  /** Where a study's cells are worked; made with the first one. */
  desk?: CellDesk;
  /** Relevance and patching; made with the first of them. */
  mechanism?: Mechanism;
}

export class Lab implements LabApi {
  private readonly lanes = new Lanes();
  private readonly shelf: ItemSets;
  private readonly kept: LabStorage;
  private loaded: Loaded | null = null;
  /** Of the loaded model, by prompt ids; unscored. */
  private readonly answers = new Map<string, Answer>();

  /** @param base address of the page's folder, with a slash at the end */
  constructor(private readonly base: string) {
    this.shelf = new ItemSets(base);
    this.kept = new LabStorage(base);
  }

  capabilities(): Promise<Capabilities> {
    return capabilities();
  }

  /** Bundled models first, then the hub's. */
  async models(call: Calls = {}): Promise<ModelCard[]> {
    return [...(await bundledCards(this.base, call.signal)), ...catalogue()];
  }

  sets(call: Calls = {}): Promise<string[]> {
    return this.shelf.names(call);
  }

  keptSets(): Promise<string[]> {
    return this.shelf.kept();
  }

  /** @throws LabError 'not-found' | 'broken-file' */
  items(set: string, call: Calls = {}): Promise<Item[]> {
    return this.shelf.items(set, call);
  }

  /** What a repository offers for this device, before anything large is fetched. */
  async options(ref: ModelRef | string, options: LoadOptions = {}, call: Calls = {}): Promise<ModelOption[]> {
    const parsed = parseRef(ref);
    const { options: list, choice } = await listOptions(parsed, options.device, await capabilities(), await this.kept.context(call.signal));
    return list.map(({ dtype, path, bytes, refused, remark }) => ({
      dtype,
      path,
      bytes,
      refused,
      remark,
      chosen: path === choice.path ? choice.reason : null,
    }));
  }

  /** What `load` would fetch, before it is asked to. */
  async cost(ref: ModelRef | string, options: LoadOptions = {}, call: Calls = {}): Promise<LoadCost> {
    const { choice, bytes, device } = await listOptions(parseRef(ref), options.device, await capabilities(), await this.kept.context(call.signal));
    return { dtype: choice.dtype, device, model: bytes, runtime: runtimeBytes(device) };
  }

  /** Loads a model and tests it. A running load, answer or probe gives way. */
  load(ref: ModelRef | string, options: LoadOptions = {}, call: Calls = {}): Promise<LoadedModel> {
    this.lanes.abortAll(new LabError('superseded', 'Another model is being loaded.'));
    return this.lanes.run('load', call.signal, async (signal) => {
      const parsed = parseRef(ref);
      await this.unload();
      const open = await openModel(
        parsed,
        { device: options.device, precise: options.precise ?? false, compareFile: options.compareFile, capabilities: await capabilities(), meter: new Meter(call.onProgress) },
        await this.kept.context(signal),
      );
      this.loaded = { open, record: describe(parsed, open, options.precise ?? false, await this.models({ signal }).catch(() => []), await capabilities()) };
      return this.loaded.record;
    });
  }

  async model(): Promise<LoadedModel | null> {
    return this.loaded?.record ?? null;
  }

  /** @throws LabError 'no-model' | 'empty-question' | 'too-long' | 'superseded' | 'cancelled' | … */
  answer(ask: Ask, options: AnswerOptions = {}, call: Calls = {}): Promise<Answer> {
    return this.lanes.run(options.lane === undefined ? 'answer' : options.lane, call.signal, async (signal) => {
      const { open } = this.need();
      const resolved = await this.shelf.resolve(ask, signal);
      const prompt = makePrompt(resolved, open.tokenizer, this.bundled());
      return this.generate(open, prompt, resolved, options.maxTokens ?? MAX_TOKENS, signal, call.onToken);
    });
  }

  /** The prompt of an ask as the loaded model would read it, without running anything. Waits for nobody. */
  async prompt(ask: Ask, call: Calls = {}): Promise<PromptView> {
    const { open } = this.need();
    const resolved = await this.shelf.resolve(ask, call.signal ?? new AbortController().signal);
    const { kind, text, editable, tokens, spans, notes } = makePrompt(resolved, open.tokenizer, this.bundled());
    return { kind, text, editable, tokens, spans, notes };
  }

  /** Answers, then reads every layer over prompt and answer in one run. */
  probe(ask: Ask, options: ProbeOptions = {}, call: Calls = {}): Promise<Probe> {
    return this.lanes.run(options.lane === undefined ? 'probe' : options.lane, call.signal, async (signal) => {
      const { open, record } = this.need();
      const { decoder, tokenizer } = open;
      if (!decoder.instruments)
        throw new LabError('unsupported-graph', `The lab cannot look inside this model: ${decoder.opaque}`, 'It can still answer.');
      const resolved = await this.shelf.resolve(ask, signal);
      const prompt = makePrompt(resolved, tokenizer, this.bundled());
      const answer =
        options.generate === false
          ? emptyAnswer(resolved.gold)
          : await this.generate(open, prompt, resolved, options.maxTokens ?? MAX_TOKENS, signal, call.onToken);
      throwIfAborted(signal);
      const followed = follow(prompt, resolved.gold, answer, options.follow ?? [], open, this.bundled());
      const unnamed = options.ownSpan === true && !('item' in ask) && !ask.answer;
      const own = unnamed ? ownSpan(resolved.context, answer.text) : null;
      const grouped = own ? makePrompt({ ...resolved, answer: own }, tokenizer, this.bundled()) : prompt;
      const tokens = [...grouped.tokens, ...answer.tokens];
      const reading = await read(decoder, {
        tokens,
        options,
        followed: followed.map((f) => f.id),
        label: (id) => tokenizer.label(id),
      });
      const { states, positions, layers, dim, means, lens } = reading;
      return {
        ask: own ? { ...ask, answer: own } : ask,
        model: record,
        prompt: prompt.text,
        tokens,
        answer,
        positions,
        layers,
        dim,
        states,
        means,
        lens,
        followed,
        provenance: { ...record.provenance, time: new Date().toISOString() },
        notes: [...grouped.notes, ...(unnamed ? [own ? OWN_SPAN : NO_SPAN] : []), ...open.notes, ...(record.selfTest?.passed === false ? ['This model failed its self-test.'] : [])],
      };
    });
  }

  /** Answers, then attributes the answer to every token at every layer. A run cannot be stopped half-way; a cancel ends it before or after. */
  relevance(ask: Ask, options: RelevanceOptions = {}, call: Calls = {}): Promise<Relevance> {
    return this.lanes.run(options.lane === undefined ? 'relevance' : options.lane, call.signal, async (signal) =>
      this.mechanism().relevance(await this.ready(ask, options.maxTokens ?? MAX_TOKENS, signal), options, { signal, onProgress: call.onProgress }),
    );
  }

  /** Puts the clean run's states into the asked run, one group and one layer at a time. */
  patch(ask: Ask, options: PatchOptions, call: Calls = {}): Promise<Patching> {
    return this.lanes.run(options.lane === undefined ? 'patch' : options.lane, call.signal, async (signal) => {
      const asked = await this.ready(ask, MAX_TOKENS, signal);
      return this.mechanism().patch(asked, await this.ready(options.clean, MAX_TOKENS, signal), options, { signal, onProgress: call.onProgress, onPart: call.onPart });
    });
  }

  /** Question alignment over a set's items. Each run takes its turn, so that other questions are answered meanwhile. */
  alignment(set: string, options: AlignmentOptions = {}, call: Calls = {}): Promise<SetAlignment> {
    const loaded = this.need();
    const { decoder, tokenizer } = loaded.open;
    if (!decoder.instruments) throw new LabError('unsupported-graph', `The lab cannot look inside this model: ${decoder.opaque}`, 'It can still answer.');
    return alignSet(
      {
        layers: decoder.layers,
        dim: decoder.width,
        provenance: loaded.record.provenance,
        items: (name) => this.items(name, call),
        prompt: (context, question, answer) => makePrompt({ context, question, answer: answer ?? null, prompt: undefined }, tokenizer, this.bundled()),
        trace: (ids, request) =>
          this.lanes.run(null, call.signal, async () => {
            if (this.loaded !== loaded) throw new LabError('superseded', 'Another model has been loaded.');
            return decoder.trace(ids, request);
          }),
      },
      set,
      options,
      call,
    );
  }

  /** One cell of a study. Gives way to nobody; the context's beginning stays computed for the next one. */
  cell(request: CellRequest, call: Calls = {}): Promise<CellOutcome> {
    return this.lanes.run(null, call.signal, (signal) => this.desk().run(request, signal));
  }

  /** The estimated oracle: which sentence of the context the answer hangs on. null where there is nothing to choose between. */
  oracle(ask: Ask, options: OracleOptions = {}, call: Calls = {}): Promise<OracleResult | null> {
    return this.lanes.run(options.lane === undefined ? 'oracle' : options.lane, call.signal, async (signal) => {
      const resolved = await this.shelf.resolve(ask, signal);
      return this.desk().oracle({ ...resolved, language: resolved.answerLanguage }, options, signal);
    });
  }

  /**
   * On request: the same text through the model on the other device, layer by layer.
   * Costs a second copy of the model for the time it takes.
   */
  compareDevices(ask: Ask | null = null, call: Calls = {}): Promise<SelfTest> {
    return this.lanes.run('compare', call.signal, async (signal) => {
      const { open, record } = this.need();
      if (!open.decoder.instruments) throw new LabError('unsupported-graph', `The lab cannot look inside this model: ${open.decoder.opaque}`);
      const other = open.device === 'webgpu' ? 'wasm' : 'webgpu';
      const text = ask ? makePrompt(await this.shelf.resolve(ask, signal), open.tokenizer, this.bundled()).ids : open.tokenizer.encode(COMPARE_TEXT, true);
      const ids = text.slice(0, 128);
      const second = await openModel(
        { ...record.ref, dtype: open.choice.dtype },
        { device: other, precise: record.provenance.precise, compareFile: false, capabilities: await capabilities(), meter: new Meter(call.onProgress) },
        await this.kept.context(signal),
      );
      try {
        const check = await compareStates(open.decoder, second.decoder, ids);
        const before = record.selfTest ?? { passed: true, checks: [] };
        const checks = [...before.checks.filter((c) => c.name !== check.name), check];
        const result = { passed: checks.every((c) => c.passed !== false), checks };
        record.selfTest = result;
        record.provenance.selfTest = result;
        return result;
      } finally {
        await second.decoder.dispose();
      }
    });
  }

  storage(): Promise<StorageReport> {
    return this.kept.report();
  }

  deleteStored(url: string | null): Promise<StorageReport> {
    return this.kept.deleteStored(url);
  }

  persist(): Promise<boolean> {
    return this.kept.persist();
  }

  setToken(host: string, token: string | null): void {
    this.kept.setToken(host, token);
  }

  setFiles(id: string, files: [string, File][]): void {
    this.kept.setFiles(id, files);
  }

  cancelAll(): void {
    this.lanes.abortAll(new LabError('cancelled', 'Cancelled.'));
  }

  private async unload(): Promise<void> {
    const { loaded } = this;
    this.loaded = null;
    this.answers.clear();
    loaded?.desk?.dispose();
    await loaded?.mechanism?.dispose();
    await loaded?.open.decoder.dispose();
  }

  private need(): Loaded {
    if (!this.loaded) throw new LabError('no-model', 'No model is loaded.', 'Load one first.');
    return this.loaded;
  }

  private desk(): CellDesk {
    const loaded = this.need();
    return (loaded.desk ??= new CellDesk(loaded.open, this.bundled(), (cell, answer, design, signal) =>
      mechanismMeasures({ mechanism: () => this.mechanism(), ready: (ask) => this.ready(ask, design.maxTokens, signal) }, cell, answer, design, signal),
    ));
  }

  private mechanism(): Mechanism {
    const loaded = this.need();
    return (loaded.mechanism ??= new Mechanism(loaded.open, loaded.record));
  }

  private async ready(ask: Ask, maxTokens: number, signal: AbortSignal): Promise<MechanismAsk> {
    const { open } = this.need();
    const resolved = await this.shelf.resolve(ask, signal);
    const prompt = makePrompt(resolved, open.tokenizer, this.bundled());
    const gold = resolved.gold ? firstTokenOf(resolved.gold, prompt, open.tokenizer, this.bundled()) : null;
    const first = (text: string): number | null => firstTokenOf(text, prompt, open.tokenizer, false);
    return { ask, prompt, gold, first, answer: () => this.generate(open, prompt, resolved, maxTokens, signal, undefined) };
  }

  private bundled(): boolean {
    return this.need().record.card.bundled;
  }

  private async generate(
    open: OpenModel,
    prompt: Prompt,
    ask: Resolved,
    maxTokens: number,
    signal: AbortSignal,
    onToken: Calls['onToken'],
  ): Promise<Answer> {
    if (!(maxTokens >= 1)) throw new LabError('bad-input', `An answer of ${maxTokens} tokens cannot be asked for.`);
    // A reader asks, then looks inside: the answer need not be generated twice.
    const key = `${maxTokens}:${prompt.ids.join(',')}`;
    const known = this.answers.get(key);
    const scored = (answer: Answer): Answer => {
      const scores = ask.gold === null ? null : score(answer.text, ask.gold, { language: ask.answerLanguage });
      return { ...answer, gold: ask.gold, squad: scores?.squad ?? null, languageAware: scores?.languageAware ?? null };
    };
    if (known) {
      for (const token of known.tokens) onToken?.(token);
      return scored(known);
    }
    const answer = await writeAnswer(open, prompt, { maxTokens, signal, onToken });
    this.answers.set(key, answer);
    if (this.answers.size > ANSWERS_KEPT) this.answers.delete(this.answers.keys().next().value as string);
    return scored(answer);
  }

}

const COMPARE_TEXT =
  'The Elbe flows through Dresden and Hamburg. Die Elbe fließt durch Dresden. Эльба течёт через Дрезден. 易北河流经德累斯顿。 แม่น้ำเอลเบอไหลผ่านเดรสเดิน';

/** Followed tokens, each id once: a gold answer that begins as the given one does keeps the role 'gold'. */
function follow(prompt: Prompt, gold: string | null, answer: Answer, pinned: readonly number[], open: OpenModel, bundled: boolean): Probe['followed'] {
  const candidates: [number | null | undefined, Probe['followed'][number]['role']][] = [
    [gold ? firstTokenOf(gold, prompt, open.tokenizer, bundled) : null, 'gold'],
    [answer.tokens[0]?.id, 'answer'],
    ...pinned.map((id): [number, 'pinned'] => [id, 'pinned']),
  ];
  const seen = new Map<number, Probe['followed'][number]>();
  for (const [id, role] of candidates) {
    if (id === null || id === undefined || seen.has(id)) continue;
    if (!Number.isInteger(id) || id < 0 || id >= open.config.vocab) throw new LabError('bad-input', `There is no token ${id}.`);
    seen.set(id, { id, text: open.tokenizer.label(id), role });
  }
  return [...seen.values()];
}

const emptyAnswer = (gold: string | null): Answer => ({
  text: '',
  tokens: [],
  stop: 'length',
  gold,
  squad: null,
  languageAware: null,
  timing: { prefillMs: 0, decodeMs: 0, tokensPerSecond: 0 },
});
