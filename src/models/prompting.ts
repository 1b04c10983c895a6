/** From an ask to token ids with their groups: prompt text, template, tokens, spans. */
import { LabError } from '../runtime/errors';
import type { Ask, TokenInfo } from '../types';
import { cpLength, cpSlice, utf16ToCp } from '../xmrc/codepoints';
import { promptFor } from '../xmrc/prompt';
import { align, groupTokens, type PromptRanges, type Range } from './spans';
import { TextStream, type TextTokenizer } from './tokenizer';

/** An ask with its texts looked up: what `Ask` is once the item is known. */
export interface PlainAsk {
  context: string;
  question: string;
  /** In `context`, in code points. */
  answer: { text: string; start: number } | null;
  prompt: Ask['prompt'];
}

export interface Prompt {
  /** Everything the model reads, template included. */
  text: string;
  ids: number[];
  tokens: TokenInfo[];
  kind: 'chat' | 'completion';
  /** Texts that end an answer. */
  stops: string[];
  /** What the reader should know: spans lost by editing, text normalised by the tokenizer. */
  notes: string[];
}

/** A prompt with what its reader may change, and whether the texts asked about still stand in it. */
export interface EditablePrompt extends Prompt {
  /** The part that an edit replaces. */
  editable: string;
  spans: { context: boolean; question: boolean };
}

interface Rendered {
  built: ReturnType<typeof promptFor>;
  /** As the tokenizer normalises it. */
  context: string;
  text: string;
  ids: number[];
  notes: string[];
}

function render(ask: PlainAsk, tokenizer: TextTokenizer, bundled: boolean): Rendered {
  if (ask.prompt?.text === undefined && !ask.question.trim())
    throw new LabError('empty-question', 'There is no question.', 'Write a question about the text.');
  const notes: string[] = [];
  const context = tokenizer.normalise(ask.context);
  const question = tokenizer.normalise(ask.question);
  if (context !== ask.context || question !== ask.question) notes.push('The tokenizer normalises this text; offsets are those of the normalised text.');

  let built: ReturnType<typeof promptFor>;
  try {
    const prompt = ask.prompt && { ...ask.prompt, ...(ask.prompt.text === undefined ? {} : { text: tokenizer.normalise(ask.prompt.text) }) };
    built = promptFor(context, question, prompt, { hasChatTemplate: tokenizer.chatTemplate !== null, bundled });
  } catch (error) {
    throw new LabError('bad-input', error instanceof Error ? error.message : String(error), 'Ask for fewer examples.');
  }
  if (!built.text.trim()) throw new LabError('empty-question', 'The prompt is empty.', 'Write a question about the text.');

  const chat = built.kind === 'chat' && built.turns !== null;
  const text = chat ? tokenizer.chat(built.turns ?? []) : built.text;
  // A template that says everything itself must not get a second BOS; a plain text gets what the tokenizer adds.
  return { built, context, text, ids: tokenizer.encode(text, !chat), notes };
}

/**
 * What the model reads and nothing about it: for answers by the thousand.
 * @throws LabError 'empty-question' | 'bad-input'
 */
export function promptIds(ask: PlainAsk, tokenizer: TextTokenizer, bundled: boolean): Pick<Prompt, 'ids' | 'stops'> {
  const { ids, built } = render(ask, tokenizer, bundled);
  return { ids, stops: built.stop };
}

/** @throws LabError 'empty-question' | 'bad-input' */
export function makePrompt(ask: PlainAsk, tokenizer: TextTokenizer, bundled: boolean): EditablePrompt {
  const { built, context, text, ids, notes } = render(ask, tokenizer, bundled);
  const offset = offsetOf(built.text, text);
  if (offset === null) notes.push('The chat template changes the text; its context and question could not be located.');
  const shift = (range: Range | null): Range | null =>
    range && offset !== null ? { start: range.start + offset, end: range.end + offset } : null;
  const ranges: PromptRanges = { context: shift(built.context), question: shift(built.question), answerSpan: null };
  if (ask.prompt?.text !== undefined) {
    if (ask.context && !built.context) notes.push('The edited prompt no longer holds the context as it was: its tokens count as template.');
    if (ask.question && !built.question) notes.push('The edited prompt no longer holds the question as it was: its tokens count as template.');
  }
  if (ask.answer && ranges.context) ranges.answerSpan = answerRange(ask.answer, ask.context, context, ranges.context, notes);

  return {
    text,
    ids,
    tokens: tokensOf(text, ids, ranges, tokenizer, notes),
    kind: built.kind,
    editable: built.text,
    spans: { context: ranges.context !== null, question: ranges.question !== null },
    stops: built.stop,
    notes,
  };
}

/**
 * Tokens of generated text; ranges count from its own start. Bytes that are no text (a model may generate half a character)
 * read as U+FFFD and cannot be laid over the tokens again: each token then has the text it brought, as it was streamed.
 */
export function answerTokens(text: string, ids: readonly number[], tokenizer: TextTokenizer): TokenInfo[] {
  if (text.includes('\uFFFD')) return streamedTokens(ids, tokenizer);
  const pieces = ids.map((id) => tokenizer.piece(id));
  const { spans } = align(text, pieces);
  return ids.map((id, i) => ({ id, ...spans[i], group: 'answer' as const, special: pieces[i].special }));
}

function streamedTokens(ids: readonly number[], tokenizer: TextTokenizer): TokenInfo[] {
  const stream = new TextStream(tokenizer, true);
  let start = 0;
  return ids.map((id) => {
    const text = stream.push(id);
    const token = { id, text, group: 'answer' as const, start, end: start + cpLength(text), special: tokenizer.piece(id).special };
    start = token.end;
    return token;
  });
}

/**
 * The token the model would begin `answer` with after this prompt: the first token in which prompt + answer differs from the
 * prompt alone. null when the answer is empty. A bundled model was taught to copy the very tokens of the context, with the space
 * that stands before a word there.
 */
export function firstTokenOf(answer: string, prompt: Prompt, tokenizer: TextTokenizer, bundled: boolean): number | null {
  if (!answer) return null;
  const copied = bundled ? prompt.tokens.find((t) => t.group === 'answerSpan') : undefined;
  if (copied) return copied.id;
  const chat = prompt.kind === 'chat';
  // After "Answer:" a word carries its space; after a template's last token it does not.
  const joint = chat || /\s$/.test(prompt.text) ? '' : ' ';
  const whole = tokenizer.encode(prompt.text + joint + answer, !chat);
  const at = whole.findIndex((id, i) => id !== prompt.ids[i]);
  return at < 0 ? null : whole[at];
}

function tokensOf(text: string, ids: readonly number[], ranges: PromptRanges, tokenizer: TextTokenizer, notes: string[]): TokenInfo[] {
  const pieces = ids.map((id) => tokenizer.piece(id));
  const { spans, exact } = align(text, pieces);
  if (!exact) notes.push('The tokenizer rewrites this text: some tokens could not be located in it.');
  const groups = groupTokens(spans, ranges);
  return ids.map((id, i) => ({
    id,
    text: spans[i].text,
    group: groups[i],
    start: spans[i].start,
    end: spans[i].end,
    special: pieces[i].special,
  }));
}

/** Code-point offset of the content in the rendered text. The last occurrence: examples and a system text come before. */
function offsetOf(content: string, text: string): number | null {
  const at = text.lastIndexOf(content);
  if (at >= 0) return utf16ToCp(text, at);
  // Many templates trim what they are given.
  const trimmed = content.trim();
  const again = trimmed ? text.lastIndexOf(trimmed) : -1;
  if (again < 0) return null;
  return utf16ToCp(text, again) - cpLength(content.slice(0, content.indexOf(trimmed)));
}

function answerRange(
  answer: { text: string; start: number },
  original: string,
  context: string,
  within: Range,
  notes: string[],
): Range | null {
  let { start, text } = answer;
  if (original !== context) {
    // Normalisation moves offsets: what stands before the answer is normalised alike, and its new length is the new offset.
    const before = cpSlice(original, 0, start);
    start = cpLength(before.normalize('NFC'));
    text = text.normalize('NFC');
  }
  const length = cpLength(text);
  if (cpSlice(context, start, start + length) !== text) {
    notes.push('The answer does not stand in the context where the item says; its span is left out.');
    return null;
  }
  return { start: within.start + start, end: within.start + start + length };
}
