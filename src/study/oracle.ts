/**
 * The estimated oracle: which sentence does the answer hang on? After the paper's "perturbation-based attribution" as a review of
 * it reports it, in the lab's own form:
 *
 *   score(s) = log p(target | prompt) − log p(target | prompt without sentence s),   target teacher-forced
 *   retrieved = argmax score; a hit when that sentence holds the gold answer; chance = gold sentences / sentences
 *
 * Control: the same with the question swapped for another one of the same paragraph, same target. If the hit rate does not fall
 * to chance, something other than the question retrieves.
 */
import type { Language } from '../types';
import { goldSentences, sentences, without, type Sentence } from '../xmrc/sentences';

/** Sum of the natural-log probabilities of the target's tokens after the prompt. The caller builds and tokenizes the prompt. */
export type LogProbScorer = (context: string, question: string, target: string, signal?: AbortSignal) => Promise<number>;

export interface OracleAsk {
  context: string;
  question: string;
  /** Language of the context. */
  language: Language;
  /** The gold answer and its code-point offset. */
  answer: { text: string; start: number };
  /** What is teacher-forced: the model's own greedy answer by default, the gold answer on request. */
  target: string;
  /** Another question of the same paragraph, for the control; null skips it. */
  otherQuestion?: string | null;
}

export interface OracleRun {
  /** log p of the target on the whole context. */
  whole: number;
  /** One per sentence: how much of log p is lost without it. */
  scores: number[];
  retrieved: number;
  hit: boolean;
}

export interface OracleResult extends OracleRun {
  sentences: Pick<Sentence, 'start' | 'end'>[];
  /** Indices of the sentences that hold the gold answer. */
  gold: number[];
  chance: number;
  control: OracleRun | null;
}

/** null where there is nothing to choose between (fewer than two sentences), no target, or no gold sentence. */
export async function oracle(ask: OracleAsk, scorer: LogProbScorer, signal?: AbortSignal): Promise<OracleResult | null> {
  const all = sentences(ask.context, ask.language);
  const gold = goldSentences(all, ask.answer);
  if (all.length < 2 || gold.length === 0 || gold.length === all.length || ask.target === '') return null;
  const run = await oneRun(ask.context, ask.question, ask.target, all, gold, scorer, signal);
  const control = ask.otherQuestion ? await oneRun(ask.context, ask.otherQuestion, ask.target, all, gold, scorer, signal) : null;
  return { ...run, sentences: all.map(({ start, end }) => ({ start, end })), gold, chance: gold.length / all.length, control };
}

async function oneRun(
  context: string,
  question: string,
  target: string,
  all: readonly Sentence[],
  gold: readonly number[],
  scorer: LogProbScorer,
  signal: AbortSignal | undefined,
): Promise<OracleRun> {
  const whole = await scorer(context, question, target, signal);
  const scores = new Array<number>(all.length).fill(0);
  // From the last sentence to the first: each shortened context shares the longest prefix with the one before it.
  for (let i = all.length - 1; i >= 0; i--) {
    signal?.throwIfAborted();
    scores[i] = whole - (await scorer(without(context, all[i]), question, target, signal));
  }
  const retrieved = argmax(scores);
  return { whole, scores, retrieved, hit: gold.includes(retrieved) };
}

/** First of the largest; NaN never wins. */
export function argmax(values: readonly number[]): number {
  let best = -1;
  for (let i = 0; i < values.length; i++) if (!Number.isNaN(values[i]) && (best < 0 || values[i] > values[best])) best = i;
  return best;
}

/** What of an oracle a cell keeps: the sums need no texts. */
export interface OracleSummary {
  hit: boolean;
  chance: number;
  sentences: number;
  controlHit: boolean | null;
}

export function summariseOracle(r: OracleResult): OracleSummary {
  return { hit: r.hit, chance: r.chance, sentences: r.scores.length, controlHit: r.control?.hit ?? null };
}
