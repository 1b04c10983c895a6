/**
 * The mechanism of one loaded model: relevance by layer and token, and patching, its causal check. Lives in the worker beside `lab.ts`,
 * which looks asks up and hands prompts in. A way back is built with the first map of its rule and ends with the model.
 */
import { Breath } from './models/cache';
import type { OpenModel } from './models/open';
import type { Prompt } from './models/prompting';
import { planSweep, type Match, type PatchSide, type SweepPlan, type SweepResult } from './probe/patching';
import { runsOf, sweep, SweepStopped, type PatchDecoder } from './probe/patch-sweep';
import { groupRelevance, mrd, MRD_THRESHOLD, phases, tokenMrds, type Phases } from './probe/phases';
import { checkMap, groupProfiles, longestFor, planTarget, type ModelShape, type RelevanceCheck, type RelevanceRule, type RelevanceTarget } from './probe/relevance';
import { RelevanceSession } from './probe/relevance-session';
import { LabError, throwIfAborted, toLabError } from './runtime/errors';
import { Meter, type OnProgress } from './runtime/progress';
import { GROUPS, type Answer, type Ask, type LabErrorCode, type LoadedModel, type Provenance, type TokenGroup, type TokenInfo } from './types';

export interface RelevanceOptions {
  /** Default 'attnlrp'. */
  rule?: RelevanceRule;
  /** Default: the first generated token. */
  target?: RelevanceTarget;
  /** Share of the absolute relevance that MRD asks for. Default 0.95. */
  threshold?: number;
  /** Of the answer that is generated first. Default 48. */
  maxTokens?: number;
  /**
   * Where the way back reads its weights: the decoder's own, which is then built again with the first map of a rule, or a second copy.
   * Default: shared from 64 MiB on.
   */
  weights?: 'shared' | 'own';
  /** As in AnswerOptions. */
  lane?: string | null;
}

/** One map, as a plain record. */
export interface Relevance {
  ask: Ask;
  rule: RelevanceRule;
  target: RelevanceTarget;
  /** The tokens whose logits were attributed. */
  targets: { id: number; text: string; weight: number }[];
  /** [layers + 1, tokens], row-major, layer 0 = embeddings. */
  relevance: Float32Array;
  layers: number;
  /** What was read: the prompt, and for later targets the answer's beginning. */
  tokens: TokenInfo[];
  /** Relevance by layer of each group that is there, summed with sign. */
  groups: Partial<Record<TokenGroup, Float64Array>>;
  threshold: number;
  /** MRD per token and per group; null where there is no finite relevance. */
  mrd: (number | null)[];
  groupMrd: Partial<Record<TokenGroup, number | null>>;
  /** The two phases [O]. */
  phases: Phases;
  /** The score attributed. */
  z: number;
  checks: RelevanceCheck;
  ms: number;
  provenance: Provenance;
  notes: string[];
}

export interface PatchOptions {
  /** The run whose states are put into the asked one. */
  clean: Ask;
  /** Default: all, 0 (embeddings) to L. */
  layers?: number[];
  /**
   * Default: question, answer span and readout. Each run's group is its own: the states of the clean answer's span go where the asked
   * answer's span stands. (The clean span in both runs would be patched with itself: the context comes before the question.)
   */
  groups?: TokenGroup[];
  /**
   * How a group of one length lands on one of another, as between languages. Default: token by token where they are equal, else the
   * last token's state onto the last token, all other positions untouched. 'mean': the clean group's mean onto every position. 'each'
   * between unequal lengths is 'last'. `Patching.groups` says what was used.
   */
  match?: Match;
  /** Also every position at once: at any layer this must give the clean run. Needs prompts of equal length. */
  whole?: boolean;
  /** A sweep that is cancelled or loses its device gives what it has (see `stopped`) instead of an error. Default false. */
  partial?: boolean;
  /** Goes on with a sweep that was stopped, of the same two runs and with the same options: what is done is kept. */
  resume?: Patching;
  lane?: string | null;
}

/** One sweep, as a plain record. `effects` and the others are [groups, layers]. */
export interface Patching extends SweepResult {
  ask: Ask;
  cleanAsk: Ask;
  /** d = logit[a] − logit[b]: a is the clean answer's first token, b the asked one's, or the strongest other token where both begin alike. */
  a: { id: number; text: string };
  b: { id: number; text: string };
  contrast: 'answers' | 'runner-up';
  /** All positions patched, by layer; null when not asked for or the lengths differ. */
  whole: { effects: Float32Array; differences: Float32Array } | null;
  /** Why it ended early; cells without `done` are then missing. null for a whole sweep. */
  stopped: { code: LabErrorCode; message: string } | null;
  ms: number;
  provenance: Provenance;
  notes: string[];
}

export interface Running {
  signal: AbortSignal;
  onProgress?: OnProgress;
}

/** One ask made ready by the lab. */
export interface MechanismAsk {
  ask: Ask;
  prompt: Prompt;
  /** First token of the gold answer in this prompt. */
  gold: number | null;
  /** First token of any text that were to follow the prompt; null when it has none. */
  first?: (text: string) => number | null;
  answer: () => Promise<Answer>;
}

/** What a WASM memory holds at most; WebGPU is held to the same, for want of a figure of its own. */
const MEMORY = 3.5 * 2 ** 30;
/** From this size on the way back shares the decoder's weights. */
const SHARED_FROM = 64 * 2 ** 20;
const DEFAULT_GROUPS: TokenGroup[] = ['question', 'answerSpan', 'readout'];

export class Mechanism {
  private readonly own = new Map<RelevanceRule, Promise<RelevanceSession>>();
  /** In the decoder's session there is room for one. */
  private shared: RelevanceSession | null = null;

  constructor(
    private readonly open: OpenModel,
    private readonly model: LoadedModel,
  ) {}

  /** @throws LabError 'unsupported-graph' naming the operator without a rule, 'too-long' before anything runs, 'bad-input' */
  async relevance(asked: MechanismAsk, options: RelevanceOptions, running: Running): Promise<Relevance> {
    const { rule = 'attnlrp', target = { kind: 'first' }, threshold = MRD_THRESHOLD } = options;
    if (!['gradient', 'attnlrp', 'cp-lrp'].includes(rule)) throw new LabError('bad-input', `There is no rule "${String(rule)}".`, 'There are attnlrp, cp-lrp and gradient.');
    if (!(threshold > 0 && threshold <= 1)) throw new LabError('bad-input', 'The threshold is a share above 0, at most 1.');
    const { prompt } = asked;
    const meter = new Meter(running.onProgress);
    this.checkLength(prompt.ids.length);
    const answer = needsAnswer(target) ? (await asked.answer()).tokens : [];
    const planned = planTarget(target, prompt.ids, answer.map((t) => t.id), asked.gold, asked.first);
    if ('problem' in planned) throw new LabError('bad-input', `Nothing can be attributed: ${planned.problem}`, 'Choose another target.');
    const { plan } = planned;
    for (const id of plan.tokens) if (!Number.isInteger(id) || id < 0 || id >= this.open.config.vocab) throw new LabError('bad-input', `There is no token ${id}.`);
    this.checkLength(plan.ids.length);
    throwIfAborted(running.signal);
    const session = await this.session(rule, options.weights ?? (this.weights() < SHARED_FROM ? 'own' : 'shared'), meter, running.signal);
    meter.phase('run', null, 'one pass forward and one back');
    const map = await session.map(target, plan, running.signal);
    meter.phase('done');
    const tokens = [...prompt.tokens, ...answer].slice(0, plan.ids.length);
    const checks = checkMap(map);
    return {
      ask: asked.ask,
      rule,
      target,
      targets: plan.tokens.map((id, i) => ({ id, text: this.open.tokenizer.label(id), weight: plan.weights[i] })),
      relevance: map.relevance,
      layers: map.layers,
      tokens,
      groups: profilesOf(map.relevance, tokens),
      threshold,
      mrd: tokenMrds(map.relevance, tokens.length, threshold),
      groupMrd: groupMrds(map.relevance, tokens, threshold),
      phases: phases(map.relevance, tokens, threshold),
      z: map.z,
      checks,
      ms: map.ms,
      provenance: this.provenance(),
      notes: [...prompt.notes, ...(checks.notFinite > 0 ? [`${checks.notFinite} values are not finite: they are shown as such.`] : [])],
    };
  }

  /** @throws LabError 'unsupported-graph', 'too-long', 'bad-input' */
  async patch(asked: MechanismAsk, from: MechanismAsk, options: PatchOptions, running: Running): Promise<Patching> {
    const { decoder, tokenizer } = this.open;
    const { signal } = running;
    const started = performance.now();
    const last = decoder.layers;
    const layers = options.layers ?? Array.from({ length: last + 1 }, (_, l) => l);
    if (layers.length === 0 || layers.some((l) => !Number.isInteger(l) || l < 0 || l > last)) throw new LabError('bad-input', `Layers are whole numbers from 0 to ${last}.`);
    const groups = options.groups ?? DEFAULT_GROUPS;
    const unknown = groups.find((g) => !GROUPS.includes(g));
    if (unknown) throw new LabError('bad-input', `There is no token group "${String(unknown)}".`);
    if (!decoder.instruments?.patch) throw new LabError('unsupported-graph', `The lab cannot patch this model: ${decoder.opaque ?? 'it has no patch inputs'}.`, 'It can still answer.');
    for (const { prompt } of [asked, from]) decoder.checkLength(prompt.ids.length);

    const a = await this.firstToken(from);
    throwIfAborted(signal);
    let b = await this.firstToken(asked);
    const contrast = a === b ? 'runner-up' : 'answers';
    if (a === b) b = best(await decoder.lastLogits(asked.prompt.ids), a);
    throwIfAborted(signal);

    const clean: PatchSide = from.prompt;
    const corrupted: PatchSide = asked.prompt;
    const plan = planSweep({ clean, corrupted, groups, layers, match: options.match, a, b });
    const equal = clean.ids.length === corrupted.ids.length;
    const whole = options.whole === true && equal ? wholePlan(clean, corrupted, layers, a, b) : null;
    const resume = options.resume && resumable(options.resume, plan);
    const meter = new Meter(running.onProgress);
    meter.phase('run', runsOf(plan) + (whole ? runsOf(whole) : 0));
    const shared = { signal, onProgress: () => meter.add(1) };
    const record = (result: SweepResult, all: SweepResult | null, stopped: Patching['stopped']): Patching => ({
      ...result,
      ask: asked.ask,
      cleanAsk: from.ask,
      a: { id: a, text: tokenizer.label(a) },
      b: { id: b, text: tokenizer.label(b) },
      contrast,
      whole: all ? { effects: all.effects, differences: all.differences } : null,
      stopped,
      ms: performance.now() - started + (options.resume?.ms ?? 0),
      provenance: this.provenance(),
      notes: [
        ...new Set([...from.prompt.notes, ...asked.prompt.notes]),
        ...(options.whole && !equal ? [`The prompts have ${clean.ids.length} and ${corrupted.ids.length} tokens: all positions at once can only be patched between equal lengths.`] : []),
      ],
    });
    let groupsDone: SweepResult | null = null;
    try {
      const breathing = this.breathing();
      groupsDone = await sweep(breathing, plan, { ...shared, ...(resume ? { resume } : {}) });
      const all = whole ? await sweep(breathing, whole, shared) : null;
      meter.finish();
      return record(groupsDone, all, null);
    } catch (error) {
      const soFar = groupsDone ?? (error instanceof SweepStopped ? error.soFar : null);
      if (options.partial && soFar) {
        const { code, message } = toLabError(error);
        return record(soFar, null, { code, message });
      }
      throwIfAborted(signal);
      throw error;
    }
  }

  async dispose(): Promise<void> {
    const all = [...this.own.values()];
    this.own.clear();
    for (const session of all) await (await session.catch(() => null))?.dispose();
  }

  /** The longest prompt that the model can read and whose map fits into memory. */
  private longest(): number {
    const { config } = this.open;
    const { layers, width, heads, kvHeads, headDim } = config;
    const quantised = /^q/.test(this.open.choice.dtype);
    // MLPs are 3 to 5.5 times as wide as the stream in the supported families
    const shape: ModelShape = { layers, width, heads, kvHeads, headDim, inner: 6 * width, quantised };
    // Beside the weights in memory the file itself, read once more: from a host that keeps no commit, or for the way back's own.
    return Math.min(config.maxLength, longestFor(shape, Math.max(0, MEMORY - 2 * this.weights())));
  }

  private weights(): number {
    return this.open.files.reduce((sum, f) => sum + f.bytes, 0);
  }

  private checkLength(tokens: number): void {
    this.open.decoder.checkLength(tokens);
    const most = this.longest();
    if (tokens <= most) return;
    throw new LabError(
      'too-long',
      most > 0 ? `A relevance map of ${tokens} tokens would not fit into memory; the longest prompt that fits has ${most}.` : 'This model leaves no memory for a relevance map.',
      most > 0 ? 'Shorten the passage, or choose a smaller model.' : 'Choose a smaller model.',
    );
  }

  private async session(rule: RelevanceRule, weights: 'shared' | 'own', meter: Meter, signal: AbortSignal): Promise<RelevanceSession> {
    const { open } = this;
    if (weights === 'shared' && this.shared?.rule === rule) return this.shared;
    const known = this.own.get(rule);
    if (known) return known;
    meter.phase('compile', null, 'building the way back through the layers');
    if (weights === 'shared') {
      const { files, giveBack } = await open.weights(signal);
      try {
        const made = await RelevanceSession.within(open.decoder, open.graphs.plain, { bytes: open.graphs.prepared, externalData: files }, rule);
        if (made) return (this.shared = made);
      } finally {
        giveBack();
      }
    }
    const made = this.apart(rule, signal);
    this.own.set(rule, made);
    made.catch(() => this.own.delete(rule));
    return made;
  }

  private async apart(rule: RelevanceRule, signal: AbortSignal): Promise<RelevanceSession> {
    const { open } = this;
    const { files, giveBack } = await open.weights(signal);
    try {
      return await RelevanceSession.create({ bytes: open.graphs.plain, externalData: files }, rule, open.device, open.config);
    } finally {
      giveBack();
    }
  }

  private async firstToken(asked: MechanismAsk): Promise<number> {
    return asked.gold ?? best(await this.open.decoder.lastLogits(asked.prompt.ids));
  }

  /** The decoder, letting messages (a cancel) through between runs. */
  private breathing(): PatchDecoder {
    const { decoder } = this.open;
    const breath = new Breath();
    const { session } = decoder;
    return {
      session: {
        inputs: session.inputs,
        int64: (...args) => session.int64(...args),
        tensor: (...args) => session.tensor(...args),
        run: async (...args) => {
          await breath.take();
          return session.run(...args);
        },
      },
      config: decoder.config,
      instruments: decoder.instruments,
      opaque: decoder.opaque,
      width: decoder.width,
      checkLength: (tokens) => decoder.checkLength(tokens),
    };
  }

  private provenance(): Provenance {
    return { ...this.model.provenance, time: new Date().toISOString() };
  }
}

const needsAnswer = (target: RelevanceTarget): boolean => target.kind !== 'gold' && !(target.kind === 'difference' && !target.index);

function profilesOf(relevance: Float32Array, tokens: readonly TokenInfo[]): Relevance['groups'] {
  return groupProfiles({ relevance }, [...tokens]);
}

function groupMrds(relevance: Float32Array, tokens: TokenInfo[], threshold: number): Relevance['groupMrd'] {
  const out: Relevance['groupMrd'] = {};
  for (const group of GROUPS) {
    const curve = groupRelevance(relevance, tokens, group);
    if (curve) out[group] = mrd(curve, threshold);
  }
  return out;
}

/** The highest logit's token, `but` one left out. */
function best(logits: Float32Array, but = -1): number {
  let top = but === 0 ? 1 : 0;
  for (let i = 0; i < logits.length; i++) if (i !== but && logits[i] > logits[top]) top = i;
  return top;
}

/** What a stopped sweep had, to be filled further; it must be of the same plan. */
function resumable(from: Patching, plan: SweepPlan): SweepResult {
  const same =
    from.layers.join() === plan.layers.join() &&
    from.groups.map((g) => `${g.group} ${g.match}`).join() === plan.groups.map((g) => `${g.group} ${g.match}`).join() &&
    from.a.id === plan.a &&
    from.b.id === plan.b;
  if (!same) throw new LabError('bad-input', 'The sweep to go on with was of other layers, groups or answers.', 'Begin it anew.');
  const { layers, groups, absent, clean, corrupted } = from;
  return { layers, groups, absent, clean, corrupted, effects: from.effects.slice(), differences: from.differences.slice(), flips: from.flips.slice(), done: from.done.slice() };
}

/** Every position onto the same position: one plan of one group. */
function wholePlan(clean: PatchSide, corrupted: PatchSide, layers: readonly number[], a: number, b: number): SweepPlan {
  const landings = corrupted.ids.map((_, i) => ({ to: i, from: [i] }));
  return { clean: clean.ids, corrupted: corrupted.ids, groups: [{ group: 'context', match: 'each', landings, start: 0 }], layers: [...layers], absent: [], a, b };
}
