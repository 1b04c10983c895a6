/**
 * A prompt that the reader has edited. What stands for the passage and for the question in it is either written out, and then
 * looked for, or named by a mark: with both marks a prompt is a frame, which holds whatever is asked and never loses its spans.
 */
import { utf16ToCp } from './codepoints';
import type { BuiltPrompt, PromptPiece, Range } from './prompt-types';

export const MARKS = { context: '{context}', question: '{question}' } as const;

interface Place {
  at: number;
  length: number;
  group: 'context' | 'question';
}

/**
 * Marks are filled in first. Without a mark a text is looked for: the context first and the question after it (else anywhere).
 * What is not found has a null range, and its tokens stay in the template group.
 */
export function piecesOfEdited(edited: string, context: string, question: string, kind: BuiltPrompt['kind'] = 'completion'): BuiltPrompt {
  const { text, places } = fill(edited, context, question);
  const c = places.context ?? (context ? text.indexOf(context) : -1);
  const q = places.question ?? findQuestion(text, question, c, context.length);
  const all: Place[] = [
    { at: c, length: context.length, group: 'context' },
    { at: q, length: question.length, group: 'question' },
  ];
  const found = all.filter((f) => f.at >= 0 && f.length > 0).sort((a, b) => a.at - b.at);
  const pieces: PromptPiece[] = [];
  let i = 0;
  for (const f of found) {
    if (f.at > i) pieces.push({ text: text.slice(i, f.at), group: 'template' });
    pieces.push({ text: text.slice(f.at, f.at + f.length), group: f.group });
    i = f.at + f.length;
  }
  if (i < text.length) pieces.push({ text: text.slice(i), group: 'template' });
  const range = (at: number, length: number): Range | null =>
    at < 0 ? null : { start: utf16ToCp(text, at), end: utf16ToCp(text, at + length) };
  return {
    kind,
    pieces,
    text,
    context: range(c, context.length),
    question: range(q, question.length),
    turns: kind === 'chat' ? [{ role: 'user', content: text }] : null,
    stop: kind === 'chat' ? [] : ['\n'],
  };
}

/** Whether a prompt holds whatever is asked. */
export const isFrame = (text: string): boolean => text.includes(MARKS.context) && text.includes(MARKS.question);

/**
 * An edited prompt with marks in place of the passage and the question that it was written around: what other questions, other
 * languages and other items are asked with. null when either was changed, and the prompt fits this one question only.
 */
export function frameOf(edited: string, context: string, question: string): string | null {
  if (isFrame(edited)) return edited;
  const { pieces, context: c, question: q } = piecesOfEdited(edited, context, question);
  if (!c || !q) return null;
  const marks: readonly string[] = Object.values(MARKS);
  // A mark that the reader's own text holds by chance would be filled in the next time.
  if (pieces.some((p) => p.group === 'template' && marks.some((m) => p.text.includes(m)))) return null;
  const frame = pieces.map((p) => (p.group === 'template' ? p.text : MARKS[p.group])).join('');
  // An empty passage leaves no piece behind: such a prompt has no place for another one.
  return isFrame(frame) ? frame : null;
}

/** The first mark of each kind is its span; others of the kind are filled in too. */
function fill(edited: string, context: string, question: string): { text: string; places: { context?: number; question?: number } } {
  const places: { context?: number; question?: number } = {};
  let text = '';
  for (const part of edited.split(/(\{context\}|\{question\})/)) {
    if (part === MARKS.context) {
      places.context ??= text.length;
      text += context;
    } else if (part === MARKS.question) {
      places.question ??= text.length;
      text += question;
    } else text += part;
  }
  return { text, places };
}

function findQuestion(text: string, question: string, context: number, contextLength: number): number {
  if (!question) return -1;
  const after = text.indexOf(question, context < 0 ? 0 : context + contextLength);
  if (after >= 0) return after;
  const earlier = text.indexOf(question);
  return earlier >= 0 && (context < 0 || earlier + question.length <= context) ? earlier : -1;
}
