/**
 * The mechanism of the bundled pair, measured in the shipped files through the lab itself in Chromium: relevance by layer, depths and
 * patching over held-out items. Rewrites docs/mechanism.md. MECHANISM_ITEMS=20 npm run mechanism makes it quick and prints only.
 */
import { writeFileSync } from 'node:fs';
import type { Browser } from 'playwright-core';
import { afterAll, beforeAll, test } from 'vitest';
import type { LabClient } from '../../src/lab-client';
import type { PatchSet } from '../../src/probe/patch-set';
import { LANGUAGES, type Ask, type Item, type Language } from '../../src/types';
import { launch, serve, visitLab, type Served } from '../harness';
import { depthTable, languageTable, patchTable, relevanceTable, verdict, type Measured } from './mechanism-report';

const DOCUMENTED = 220;
const WANTED = Number(process.env['MECHANISM_ITEMS'] ?? DOCUMENTED);
const DTYPE = 'q4';
/** The base model's own prompt would begin with examples: without them both models read the same passage and question. */
const PROMPT = { shots: 0 };
const OTHERS = LANGUAGES.filter((l) => l !== 'en');

let served: Served;
let browser: Browser;
beforeAll(async () => {
  served = await serve();
  browser = await launch({ webgpu: 'off' });
});
afterAll(async () => {
  await browser.close();
  await served.close();
});

declare const own: LabClient;
/** Prints how far it is. */
declare const say: (what: string) => void;

/** en-x: English passages, the eleven other languages in turn, each item once per turn. */
function jobs(items: Item[]): { item: Item; language: Language }[] {
  const held = items.filter((item) => item.tags?.[0] === 'held-out-facts');
  return Array.from({ length: WANTED }, (_, i) => ({ item: held[i % held.length], language: OTHERS[i % OTHERS.length] }));
}

async function measure(model: string, title: string): Promise<Measured> {
  const { page, close } = await visitLab(browser, served.url);
  try {
    await page.evaluate(([id, dtype]) => own.load({ id, dtype }, { device: 'wasm' }), [`bundled:${model}`, DTYPE]);
    const list = jobs(await page.evaluate(() => own.items('world')));
    const asks = list.map(({ item, language }): Ask => ({ item, set: 'world', contextLanguage: 'en', questionLanguage: language, prompt: PROMPT }));
    await page.exposeFunction('say', (what: string) => console.log(`${title}: ${what}`));
    const relevance = await page.evaluate(async (asks) => {
      const plain = <T>(value: T) => JSON.parse(JSON.stringify(value, (_k, v: unknown) => (ArrayBuffer.isView(v) ? [...(v as Float64Array)] : v))) as T;
      const every = (what: string) => (soFar: { items: unknown[] }) => soFar.items.length % 50 === 0 && void say(`${what}, ${soFar.items.length} of ${asks.length}`);
      const set = await own.relevanceSet(asks, { onItem: every('relevance') });
      if (set.stopped) throw new Error(`stopped: ${set.stopped.message}`);
      const gold = await own.relevanceSet(asks, { target: { kind: 'gold' }, onItem: every('relevance of the gold token') });
      let exact = 0;
      for (const ask of asks) exact += (await own.answer(ask, { maxTokens: 8, lane: null })).squad?.em ?? 0;
      const summary = await own.summarise(set);
      return plain({ ...summary, depths: [], items: set.items.length, missed: set.missed.length, exact: exact / asks.length, gold: (await own.summarise(gold)).all });
    }, asks);
    const patched = async (clean: 'asked' | 'en'): Promise<Measured['patch']> =>
      page.evaluate(
        async ({ list, clean, prompt }) => {
          const items = await own.items('world');
          const all: PatchSet['items'] = [];
          for (const language of [...new Set(list.map((j) => j.language))]) {
            const mine = new Set(list.flatMap((j) => (j.language === language ? [j.id] : [])));
            const made = await own.pairs(items, { set: 'world', contextLanguage: 'en', questionLanguage: language, cleanLanguage: clean === 'en' ? 'en' : language });
            const pairs = made
              .filter(({ ask }) => 'item' in ask && mine.has((ask.item as { id: string }).id))
              // across languages every second one is enough
              .filter((_, i) => clean === 'asked' || i % 2 === 0)
              .map((pair) => ({ ask: { ...pair.ask, prompt }, clean: { ...pair.clean, prompt } }));
            // groups of unequal length meet by their means: a question of another length or language has no other counterpart
            const set = await own.patchSet(pairs, { match: 'mean' });
            if (set.stopped) throw new Error(`stopped: ${set.stopped.message}`);
            all.push(...set.items);
            say(`patched ${all.length} of ${list.length}, clean question in ${clean === 'en' ? 'English' : 'the same language'}`);
          }
          const { pairs, curves } = await own.summarise({ kind: 'patch-set', items: all } as unknown as PatchSet);
          return { pairs, curves: curves.map((c) => ({ ...c, mean: [...c.mean], sd: [...c.sd], n: [...c.n], flips: [...c.flips], flippable: [...c.flippable] })) };
        },
        { list: list.map(({ item, language }) => ({ id: item.id, language })), clean, prompt: PROMPT },
      ) as Promise<Measured['patch']>;
    const { notFinite, ...rest } = relevance;
    return { title, ...rest, notFinite: notFinite.values, patch: await patched('asked'), across: await patched('en') } as unknown as Measured;
  } finally {
    await close();
  }
}

test('the mechanism of the bundled pair', async () => {
  const models = await Promise.all([measure('passage-base', 'Base'), measure('passage-post', 'Post-trained')]);
  const text = page(models).join('\n');
  console.log(text);
  if (WANTED >= 200) writeFileSync(new URL('../../docs/mechanism.md', import.meta.url), text);
});

function page(models: Measured[]): string[] {
  const each = (title: string, body: (m: Measured) => string[]): string[] => models.flatMap((m) => [`### ${m.title}: ${title}`, '', ...body(m)]);
  return [
    '# The mechanism of the bundled pair',
    '',
    `Measured in the shipped ONNX files (${DTYPE}, WASM) through the lab in Chromium by \`npm run mechanism\`, which rewrites this page: ${models[0].items} held-out`,
    'questions of `public/items/world.json`, English passages, the question in the eleven other languages in turn. Definitions: [method.md](method.md).',
    `Exact answers: ${models.map((m) => `${m.title.toLowerCase()} ${(100 * m.exact).toFixed(0)} %`).join(', ')}. Not measured: ${models.map((m) => m.missed).join(' and ')} items; values not finite: ${models.map((m) => m.notFinite).join(' and ')}.`,
    'The post-trained model gets its chat template, the base model a plain completion prompt without examples.',
    '± is one standard deviation over the items. Attribution is not causation; patching is the causal check.',
    '',
    '## Do they show two phases?',
    '',
    'The criteria were set before the figures were seen, and are the lab’s own. *By relevance*: the mean MRD(question) lies below the mean',
    'MRD(answer span), and so it is in more than half of the items. *By patching*: at some layer above the embeddings the question’s states',
    'still recover at least half of the logit difference, and from a deeper layer on the readout’s do.',
    '',
    ...models.flatMap((m) => [verdict(m).text.join(' '), '']),
    'These are models of a synthetic world, 8 layers deep: this is a demonstration of the method, not evidence about large models.',
    '',
    '## Major relevance depth (AttnLRP, 95 %)',
    '',
    ...depthTable(models),
    ...each('by the question’s language', languageTable),
    '## Relevance by layer (AttnLRP, first generated token)',
    '',
    'In logits, summed with sign over a group’s tokens; layer 0 is the embeddings.',
    '',
    ...each('relevance', (m) => relevanceTable(m, 'curves')),
    'Each item’s curve divided by its own Σ|R| over the layers:',
    '',
    ...each('share', (m) => relevanceTable(m, 'shares')),
    '## Patching by layer',
    '',
    'Clean and corrupted run share the passage and differ in the question. Effect: recovered share of the logit difference between the first tokens',
    'of the two answers; 0 is nothing, 1 as if the clean question had been asked. Groups meet by their means. Pairs whose answers begin alike, or whose two',
    'runs differ by less than half a logit, are left out. Flips: runs that begin with the clean answer’s token only once patched, of those whose clean run',
    'begins with it and that did not before.',
    '',
    ...each('question swapped, one language', (m) => [`${m.patch.pairs} pairs.`, '', ...patchTable(m.patch, m.layers)]),
    ...each('clean question in English', (m) => [`${m.across.pairs} pairs: the English question’s states in the run of another question in another language.`, '', ...patchTable(m.across, m.layers)]),
  ];
}
