/** One patching sweep as the lab runs it: which positions, which two tokens, what is kept when it stops, and going on from there. */
import { refuseUnknown, type Names } from './lab-options';
import { Breath } from './models/cache';
import type { OpenModel } from './models/open';
import type { Prompt } from './models/prompting';
import { landingsOf, planSweep, type Landing, type Match, type PatchSide, type PositionWish, type SweepPlan, type SweepResult } from './probe/patching';
import { runsOf, sweep, SweepStopped, type PatchDecoder } from './probe/patch-sweep';
import { LabError, throwIfAborted, toLabError } from './runtime/errors';
import { Meter, type OnProgress } from './runtime/progress';
import { GROUPS, type Answer, type Ask, type LabErrorCode, type Provenance, type TokenGroup } from './types';

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

export interface Running {
  signal: AbortSignal;
  onProgress?: OnProgress;
  /** Of a sweep: all cells so far, before the first run and after each. What has been told outlives a worker that dies. */
  onPart?: (soFar: Patching) => void;
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
   * Positions of the asked run's prompt, 0 = first, patched at once as a group of their own ('positions' in the result): instead of the
   * default groups, or beside those of `groups`. A number takes the clean run's state of the same position; `{ to, from }` that of another
   * one, or the mean of several.
   */
  positions?: PositionWish[];
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
  /** Where each of the positions named one by one came from; null when none was. */
  positions: Landing[] | null;
  /**
   * All positions patched, by layer; null when not asked for or the lengths differ. `apart`: how far the logit that lies farthest from
   * the clean run's is from it, all tokens of the vocabulary looked at.
   */
  whole: { effects: Float32Array; differences: Float32Array; apart: Float32Array } | null;
  /** Why it ended early; cells without `done` are then missing. null for a whole sweep. */
  stopped: { code: LabErrorCode; message: string } | null;
  ms: number;
  provenance: Provenance;
  notes: string[];
}

const PATCH_OPTIONS: Names<PatchOptions> = { clean: true, layers: true, groups: true, positions: true, match: true, whole: true, partial: true, resume: true, lane: true };
const DEFAULT_GROUPS: TokenGroup[] = ['question', 'answerSpan', 'readout'];

/** @throws LabError 'unsupported-graph', 'too-long', 'bad-input' */
export async function patchRuns(open: OpenModel, madeBy: () => Provenance, asked: MechanismAsk, from: MechanismAsk, options: PatchOptions, running: Running): Promise<Patching> {
  refuseUnknown('lab.patch', options, PATCH_OPTIONS);
  const { decoder, tokenizer } = open;
  const { signal } = running;
  const started = performance.now();
  const last = decoder.layers;
  const layers = options.layers ?? Array.from({ length: last + 1 }, (_, l) => l);
  if (layers.length === 0 || layers.some((l) => !Number.isInteger(l) || l < 0 || l > last)) throw new LabError('bad-input', `Layers are whole numbers from 0 to ${last}.`);
  const groups = options.groups ?? (options.positions ? [] : DEFAULT_GROUPS);
  const unknown = groups.find((g) => !GROUPS.includes(g));
  if (unknown) throw new LabError('bad-input', `There is no token group "${String(unknown)}".`);
  if (!decoder.instruments?.patch) throw new LabError('unsupported-graph', `The lab cannot patch this model: ${decoder.opaque ?? 'it has no patch inputs'}.`, 'It can still answer.');
  for (const { prompt } of [asked, from]) decoder.checkLength(prompt.ids.length);
  const named = options.positions ? landingsOf(options.positions, from.prompt.ids.length, asked.prompt.ids.length) : null;
  if (named && 'problem' in named) throw new LabError('bad-input', named.problem);
  const positions = named?.landings ?? null;

  const a = await firstToken(open, from);
  throwIfAborted(signal);
  let b = await firstToken(open, asked);
  const contrast = a === b ? 'runner-up' : 'answers';
  if (a === b) b = best(await decoder.lastLogits(asked.prompt.ids), a);
  throwIfAborted(signal);

  const clean: PatchSide = from.prompt;
  const corrupted: PatchSide = asked.prompt;
  const plan = planSweep({ clean, corrupted, groups, positions, layers, match: options.match, a, b });
  const equal = clean.ids.length === corrupted.ids.length;
  const everywhere = corrupted.ids.map((_, i): Landing => ({ to: i, from: [i] }));
  const whole = options.whole === true && equal ? planSweep({ clean, corrupted, groups: [], positions: everywhere, layers, a, b }) : null;
  const before = options.resume;
  const head: SweepHead = { ask: asked.ask, cleanAsk: from.ask, positions, provenance: madeBy() };
  const resume = before && resumable(before, plan, head);
  const meter = new Meter(running.onProgress);
  meter.phase('run', runsOf(plan) + (whole ? runsOf(whole) : 0));
  const record = (result: SweepResult, all: Patching['whole'], stopped: Patching['stopped']): Patching => ({
    ...result,
    ...head,
    a: { id: a, text: tokenizer.label(a) },
    b: { id: b, text: tokenizer.label(b) },
    contrast,
    whole: all,
    stopped,
    ms: performance.now() - started + (before?.ms ?? 0),
    provenance: madeBy(),
    notes: [
      ...new Set([...from.prompt.notes, ...asked.prompt.notes]),
      ...(options.whole && !equal ? [`The prompts have ${clean.ids.length} and ${corrupted.ids.length} tokens: all positions at once can only be patched between equal lengths.`] : []),
    ],
  });
  let groupsDone: SweepResult | null = null;
  try {
    const decoder = breathing(open);
    const tell = (soFar: SweepResult): void => running.onPart?.(record(soFar, null, null));
    groupsDone = await sweep(decoder, plan, { signal, onProgress: () => meter.add(1), onPart: tell, ...(resume ? { resume } : {}) });
    const all = whole && (await sweepWhole(decoder, whole, signal, () => meter.add(1)));
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

async function sweepWhole(decoder: PatchDecoder, plan: SweepPlan, signal: AbortSignal, onProgress: () => void): Promise<NonNullable<Patching['whole']>> {
  const apart = new Float32Array(plan.layers.length);
  const { effects, differences } = await sweep(decoder, plan, { signal, onProgress, onLogits: (k, patched, clean) => (apart[k] = farthest(patched, clean)) });
  return { effects, differences, apart };
}

async function firstToken({ decoder }: OpenModel, asked: MechanismAsk): Promise<number> {
  return asked.gold ?? best(await decoder.lastLogits(asked.prompt.ids));
}

/** The decoder, letting messages (a cancel) through between runs. */
function breathing({ decoder }: OpenModel): PatchDecoder {
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

/** The highest logit's token, `but` one left out. */
function best(logits: Float32Array, but = -1): number {
  let top = but === 0 ? 1 : 0;
  for (let i = 0; i < logits.length; i++) if (i !== but && logits[i] > logits[top]) top = i;
  return top;
}

/** How far apart two rows of logits lie at most; NaN where one is not a number. */
function farthest(x: ArrayLike<number>, y: ArrayLike<number>): number {
  let most = 0;
  for (let i = 0; i < x.length; i++) {
    const distance = Math.abs(x[i] - y[i]);
    if (!(distance <= most)) most = distance;
    if (Number.isNaN(most)) return NaN;
  }
  return most;
}

type SweepHead = Pick<Patching, 'ask' | 'cleanAsk' | 'positions' | 'provenance'>;

/** What a stopped sweep had, to be filled further: of the same two prompts, by the same model, of the same cells. */
function resumable(from: Patching, plan: SweepPlan, head: SweepHead): SweepResult {
  const alike = (what: string, x: unknown, y: unknown): void => {
    if (JSON.stringify(x) !== JSON.stringify(y)) throw new LabError('bad-input', `The sweep to go on with was of ${what}.`, 'Begin it anew.');
  };
  const madeBy = ({ model, revision, dtype }: Provenance): string[] => [model, revision, dtype];
  alike('another model', madeBy(from.provenance), madeBy(head.provenance));
  alike('another question or another clean run', [from.ask, from.cleanAsk], [head.ask, head.cleanAsk]);
  alike('other layers, groups or positions', [from.layers, from.groups, from.absent, from.positions ?? null], [plan.layers, plan.groups.map(({ group, match }) => ({ group, match })), plan.absent, head.positions]);
  alike('other answers', [from.a.id, from.b.id], [plan.a, plan.b]);
  const { layers, groups, absent, clean, corrupted } = from;
  return { layers, groups, absent, clean, corrupted, effects: from.effects.slice(), differences: from.differences.slice(), flips: from.flips.slice(), done: from.done.slice() };
}
