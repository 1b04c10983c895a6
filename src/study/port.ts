/**
 * The study's narrow port over an open model. Runs where the model runs; knows no page and no store.
 */
import { writeAnswer } from '../models/answering';
import type { DecoderPrefix } from '../models/decoder';
import type { OpenModel } from '../models/open';
import { makePrompt, promptIds, type PlainAsk, type Prompt } from '../models/prompting';
import { throwIfAborted } from '../runtime/errors';
import type { Item } from '../types';
import type { Cell, StudyDesign } from './design';
import { alignment } from './measures';
import type { CellOutcome } from './result';
import type { Prefix, StudyPort, StudyPrompt } from './runner';

/** Measures that need more than the decoder; given by whoever has it. `ids` is what the model answered, `other` another item of the paragraph. */
export type MoreMeasures = (cell: Cell, answer: { ids: readonly number[]; other: Item | null }, design: StudyDesign, signal: AbortSignal) => Promise<Partial<CellOutcome>>;

/** @param bundled the lab's own models copy context tokens as they stand and were taught a bare prompt */
export function decoderPort(open: OpenModel, bundled: boolean, more?: MoreMeasures): StudyPort {
  const { decoder, tokenizer } = open;
  const asks = new WeakMap<StudyPrompt, PlainAsk>();
  // Most cells need ids only: where each token stands is found out on demand.
  const whole = (prompt: StudyPrompt): Prompt | null => {
    const ask = asks.get(prompt);
    return ask ? makePrompt(ask, tokenizer, bundled) : null;
  };
  const decoders = new WeakMap<Prefix, DecoderPrefix>();
  const kept = (prefix: Prefix | null): DecoderPrefix | null => (prefix ? (decoders.get(prefix) ?? null) : null);
  const prompt: StudyPort['prompt'] = (context, question, options) => {
    const ask: PlainAsk = { context, question, answer: null, prompt: options };
    const made = promptIds(ask, tokenizer, bundled);
    asks.set(made, ask);
    return made;
  };
  return {
    // The page loads models; by the time a cell arrives, its model is this one.
    load: () => Promise.resolve({ device: open.device }),
    prompt,
    continuation(asked, text) {
      const made = whole(asked);
      return made ? continuation(made, text, open, bundled) : tokenizer.encode(text, false);
    },
    async prefill(ids, signal) {
      throwIfAborted(signal);
      const prefix = await decoder.prefill(ids);
      decoders.set(prefix, prefix);
      return prefix;
    },
    async generate(asked, { maxTokens, prefix, signal }) {
      const answer = await writeAnswer(open, asked, { maxTokens, signal, prefix: kept(prefix) });
      return { text: answer.text, ids: answer.tokens.map((t) => t.id), stop: answer.stop };
    },
    async logProb(asked, target, { prefix, signal }) {
      throwIfAborted(signal);
      if (target.length === 0) return 0;
      return decoder.logProb([...asked.ids, ...target], asked.ids.length, kept(prefix));
    },
    ...(decoder.instruments && {
      measure: async (cell, answer, design, signal) => {
        throwIfAborted(signal);
        return {
          ...(design.measures.includes('alignment') && { alignment: await alignment(open, cell, design, prompt, whole) }),
          ...(await more?.(cell, answer, design, signal)),
        };
      },
    }),
  };
}

/**
 * Ids of `text` as the model would write it after the prompt. A bundled model writes the context's own tokens, space and all, so
 * the text is looked for there first; else the ids in which prompt + text differs from the prompt.
 */
function continuation(prompt: Prompt, text: string, { tokenizer }: OpenModel, bundled: boolean): number[] {
  if (text === '') return [];
  if (bundled) {
    const copied = run(prompt, text);
    if (copied) return copied;
  }
  const chat = prompt.kind === 'chat';
  const joint = !bundled && (chat || /\s$/.test(prompt.text)) ? '' : ' ';
  const whole = tokenizer.encode(prompt.text + joint + text, !chat);
  const at = whole.findIndex((id, i) => id !== prompt.ids[i]);
  return at < 0 ? tokenizer.encode(text, false) : whole.slice(at);
}

/** The first run of context tokens that spells `text`, spaces at its ends aside. */
function run(prompt: Prompt, text: string): number[] | null {
  const { tokens } = prompt;
  const wanted = text.trim();
  for (let i = 0; i < tokens.length; i++) {
    if (tokens[i].group !== 'context' || !wanted.startsWith(tokens[i].text.trim())) continue;
    let said = '';
    for (let j = i; j < tokens.length && said.trim().length < wanted.length; j++) {
      said += tokens[j].text;
      if (said.trim() === wanted) return tokens.slice(i, j + 1).map((t) => t.id);
    }
  }
  return null;
}
