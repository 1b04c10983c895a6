import { describe, expect, it } from 'vitest';
import { cells } from '../../src/study/design';
import { commonPrefix, modelRunner, type StudyPort } from '../../src/study/runner';
import { design, items } from './study-fixture';

const all = items(3, 3);
/** The fixture's contexts have one sentence; the oracle wants some. */
for (const item of all) {
  for (const l of ['en', 'de', 'zh'] as const) {
    const first = item.paragraph.slice(1);
    item.context[l] = [0, 1, 2].map((k) => `In paragraph ${first} ${l} says ${+first * 3 + k} here. `).join('');
    const text = item.id.slice(1);
    item.answer[l] = { text, start: item.context[l].indexOf(`says ${text} `) + 5 };
  }
}

/** A "model" whose next token is a function of everything before it: any mistake about the prefix changes its answers. */
function toy(merge = false) {
  const log = { computed: 0, alive: 0, most: 0, loads: 0 };
  const ids = (text: string): number[] => Array.from(text, (c) => c.charCodeAt(0));
  const digest = (all: readonly number[]): number => all.reduce((h, x) => (Math.imul(h, 31) + x) >>> 0, 7);
  const past = new WeakMap<object, readonly number[]>();
  const run = (prompt: readonly number[], prefix: { length: number } | null): readonly number[] => {
    if (prefix) {
      expect(prompt.slice(0, prefix.length)).toEqual(past.get(prefix));
      expect(prefix.length).toBeLessThan(prompt.length);
    }
    log.computed += prompt.length - (prefix?.length ?? 0);
    return prefix ? [...past.get(prefix)!, ...prompt.slice(prefix.length)] : prompt;
  };
  const port: StudyPort = {
    load: () => (log.loads++, Promise.resolve({ device: 'wasm' as const })),
    prompt: (context, question) => {
      // `merge`: the last token of the context depends on the question's first letter, as byte-pair merges may.
      const c = ids(context);
      if (merge && question.charCodeAt(question.length - 2) % 2) c[c.length - 1] += 1000;
      return { ids: [1, ...c, 2, ...ids(question), 3], stops: [] };
    },
    continuation: (_, text) => ids(text),
    prefill: (prompt) => {
      log.computed += prompt.length;
      log.alive++;
      log.most = Math.max(log.most, log.alive);
      let gone = false;
      const prefix = { length: prompt.length, dispose: () => void (gone || (log.alive--, (gone = true))) };
      past.set(prefix, prompt);
      return Promise.resolve(prefix);
    },
    generate: (p, { prefix, maxTokens }) => {
      const h = digest(run(p.ids, prefix));
      const out = ids(`${h % 1000}`).slice(0, maxTokens);
      return Promise.resolve({ text: String.fromCharCode(...out), ids: out, stop: 'eos' as const });
    },
    logProb: (p, target, { prefix }) => Promise.resolve(-(digest([...run(p.ids, prefix), ...target]) % 1000) / 100),
  };
  return { port, log };
}

async function runAll(reuse: boolean, merge = false, prefixes?: number) {
  const { port, log } = toy(merge);
  const d = design(all, { measures: ['answer', 'oracle'] });
  const r = modelRunner(port, all, { reuse, prefixes, now: () => 0 });
  const out = [];
  let model = -1;
  for (const c of cells(d, all)) {
    if (c.model !== model) await r.model(d.models[(model = c.model)], new AbortController().signal);
    out.push(await r.run(c, d, new AbortController().signal));
  }
  r.dispose();
  return { out, log };
}

describe('the runner', () => {
  it('gives the same results with and without shared prefixes, and computes far less with them', async () => {
    const plain = await runAll(false);
    const shared = await runAll(true);
    expect(shared.out).toEqual(plain.out);
    expect(plain.out.filter((o) => o.oracle).length).toBe(plain.out.length);
    expect(new Set(plain.out.map((o) => o.prediction)).size).toBeGreaterThan(30);
    expect(shared.log).toMatchObject({ alive: 0, loads: 2 });
    expect(shared.log.most).toBeLessThanOrEqual(12);
    console.log(`tokens computed: ${shared.log.computed} shared, ${plain.log.computed} whole: ${(plain.log.computed / shared.log.computed).toFixed(1)} times fewer`);
    expect(plain.log.computed / shared.log.computed).toBeGreaterThan(2);
  });
  it('stays right where the tokenizer merges across the boundary, and where only one prefix may stay', async () => {
    const plain = await runAll(false, true);
    expect((await runAll(true, true)).out).toEqual(plain.out);
    const one = await runAll(true, true, 1);
    expect(one.out).toEqual(plain.out);
    expect(one.log).toMatchObject({ most: 1, alive: 0 });
  });
  it('does without reuse where the graph offers none', async () => {
    const { port } = toy();
    const r = modelRunner({ ...port, prefill: null }, all);
    const d = design(all);
    expect(await r.run(cells(d, all)[0], d, new AbortController().signal)).toMatchObject({ stop: 'eos', device: 'wasm', promptTokens: 110 });
  });
  it('counts shared tokens', () => {
    expect([commonPrefix([1, 2, 3], [1, 2, 4]), commonPrefix([], [1]), commonPrefix([1], [1])]).toEqual([2, 0, 1]);
  });
});
