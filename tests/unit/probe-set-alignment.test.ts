import { describe, expect, it } from 'vitest';
import { alignSet, type AlignmentDesk } from '../../src/lab-alignment';
import { alignLanguage, chooseItems, retrieveLanguage } from '../../src/probe/set-alignment';
import type { Item, Language, Progress, Provenance } from '../../src/types';

const item = (k: number, question: Partial<Record<Language, string>> = { en: `q${k}?`, de: `f${k}?`, th: `t${k}?` }): Item => ({
  id: `i${k}`,
  set: 's',
  paragraph: `p${k}`,
  context: { en: `c${k}` },
  question,
  answer: {},
});

describe('which items', () => {
  const items = Array.from({ length: 100 }, (_, k) => item(k));
  it('are spread evenly over the set, always the same ones', () => {
    expect(chooseItems(items, 4, 'en', ['en', 'de']).map((i) => i.id)).toEqual(['i0', 'i25', 'i50', 'i75']);
    expect(chooseItems(items, 500, 'en', ['en', 'de'])).toHaveLength(100);
  });
  it('leave out what a language lacks and questions that were asked before in any language', () => {
    const set = [item(0), item(1, { en: 'q1?' }), item(2, { en: 'q0?', de: 'x' }), item(3, { en: 'q3?', de: 'f0?' }), item(4)];
    expect(chooseItems(set, 9, 'en', ['en', 'de']).map((i) => i.id)).toEqual(['i0', 'i4']);
    expect(chooseItems(set, 9, 'de', ['en'])).toEqual([]);
  });
});

describe('one language against English', () => {
  // item k points along axis k at layer 0; at layer 1 every question of the other language looks like item 0
  const dim = 8;
  const states = (k: number, at1: number): Float32Array => {
    const s = new Float32Array(2 * dim);
    s[k] = 1;
    s[dim + at1] = 2;
    return s;
  };
  const english = Array.from({ length: dim }, (_, k) => states(k, k));
  const own = Array.from({ length: dim }, (_, k) => states(k, 0));
  it('gives cosine and accuracy by layer', () => {
    const a = alignLanguage('th', own, english, dim);
    expect([...a.raw.mean]).toEqual([1, 1 / 8]);
    expect(a.toEnglish[0]).toBe(1);
    expect(a.toEnglish[1]).toBe(1 / 8); // only item 0 finds itself
    expect(a.fromEnglish[1]).toBe(0); // a tie among all is a miss
    expect(a.centred?.mean[0]).toBeCloseTo(1, 12);
    // by hand: pooled mean m = (9, 1, …, 1)/16 · 2; item 0 agrees fully, another item k: (e0−m)·(ek−m)/(|e0−m||ek−m|) in units of 2
    const m = [9 / 16, ...Array.from({ length: 7 }, () => 1 / 16)];
    const minus = (k: number): number[] => m.map((v, j) => Number(j === k) - v);
    const dot = (x: number[], y: number[]): number => x.reduce((s, v, j) => s + v * y[j], 0);
    const other = dot(minus(0), minus(1)) / Math.sqrt(dot(minus(0), minus(0)) * dot(minus(1), minus(1)));
    expect(a.centred?.mean[1]).toBeCloseTo((1 + 7 * other) / 8, 6);
  });
  it('has no centred curve under eight items', () => {
    expect(alignLanguage('th', own.slice(1), english.slice(1), dim).centred).toBeNull();
  });
});

describe('readout to answer span', () => {
  // every readout is a common direction plus its item's own, every answer span another common direction plus its item's own
  const dim = 10;
  const path = (common: number, k: number): Float32Array => {
    const s = new Float32Array(dim);
    s[common] = 5;
    s[k] = 1;
    return s;
  };
  const readouts = Array.from({ length: 8 }, (_, k) => path(8, k));
  const answers = Array.from({ length: 8 }, (_, k) => path(9, k));
  it('is small where the two have no more than their item in common, and one when each side has lost its own mean', () => {
    const { raw, centred } = retrieveLanguage('th', readouts, answers, dim);
    expect(raw.mean[0]).toBeCloseTo(1 / 26, 12);
    expect(centred?.mean[0]).toBeCloseTo(1, 6);
    // a readout that turns to the next item's answer: (e_k − m)·(e_k+1 − m) / |e_k − m|² with m = 1/8 in every place
    const turned = retrieveLanguage('th', readouts, [...answers.slice(1), answers[0]], dim).centred;
    expect(turned?.mean[0]).toBeCloseTo(-1 / 8 / (7 / 8), 6);
    expect(retrieveLanguage('th', readouts.slice(1), answers.slice(1), dim).centred).toBeNull();
  });
});

describe('the worker’s part', () => {
  const provenance = { time: '' } as Provenance;
  const contexts: string[] = [];
  /** A desk whose states say which question was asked: ids are the question's number; German is exact, Thai is off by one. */
  const desk = (n: number, more: Partial<AlignmentDesk> = {}): AlignmentDesk => ({
    layers: 1,
    dim: 4,
    provenance,
    items: () => Promise.resolve(Array.from({ length: n }, (_, k) => item(k))),
    prompt: (context, question) => {
      contexts.push(context);
      const id = Number(/\d+/.exec(question)?.[0]) + (question.startsWith('t') ? 1 : 0);
      const token = { id, text: '', group: 'question' as const, start: 0, end: 0, special: false };
      return { text: '', ids: [id, id], tokens: [{ ...token, group: 'context' as const }, token], kind: 'chat', stops: [], notes: [] };
    },
    trace: (ids, { positions }) => {
      expect(positions).toEqual([1]);
      const hidden = new Float32Array(8);
      hidden[ids[0] % 4] = 1;
      hidden[4 + (ids[0] % 4)] = 3;
      return Promise.resolve({ hidden, lens: [], next: new Int32Array(1), logits: null });
    },
    ...more,
  });

  it('asks every question in every language once, and counts them', async () => {
    const seen: Progress[] = [];
    contexts.length = 0;
    const out = await alignSet(desk(4), 's', { n: 4, languages: ['de', 'th'] }, { onProgress: (p) => void seen.push(p) });
    expect(contexts).toEqual(Array.from({ length: 12 }, () => 'c0')); // one passage for all
    expect(seen.at(-1)).toMatchObject({ done: 12, total: 12 });
    expect(out).toMatchObject({ items: ['i0', 'i1', 'i2', 'i3'], chance: 0.25, layers: [0, 1], notes: [] });
    expect(out.languages.map((l) => [l.language, ...l.toEnglish])).toEqual([
      ['de', 1, 1],
      ['th', 0, 0],
    ]);
    contexts.length = 0;
    const own = await alignSet(desk(3), 's', { n: 50, languages: ['de'], passage: 'own' }, {});
    expect(contexts).toEqual(['c0', 'c1', 'c2', 'c0', 'c1', 'c2']);
    expect(own.notes[0]).toMatch(/3 different questions/);
  });

  it('measures the readout against the answer where each question has its own passage', async () => {
    const given: (string | undefined)[] = [];
    const { prompt } = desk(9);
    const own = desk(9, {
      items: () => Promise.resolve(Array.from({ length: 9 }, (_, k) => ({ ...item(k), answer: { en: { text: `a${k}`, start: 0 } } }))),
      prompt: (context, question, answer) => {
        given.push(answer?.text);
        const built = prompt(context, question, answer);
        const [at, asked] = built.tokens;
        return { ...built, ids: [...built.ids, built.ids[0]], tokens: [{ ...at, group: answer ? 'answerSpan' : 'context' }, asked, { ...asked, group: 'readout' }] };
      },
      // one state per position: the question's own number along one axis, the readout along the same, the answer along all
      trace: (ids, { positions }) => {
        const hidden = new Float32Array(2 * positions.length * 4);
        positions.forEach((at, p) => [0, 1].forEach((l) => (at === 0 ? hidden.fill(1, (l * positions.length + p) * 4, (l * positions.length + p + 1) * 4) : (hidden[(l * positions.length + p) * 4 + (ids[0] % 4)] = 2))));
        return Promise.resolve({ hidden, lens: [], next: new Int32Array(1), logits: null });
      },
    });
    const out = await alignSet(own, 's', { n: 9, languages: ['de'], passage: 'own' }, {});
    expect(given.slice(0, 2)).toEqual(['a0', 'a1']);
    expect(out.retrieval?.map((r) => [r.language, ...r.raw.mean])).toEqual([
      ['en', 0.5, 0.5],
      ['de', 0.5, 0.5],
    ]);
    expect(out.languages[0].toEnglish).toHaveLength(2);
    given.length = 0;
    expect((await alignSet(own, 's', { n: 9, languages: ['de'] }, {})).retrieval).toBeUndefined();
    expect(given.every((text) => text === undefined)).toBe(true);
  });

  it('stops at the next run when it is cancelled', async () => {
    const abort = new AbortController();
    let runs = 0;
    const { trace } = desk(4);
    const stopping = desk(4, {
      trace: (...args) => {
        if (++runs === 3) abort.abort();
        return trace(...args);
      },
    });
    await expect(alignSet(stopping, 's', { n: 4 }, { signal: abort.signal })).rejects.toMatchObject({ code: 'cancelled' });
    expect(runs).toBe(3);
  });

  it('refuses what cannot be measured', async () => {
    await expect(alignSet(desk(4), 's', { languages: ['en'] }, {})).rejects.toMatchObject({ code: 'bad-input' });
    await expect(alignSet(desk(4), 's', { n: 1 }, {})).rejects.toMatchObject({ code: 'bad-input' });
    await expect(alignSet(desk(1), 's', { n: 4 }, {})).rejects.toMatchObject({ code: 'bad-input' });
  });
});
