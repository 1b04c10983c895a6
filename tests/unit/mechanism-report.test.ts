/** The words of docs/mechanism.md follow the figures by written criteria: neither yes nor no is a given. */
import { expect, test } from 'vitest';
import { verdict, type Measured } from '../score/mechanism-report';

const depth = (question: number, answer: number, ordered: number): Measured['all'] => ({
  question: { mean: question, sd: 1, n: 9 },
  answer: { mean: answer, sd: 1, n: 9 },
  stability: { stability: 0.8, sdQuestion: 0.1, sdAnswer: 0.1, meanQuestion: question / 4, meanAnswer: answer / 4, ordered, n: 9, missing: 0 },
});
const curve = (group: 'question' | 'readout', mean: number[]) => ({ group, met: {}, mean, sd: mean, n: mean, flips: mean, flippable: mean });
const made = (all: Measured['all'], question: number[], readout: number[], pairs = 9): Measured => ({
  title: 'M', layers: 4, items: 9, missed: 0, notFinite: 0, exact: 1, curves: [], shares: [], all, byLanguage: [], gold: all,
  patch: { pairs, curves: [curve('question', question), curve('readout', readout)] }, across: { pairs: 0, curves: [] },
});

test('two phases are said where both criteria hold, and denied where they do not', () => {
  const yes = verdict(made(depth(2, 3, 0.9), [1, 1, 0.8, 0.2, 0], [0, 0, 0.1, 0.9, 1]));
  expect([yes.relevance, yes.patching]).toEqual([true, true]);
  expect(yes.text[1]).toContain('up to layer 2');
  expect(yes.text[1]).toContain('from layer 3 on');
  // the question is deeper, or it is so in a minority only
  expect(verdict(made(depth(3, 2, 0.1), [1, 1, 0, 0, 0], [0, 0, 0, 1, 1])).relevance).toBe(false);
  expect(verdict(made(depth(2, 3, 0.4), [1, 1, 0, 0, 0], [0, 0, 0, 1, 1])).relevance).toBe(false);
  // the question hands over nothing, or the readout never takes it
  expect(verdict(made(depth(2, 3, 0.9), [0.2, 0.2, 0, 0, 0], [0, 0, 0, 1, 1])).patching).toBe(false);
  expect(verdict(made(depth(2, 3, 0.9), [1, 1, 1, 1, 0], [0, 0, 0, 0, 0.1])).patching).toBe(false);
  expect(verdict(made(depth(2, 3, 0.9), [1, 1, 1, 1, 0], [0, 1, 0, 0, NaN])).patching).toBe(false);
});

test('what was not measured is not told', () => {
  const nothing = { ...depth(NaN, NaN, NaN), stability: { ...depth(0, 0, 0).stability, n: 0 } };
  const v = verdict(made(nothing, [], [], 0));
  expect([v.relevance, v.patching]).toEqual([null, null]);
  expect(v.text.join(' ')).toContain('cannot be told');
});
