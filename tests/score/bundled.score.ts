/**
 * Scores of the bundled models, measured in the shipped files through the lab itself in Chromium. Rewrites docs/scores.md.
 * SCORE_ITEMS=60 npm run score makes it quick; the table says how many items each figure stands on.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { afterAll, beforeAll, test } from 'vitest';
import type { Browser } from 'playwright-core';
import { launch, serve, visitLab, type Served, type Visit } from '../harness';
import { LANGUAGES, type Answer, type Ask, type Item, type Language, type Scenario } from '../../src/types';
import { alignment, type Reading } from './alignment';

const PER_SCENARIO = Number(process.env.SCORE_ITEMS ?? 660);
const GPU_ITEMS = Number(process.env.SCORE_GPU_ITEMS ?? 60);
const OTHERS = LANGUAGES.filter((l) => l !== 'en');

let served: Served;
let browser: Browser;
beforeAll(async () => {
  served = await serve();
  browser = await launch();
});
afterAll(async () => {
  await browser.close();
  await served.close();
});

interface Own {
  load(ref: string | { id: string; dtype?: string }, options?: object): Promise<unknown>;
  items(set: string): Promise<Item[]>;
  answer(ask: Ask, options?: object): Promise<Answer>;
  probe(ask: Ask, options?: object): Promise<{ means: { question?: Float32Array }; layers: number[]; dim: number }>;
}
declare const own: Own;

interface Job {
  id: string;
  c: Language;
  q: Language;
  ask: Ask;
}
const jobOf = (id: string, c: Language, q: Language): Job => ({ id, c, q, ask: { item: id, set: 'world', contextLanguage: c, questionLanguage: q } });
/** Held-out paragraphs in English alone, for the one scenario that has one language. */
const english: Job[] = (
  JSON.parse(readFileSync(new URL('english.json', import.meta.url), 'utf8')) as {
    data: { paragraphs: { context: string; qas: { id: string; question: string; answers: { text: string; answer_start: number }[] }[] }[] }[];
  }
).data[0].paragraphs.flatMap(({ context, qas }) =>
  qas.map(({ id, question, answers: [{ text, answer_start }] }) => ({ id, c: 'en', q: 'en', ask: { context, question, answer: { text, start: answer_start } } })),
);

async function open(model: string, dtype: string, device: string): Promise<Visit> {
  const visit = await visitLab(browser, served.url);
  await visit.page.evaluate(([id, dtype, device]) => own.load({ id, dtype }, { device }), [`bundled:${model}`, dtype, device]);
  return visit;
}

async function run(visit: Visit, jobs: Job[]): Promise<Answer[]> {
  const out: Answer[] = [];
  for (let at = 0; at < jobs.length; at += 50)
    out.push(
      ...(await visit.page.evaluate(async (part) => {
        const answers: Answer[] = [];
        for (const ask of part) answers.push(await own.answer(ask, { maxTokens: 16, lane: null }));
        return answers;
      }, jobs.slice(at, at + 50).map((job) => job.ask))),
    );
  return out;
}

/** `count` jobs over the languages of a scenario, each item in turn. */
function jobsOf(scenario: Scenario, items: Item[], count: number): Job[] {
  const languages = scenario === 'en-en' ? (['en'] as const) : OTHERS;
  const jobs: Job[] = [];
  for (let i = 0; jobs.length < count && i < items.length * languages.length; i++) {
    const x = languages[i % languages.length];
    const id = items[Math.floor(i / languages.length + i) % items.length].id;
    const y = OTHERS.filter((l) => l !== x)[(i * 7 + 3) % (OTHERS.length - 1)];
    const [c, q] = { 'en-en': ['en', 'en'], 'en-x': ['en', x], 'x-x': [x, x], 'x-en': [x, 'en'], 'x-y': [x, y] }[scenario] as [Language, Language];
    jobs.push(jobOf(id, c, q));
  }
  // one language has too few shipped items
  return scenario === 'en-en' ? [...jobs, ...english].slice(0, count) : jobs;
}

interface Row {
  f1: number;
  em: number;
  n: number;
  worst: string;
}
function summarise(jobs: Job[], answers: Answer[]): Row {
  const per = new Map<Language, number[]>();
  jobs.forEach((job, i) => {
    const x = job.c === 'en' ? job.q : job.c;
    per.set(x, [...(per.get(x) ?? []), 100 * (answers[i].squad?.f1 ?? 0)]);
  });
  const mean = (v: number[]): number => v.reduce((a, b) => a + b, 0) / v.length;
  const means = [...per].map(([l, v]) => [l, mean(v)] as const).sort((a, b) => a[1] - b[1]);
  return {
    f1: mean(means.map((m) => m[1])),
    em: 100 * mean(answers.map((a) => a.squad?.em ?? 0)),
    n: jobs.length,
    worst: `${means[0][1].toFixed(1)} (${means[0][0]})`,
  };
}

const SCENARIOS: Scenario[] = ['en-en', 'en-x', 'x-x', 'x-en', 'x-y'];
const lines: string[] = [];
const say = (line = ''): void => {
  lines.push(line);
  console.log(line);
};
const line = (label: string, r: Row): void => say(`| ${label} | ${r.f1.toFixed(1)} | ${r.em.toFixed(1)} | ${r.worst} | ${r.n} |`);
const head = (title: string): void => {
  say();
  say(`## ${title}`);
  say();
  say('| | F1 (mean over languages) | exact match | worst language | items |');
  say('|---|---|---|---|---|');
};

test('scores of the bundled models', async () => {
  say('# Scores of the bundled models');
  say();
  say('Measured in the shipped ONNX files through the lab in Chromium (`npm run score`), on held-out items of `public/items/world.json`.');
  say('F1 and exact match are SQuAD v1.1; x runs over the eleven other languages.');

  let visit = await open('passage-post', 'fp32', 'wasm');
  const items = await visit.page.evaluate(() => own.items('world'));
  const tagged = (tag: string): Item[] => items.filter((item) => item.tags?.[0] === tag);
  const plain = tagged('held-out-facts');

  head('Post-trained, fp32, WASM');
  const jobs: Record<string, Job[]> = {};
  const answers: Record<string, Answer[]> = {};
  for (const scenario of SCENARIOS) {
    jobs[scenario] = jobsOf(scenario, plain, PER_SCENARIO);
    answers[scenario] = await run(visit, jobs[scenario]);
    line(scenario, summarise(jobs[scenario], answers[scenario]));
  }
  for (const [label, tag] of [['en-x, held-out wording', 'held-out-wording'], ['en-x, longer contexts', 'long'], ['en-x, held-out names', 'held-out-names']] as const) {
    const some = jobsOf('en-x', tagged(tag), Math.min(PER_SCENARIO, 440));
    line(label, summarise(some, await run(visit, some)));
  }

  // Question swap: the answer to another question of the same context must be that one's.
  const byParagraph = new Map<string, Item[]>();
  for (const item of plain) byParagraph.set(item.paragraph, [...(byParagraph.get(item.paragraph) ?? []), item]);
  let swaps = 0;
  let followed = 0;
  const index = new Map(jobs['en-x'].map((job, i) => [`${job.id}/${job.q}`, answers['en-x'][i]]));
  const swapJobs: { a: Answer; job: Job; gold: string }[] = [];
  for (const job of jobs['en-x']) {
    const item = plain.find((p) => p.id === job.id) as Item;
    const sibling = (byParagraph.get(item.paragraph) ?? []).find((s) => s.answer.en?.text !== item.answer.en?.text);
    if (sibling) swapJobs.push({ a: index.get(`${job.id}/${job.q}`) as Answer, job: jobOf(sibling.id, 'en', job.q), gold: sibling.answer.en?.text ?? '' });
  }
  const swapped = await run(visit, swapJobs.slice(0, 330).map((s) => s.job));
  swapped.forEach((answer, i) => {
    swaps++;
    if (answer.text.trim() !== swapJobs[i].a.text.trim() && answer.squad?.em === 1) followed++;
  });
  say();
  say(`Question swapped for another of the same context: the answer became that one's in ${((100 * followed) / swaps).toFixed(1)} % of ${swaps} cases (en-x).`);
  await visit.close();

  head('Post-trained, q4, WASM');
  visit = await open('passage-post', 'q4', 'wasm');
  for (const scenario of SCENARIOS) line(scenario, summarise(jobs[scenario], await run(visit, jobs[scenario])));
  await visit.close();

  head('Post-trained, fp32, WebGPU (SwiftShader) against WASM');
  visit = await open('passage-post', 'fp32', 'webgpu');
  const gpuJobs = SCENARIOS.flatMap((s) => jobs[s].slice(0, Math.ceil(GPU_ITEMS / SCENARIOS.length)));
  const wasm = SCENARIOS.flatMap((s) => answers[s].slice(0, Math.ceil(GPU_ITEMS / SCENARIOS.length)));
  const gpu = await run(visit, gpuJobs);
  line('all scenarios', summarise(gpuJobs, gpu));
  say();
  say(`Answers equal to WASM's: ${gpu.filter((a, i) => a.text === wasm[i].text).length} of ${gpu.length}.`);
  await visit.close();

  for (const shots of [0, 2]) {
    head(`Base, q4, WASM (completion prompt, ${shots} shots)`);
    visit = await open('passage-base', 'q4', 'wasm');
    for (const scenario of SCENARIOS) {
      const some = jobs[scenario].slice(0, Math.min(PER_SCENARIO, 110)).map((job) => ({ ...job, ask: { ...job.ask, prompt: { shots } } }));
      line(scenario, summarise(some, await run(visit, some)));
    }
    await visit.close();
  }

  head('The checkpoints between, q4, WASM');
  for (const model of ['passage-post-1', 'passage-post-2', 'passage-post-3', 'passage-post']) {
    visit = await open(model, 'q4', 'wasm');
    for (const scenario of ['en-x', 'x-x'] as const) {
      const some = jobs[scenario].slice(0, Math.min(PER_SCENARIO, 165));
      line(`${model}, ${scenario}`, summarise(some, await run(visit, some)));
    }
    await visit.close();
  }

  say();
  say('## Question alignment: nearest neighbour of a translated question among 100');
  say();
  say('Mean state of the question group, cosine, each language against English; the mean over languages at each layer. All questions are put to one and the same English context, so that it tells nothing.');
  say();
  for (const [model, dtype] of [['passage-base', 'q4'], ['passage-post', 'fp32']] as const) {
    visit = await open(model, dtype, 'wasm');
    const hundred = plain.filter((_, i) => i % 2 === 0).slice(0, 100);
    const context = plain[0].context.en ?? '';
    const readings: Reading[] = [];
    for (const language of LANGUAGES)
      readings.push({
        language,
        means: await visit.page.evaluate(
          async ([questions, context]) => {
            const rows: number[][][] = [];
            for (const question of questions) {
              const probe = await own.probe(
                { context, question },
                { states: false, generate: false, positions: ['question'], lane: null },
              );
              const mean = probe.means.question as Float32Array;
              rows.push(probe.layers.map((_, l) => Array.from(mean.subarray(l * probe.dim, (l + 1) * probe.dim))));
            }
            return rows;
          },
          [hundred.map((item) => item.question[language] ?? ''), context] as [string[], string],
        ),
      });
    const perLayer = alignment(readings);
    say(`- ${model}, ${dtype}: ${perLayer.map((a, l) => `${l}: ${(100 * a).toFixed(0)} %`).join(', ')} (layer: accuracy); best ${(100 * Math.max(...perLayer)).toFixed(1)} %`);
    await visit.close();
  }
  writeFileSync(new URL('../../docs/scores.md', import.meta.url), `${lines.join('\n')}\n`);
});
