import { describe, expect, it } from 'vitest';
import { cpLength, cpSlice, cpToUtf16, utf16ToCp } from '../../src/xmrc/codepoints';
import { buildPrompt, EXAMPLES, INSTRUCTION, LABELS, promptFor } from '../../src/xmrc/prompt';
import { frameOf, piecesOfEdited } from '../../src/xmrc/prompt-edited';
import { LANGUAGES } from '../../src/types';

const context = '𝔸bc 🦊 jumps.';
const question = 'Wer springt?';

describe('code points', () => {
  it('counts and cuts surrogate pairs whole', () => {
    expect(cpLength(context)).toBe(12);
    expect(cpSlice(context, 4, 5)).toBe('🦊');
    expect(cpToUtf16(context, 5)).toBe(7);
    expect(utf16ToCp(context, 7)).toBe(5);
    expect(cpToUtf16('ab', 3)).toBe(-1);
    expect(cpSlice('ab', 1, 9)).toBe('b');
    expect(cpLength('\ud800x')).toBe(2);
  });
});

describe('prompts', () => {
  const every = (['chat', 'completion'] as const).flatMap((kind) =>
    [0, 1, 5].flatMap((shots) => [false, true].map((flag) => buildPrompt(context, question, { kind, shots, instruct: flag, form: flag ? 'bare' : 'labelled' }))),
  );
  it('are their pieces, with context before question and exact ranges', () => {
    for (const p of every) {
      expect(p.pieces.map((x) => x.text).join('')).toBe(p.text);
      expect(p.pieces.every((x) => x.text !== '')).toBe(true);
      expect(cpSlice(p.text, p.context!.start, p.context!.end)).toBe(context);
      expect(cpSlice(p.text, p.question!.start, p.question!.end)).toBe(question);
      expect(p.context!.end).toBeLessThanOrEqual(p.question!.start);
    }
  });
  it('share everything up to the question, whatever the question', () => {
    for (const kind of ['chat', 'completion'] as const) {
      const a = buildPrompt(context, question, { kind, shots: 2, instruct: true });
      const b = buildPrompt(context, '谁跳了？', { kind, shots: 2, instruct: true });
      expect(cpSlice(a.text, 0, a.question!.start)).toBe(cpSlice(b.text, 0, b.question!.start));
      expect(a.turns?.slice(0, -1)).toEqual(b.turns?.slice(0, -1));
    }
  });
  it('are bare for bundled models and instructed for hub models', () => {
    const bundled = promptFor(context, question, undefined, { hasChatTemplate: true, bundled: true });
    expect(bundled.turns).toEqual([{ role: 'user', content: `${context}\n\n${question}` }]);
    const hub = promptFor(context, question, undefined, { hasChatTemplate: true, bundled: false });
    expect(hub.text).toBe(`${INSTRUCTION}\n\n${context}\n\n${question}`);
    const base = promptFor(context, question, { shots: 1 }, { hasChatTemplate: false, bundled: false });
    expect(base.text).toBe(
      `Context: ${EXAMPLES[0].context}\n\nQuestion: ${EXAMPLES[0].question}\n\nAnswer: ${EXAMPLES[0].answer}\n\n` +
        `Context: ${context}\n\nQuestion: ${question}\n\nAnswer:`,
    );
    expect(base.stop).toEqual(['\n']);
  });
  it('has examples whose answers are spans, and labels in all languages', () => {
    for (const s of EXAMPLES) expect(s.context).toContain(s.answer);
    for (const l of LANGUAGES) expect(Object.values(LABELS[l]).every((x) => x.endsWith(':'))).toBe(true);
  });
  it('refuses counts it cannot serve', () => {
    expect(() => buildPrompt('c', 'q', { kind: 'chat', shots: 6 })).toThrow('6 examples asked for, 5 at hand');
    expect(() => buildPrompt('c', 'q', { kind: 'chat', shots: -1 })).toThrow('shots');
  });
});

describe('an edited prompt', () => {
  it('keeps what can be found', () => {
    const p = piecesOfEdited(`Say: 🦊 ${question} ${context} ${question}!`, context, question);
    expect(p.pieces.map((x) => x.group)).toEqual(['template', 'context', 'template', 'question', 'template']);
    const q = piecesOfEdited(`${question}\n${context}`, context, question);
    expect(q.pieces.map((x) => x.group)).toEqual(['question', 'template', 'context']);
  });
  it('loses what was changed, and says so', () => {
    const p = piecesOfEdited(`${context} And who else?`, context, question);
    expect(p.question).toBeNull();
    expect(p.context).toEqual({ start: 0, end: 12 });
    expect(p.pieces.map((x) => x.text).join('')).toBe(p.text);
    expect(piecesOfEdited('', '', '').pieces).toEqual([]);
  });
});

describe('a frame', () => {
  it('is what an edit leaves when passage and question still stand in it, and holds any other', () => {
    const frame = frameOf(`Read this. ${context}\nNow: ${question} In one word.`, context, question);
    expect(frame).toBe('Read this. {context}\nNow: {question} In one word.');
    const p = piecesOfEdited(frame!, 'Another text.', 'Why?');
    expect(p.text).toBe('Read this. Another text.\nNow: Why? In one word.');
    expect(cpSlice(p.text, p.context!.start, p.context!.end)).toBe('Another text.');
    expect(cpSlice(p.text, p.question!.start, p.question!.end)).toBe('Why?');
  });
  it('is none when either was changed', () => {
    expect(frameOf(`${context} Who?`, context, question)).toBeNull();
    expect(frameOf(question, context, question)).toBeNull();
    expect(frameOf(question, '', question)).toBeNull();
  });
  it('places the mark, not the same words elsewhere', () => {
    const p = piecesOfEdited('Why? {question} {context}', 'Why not?', 'Why?');
    expect(p.question).toEqual({ start: 5, end: 9 });
    expect(p.context).toEqual({ start: 10, end: 18 });
    expect(p.text).toBe('Why? Why? Why not?');
  });
  it('fills no mark that the texts themselves hold', () => {
    const p = piecesOfEdited('{context}|{question}', 'a {question} b', 'c');
    expect(p.text).toBe('a {question} b|c');
    expect(p.question).toEqual({ start: 15, end: 16 });
  });
  it('keeps the examples of a chat', () => {
    const model = { hasChatTemplate: true, bundled: false };
    const p = promptFor(context, question, { shots: 2, text: 'Say {question} of {context}' }, model);
    expect(p.turns?.length).toBe(5);
    expect(p.turns?.slice(0, 4)).toEqual(promptFor(context, question, { shots: 2 }, model).turns?.slice(0, 4));
    expect(p.turns?.[4].content).toBe(`Say ${question} of ${context}`);
  });
});
