import { describe, expect, it } from 'vitest';
import { argmax, oracle, summariseOracle, type LogProbScorer } from '../../src/study/oracle';

const context = 'Anna lives in Turin. Boris lives in Oslo. Clara lives in Lima.';
const ask = { context, question: 'Where does Boris live?', language: 'en' as const, answer: { text: 'Oslo', start: 36 }, target: 'Oslo' };
/** A reader: certain when the asked person's own sentence holds the target, unsure when anybody's does, lost otherwise. */
const reader: LogProbScorer = (c, q, target) => {
  const who = /does (\w+) live/.exec(q)?.[1] ?? '';
  if (c.includes(`${who} lives in ${target}.`)) return Promise.resolve(Math.log(0.9));
  return Promise.resolve(Math.log(c.includes(target) ? 0.1 : 0.01) - (c.includes(who) ? 0 : 3));
};

describe('the estimated oracle', () => {
  it('finds the sentence the answer hangs on, and the control tells what the question does', async () => {
    const calls: string[] = [];
    const r = await oracle({ ...ask, otherQuestion: 'Where does Anna live?' }, (c, q, t, s) => (calls.push(c), reader(c, q, t, s)));
    expect(r).toMatchObject({ retrieved: 1, hit: true, gold: [1], chance: 1 / 3, control: { retrieved: 0, hit: false } });
    expect(r!.scores.map((s) => s.toFixed(3))).toEqual(['0.000', '7.500', '0.000']);
    expect(r!.sentences[1]).toEqual({ start: 21, end: 42 });
    expect(summariseOracle(r!)).toEqual({ hit: true, chance: 1 / 3, sentences: 3, controlHit: false });
    expect(calls).toHaveLength(8);
    expect(calls.slice(0, 4)).toEqual([context, 'Anna lives in Turin. Boris lives in Oslo. ', 'Anna lives in Turin. Clara lives in Lima.', 'Boris lives in Oslo. Clara lives in Lima.']);
  });
  it('is silent where there is nothing to choose between', async () => {
    expect(await oracle({ ...ask, context: 'Boris lives in Oslo.', answer: { text: 'Oslo', start: 15 } }, reader)).toBeNull();
    expect(await oracle({ ...ask, target: '' }, reader)).toBeNull();
    expect(await oracle({ ...ask, answer: { text: 'Oslo', start: 900 } }, reader)).toBeNull();
  });
  it('stops when told to, and lets no NaN win', async () => {
    const stop = new AbortController();
    const slow: LogProbScorer = () => (stop.abort(), Promise.resolve(0));
    await expect(oracle(ask, slow, stop.signal)).rejects.toThrow('abort');
    expect(argmax([NaN, -1, 2, 2])).toBe(2);
    expect(argmax([])).toBe(-1);
  });
});
