/**
 * The mechanism of one loaded model: relevance by layer and token, and patching, its causal check. Lives in the worker beside `lab.ts`,
 * which looks asks up and hands prompts in. A way back is built with the first map of its rule and ends with the model.
 */
import { refuseUnknown, type Names } from './lab-options';
import { patchRuns, type MechanismAsk, type Patching, type PatchOptions, type Running } from './lab-patching';
import type { OpenModel } from './models/open';
import { groupRelevance, mrd, MRD_THRESHOLD, phases, tokenMrds, type Phases } from './probe/phases';
import { checkMap, groupProfiles, longestFor, planTarget, type ModelShape, type RelevanceCheck, type RelevanceRule, type RelevanceTarget } from './probe/relevance';
import { RelevanceSession } from './probe/relevance-session';
import { LabError, throwIfAborted } from './runtime/errors';
import { Meter } from './runtime/progress';
import { GROUPS, type Ask, type LoadedModel, type Provenance, type TokenGroup, type TokenInfo } from './types';

export type { MechanismAsk, Patching, PatchOptions, Running } from './lab-patching';

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

/** `LabClient` takes what crosses beside them (signal and the like) off before. */
const RELEVANCE_OPTIONS: Names<RelevanceOptions> = { rule: true, target: true, threshold: true, maxTokens: true, weights: true, lane: true };

/** What a WASM memory holds at most; WebGPU is held to the same, for want of a figure of its own. */
const MEMORY = 3.5 * 2 ** 30;
/** From this size on the way back shares the decoder's weights. */
const SHARED_FROM = 64 * 2 ** 20;

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
    refuseUnknown('lab.relevance', options, RELEVANCE_OPTIONS);
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
  patch(asked: MechanismAsk, from: MechanismAsk, options: PatchOptions, running: Running): Promise<Patching> {
    return patchRuns(this.open, () => this.provenance(), asked, from, options, running);
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
