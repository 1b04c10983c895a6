/**
 * From a cell to an outcome, by way of a model that is reached through a narrow port. The context's key/value prefix is filled once
 * and shared by all questions and question languages on it; whether a prefix fits a prompt is decided on token ids, never on
 * text, so that a tokenizer that merges across the boundary costs time and never a different answer.
 */
import type { Device, Item, PromptOptions } from '../types';
import { otherItem } from './cell';
import type { Cell, StudyDesign, StudyModel } from './design';
import type { CellRunner } from './engine';
import { oracle, summariseOracle } from './oracle';
import type { CellOutcome } from './result';

/** A key/value cache of `length` tokens that stays valid, and unchanged, until disposed of. */
export interface Prefix {
  readonly length: number;
  dispose(): void;
}

export interface StudyPrompt {
  ids: readonly number[];
  /** Texts that end an answer besides the model's stop tokens. */
  stops: readonly string[];
}

export interface StudyPort {
  load(model: StudyModel, signal: AbortSignal): Promise<{ device: Device }>;
  /** The whole prompt, template included. */
  prompt(context: string, question: string, options: PromptOptions): StudyPrompt;
  /** Ids of `text` as the model would go on with it after the prompt. */
  continuation(prompt: StudyPrompt, text: string): readonly number[];
  /** null where the model's graph offers no reuse. */
  prefill: ((ids: readonly number[], signal: AbortSignal) => Promise<Prefix>) | null;
  /** Greedy. With a prefix, `ids` is still the whole prompt; its first `prefix.length` tokens are already in the cache. */
  generate(prompt: StudyPrompt, how: { maxTokens: number; prefix: Prefix | null; signal: AbortSignal }): Promise<{ text: string; ids: number[]; stop: CellOutcome['stop'] }>;
  /** Σ log p of `target` after the prompt, teacher-forced. */
  logProb(prompt: StudyPrompt, target: readonly number[], how: { prefix: Prefix | null; signal: AbortSignal }): Promise<number>;
  /** The other measures of the design, where the model can be looked into. */
  measure?(cell: Cell, answer: { prompt: StudyPrompt; ids: readonly number[]; other: Item | null }, design: StudyDesign, signal: AbortSignal): Promise<Partial<CellOutcome>>;
}

export interface RunnerOptions {
  /** How many prefixes stay filled at a time. The oracle needs one per sentence of a paragraph, answers one. */
  prefixes?: number;
  /** false: every prompt is computed whole. For the test that results are the same. */
  reuse?: boolean;
  now?: () => number;
}

/** Number of leading ids that two prompts share. */
export function commonPrefix(a: readonly number[], b: readonly number[]): number {
  let n = 0;
  while (n < a.length && n < b.length && a[n] === b[n]) n++;
  return n;
}

/** A prefix shorter than this is not worth keeping. */
const FEWEST_TOKENS = 8;

interface Kept {
  ids: readonly number[];
  prefix: Prefix;
}

/** Filled prefixes by context, the least recently used one dropped first. */
class Prefixes {
  private readonly kept = new Map<string, Kept>();
  constructor(
    private readonly port: StudyPort,
    private readonly most: number,
  ) {}

  /** The prefix for a prompt on `context`: a kept one where it fits, else a new one of all tokens that `other` shares with it. */
  async for(context: string, prompt: StudyPrompt, other: () => StudyPrompt, signal: AbortSignal): Promise<Prefix | null> {
    const { prefill } = this.port;
    if (!prefill || this.most < 1) return null;
    let kept = this.kept.get(context);
    if (kept && commonPrefix(kept.ids, prompt.ids) < kept.ids.length) {
      this.drop(context);
      kept = undefined;
    }
    if (!kept) {
      // The last token of a prompt is always computed anew: its logits are what is wanted.
      const n = Math.min(commonPrefix(prompt.ids, other().ids), prompt.ids.length - 1);
      if (n < FEWEST_TOKENS) return null;
      while (this.kept.size >= this.most) this.drop(this.kept.keys().next().value as string);
      const ids = prompt.ids.slice(0, n);
      kept = { ids, prefix: await prefill(ids, signal) };
    } else this.kept.delete(context);
    this.kept.set(context, kept);
    return kept.prefix;
  }

  clear(): void {
    for (const context of [...this.kept.keys()]) this.drop(context);
  }

  private drop(context: string): void {
    this.kept.get(context)?.prefix.dispose();
    this.kept.delete(context);
  }
}

/** A question unlike any other: what a prompt shares with it is what does not depend on the question. */
const NO_QUESTION = '∎';

export interface ModelRunner extends CellRunner {
  /** Gives the kept prefixes back. Call when the study has ended. */
  dispose(): void;
}

/** @param items all items of the study, or how to find those of a cell's paragraph */
export function modelRunner(port: StudyPort, items: readonly Item[] | ((cell: Cell) => readonly Item[]), options: RunnerOptions = {}): ModelRunner {
  const now = options.now ?? (() => performance.now());
  const prefixes = new Prefixes(port, options.reuse === false ? 0 : (options.prefixes ?? 12));
  const paragraphs = new Map<string, Item[]>();
  if (typeof items !== 'function') for (const item of items) paragraphs.set(item.paragraph, [...(paragraphs.get(item.paragraph) ?? []), item]);
  let device: Device = 'wasm';

  async function ready(context: string, question: string, prompt: PromptOptions, signal: AbortSignal): Promise<{ built: StudyPrompt; prefix: Prefix | null }> {
    const built = port.prompt(context, question, prompt);
    return { built, prefix: await prefixes.for(context, built, () => port.prompt(context, NO_QUESTION, prompt), signal) };
  }

  const otherOf = (cell: Cell): Item | null => otherItem(cell, typeof items === 'function' ? items(cell) : (paragraphs.get(cell.item.paragraph) ?? []));

  return {
    async model(model, signal) {
      prefixes.clear();
      ({ device } = await port.load(model, signal));
    },
    async run(cell, design, signal) {
      const started = now();
      const context = cell.item.context[cell.contextLanguage] ?? '';
      const question = cell.item.question[cell.questionLanguage] ?? '';
      const { built, prefix } = await ready(context, question, design.prompt, signal);
      const answer = await port.generate(built, { maxTokens: design.maxTokens, prefix, signal });
      const outcome: CellOutcome = {
        prediction: answer.text,
        stop: answer.stop,
        promptTokens: built.ids.length,
        tokens: answer.ids.length,
        tokenIds: answer.ids,
        ms: 0,
        device,
      };
      const gold = cell.item.answer[cell.contextLanguage];
      if (design.measures.includes('oracle') && gold) {
        const target = design.oracleTarget === 'gold' ? gold.text : answer.text;
        const otherQuestion = otherOf(cell)?.question[cell.questionLanguage] ?? null;
        const result = await oracle({ context, question, language: cell.contextLanguage, answer: gold, target, otherQuestion }, async (text, asked) => {
          const p = await ready(text, asked, design.prompt, signal);
          // The model's own answer keeps its own tokens: the text might be cut otherwise.
          const ids = design.oracleTarget === 'gold' ? port.continuation(p.built, target) : answer.ids;
          return port.logProb(p.built, ids, { prefix: p.prefix, signal });
        }, signal);
        outcome.oracle = result && summariseOracle(result);
      }
      if (port.measure && design.measures.some((m) => m !== 'answer' && m !== 'oracle')) {
        Object.assign(outcome, await port.measure(cell, { prompt: built, ids: answer.ids, other: otherOf(cell) }, design, signal));
      }
      outcome.ms = now() - started;
      return outcome;
    },
    dispose: () => prefixes.clear(),
  };
}
