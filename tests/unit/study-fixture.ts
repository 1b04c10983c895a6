/** A small world and a runner without a model, for the tests of the study. */
import { LANGUAGES, type Item, type Language } from '../../src/types';
import type { Cell, StudyDesign } from '../../src/study/design';
import type { CellRunner } from '../../src/study/engine';
import type { CellOutcome } from '../../src/study/result';

export function items(paragraphs: number, questions: number, languages: readonly Language[] = LANGUAGES): Item[] {
  return Array.from({ length: paragraphs * questions }, (_, i) => {
    const p = Math.floor(i / questions);
    const item: Item = { id: `q${i}`, set: 'toy', paragraph: `p${p}`, context: {}, question: {}, answer: {} };
    for (const l of languages) {
      item.context[l] = `${l} paragraph ${p} says number ${i}.`;
      item.question[l] = `${l} question ${i}?`;
      item.answer[l] = { text: `${i}`, start: item.context[l].indexOf(`number ${i}`) + 7 };
    }
    return item;
  });
}

export function design(all: readonly Item[], change: Partial<StudyDesign> = {}): StudyDesign {
  return {
    version: 1,
    id: 'study-1',
    name: 'A study',
    created: '2025-01-01T00:00:00.000Z',
    models: [
      { ref: { id: 'bundled:a' }, title: 'A', parameters: 1e6, stage: 'base', pair: 'ab' },
      { ref: { id: 'bundled:b', dtype: 'q4' }, title: 'B', parameters: 2e6, stage: 'post-trained', pair: 'ab' },
    ],
    set: { name: 'toy', license: 'CC0-1.0' },
    items: all.map((i) => i.id),
    seed: 1,
    scenarios: ['en-en', 'en-x', 'x-x'],
    languages: ['de', 'zh'],
    prompt: { kind: 'chat', shots: 0 },
    maxTokens: 16,
    measures: ['answer'],
    correctF1: 0.5,
    ...change,
  };
}

/** The same answer for the same cell, right for some, wrong for others. */
export function outcome(cell: Cell): CellOutcome {
  let h = 0;
  for (const ch of cell.id) h = (Math.imul(h, 31) + ch.charCodeAt(0)) >>> 0;
  const gold = cell.item.answer[cell.contextLanguage]!.text;
  const prediction = h % 3 === 0 ? gold : h % 3 === 1 ? `${gold} or so` : ['', 'I do not know', '9999', 'nothing'][h % 4];
  return { prediction, stop: 'eos', promptTokens: 20, tokens: 3, ms: 5, device: 'wasm', mrd: { question: 3 + (h % 2), answerSpan: 6 + (h % 3), layers: 8 } };
}

export function runner(log: string[] = []): CellRunner {
  return {
    model: (m) => (log.push(`model ${m.title}`), Promise.resolve()),
    prefix: (c) => (log.push(`prefix ${c.contextLanguage} ${c.item.paragraph}`), Promise.resolve()),
    run: (c) => (log.push(c.id), Promise.resolve(outcome(c))),
  };
}
