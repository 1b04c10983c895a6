/**
 * `npm run record`: probes of the bundled post-trained model, run in the page and kept as the recordings that ship. The page
 * shows the first of them before any model has arrived.
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'vitest';
import { makeRecord, packRecord } from '../../src/share/record';
import type { LabClient } from '../../src/lab-client';
import type { Ask, Language, Probe, TokenGroup } from '../../src/types';
import { launch, serve, visitLab } from '../harness';

const OUT = join(import.meta.dirname, '../../public/recordings');

interface Plan {
  id: string;
  title: string;
  item: string;
  contextLanguage: Language;
  /** The first is the one asked; the others stand beside it. */
  questionLanguages: Language[];
}
const PLANS: Plan[] = [
  { id: 'english-passage', title: 'English passage, German question', item: 'held-out-facts-002-0', contextLanguage: 'en', questionLanguages: ['de', 'en', 'ru', 'tr'] },
  { id: 'arabic-question', title: 'English passage, Arabic question', item: 'held-out-facts-011-1', contextLanguage: 'en', questionLanguages: ['ar', 'en'] },
  { id: 'russian-passage', title: 'Russian passage, Spanish question', item: 'held-out-facts-019-0', contextLanguage: 'ru', questionLanguages: ['es', 'en'] },
];

test('recordings', async () => {
  const served = await serve();
  const browser = await launch();
  try {
    const { page } = await visitLab(browser, served.url);
    await page.evaluate(() => (window as unknown as { own: LabClient }).own.load({ id: 'bundled:passage-post', dtype: 'fp32' }, { device: 'wasm' }));
    mkdirSync(OUT, { recursive: true });
    const shelf: { id: string; file: string; title: string }[] = [];
    for (const { id, title, item, contextLanguage, questionLanguages } of PLANS) {
      const runs: Probe[] = [];
      for (const questionLanguage of questionLanguages) {
        const ask: Ask = { item, set: 'world', contextLanguage, questionLanguage };
        runs.push(
          await page.evaluate(async (ask) => {
            const lab = (window as unknown as { own: LabClient }).own;
            // whole item in the record: it must open without the item set
            const whole = (await lab.items('world')).find((i) => 'item' in ask && i.id === ask.item);
            const probe = await lab.probe({ ...ask, item: whole } as typeof ask, { states: false });
            const means = Object.fromEntries(Object.entries(probe.means).map(([group, mean]) => [group, Array.from(mean ?? [])]));
            return { ...probe, means } as unknown as typeof probe;
          }, ask).then(revive),
        );
      }
      const [main] = runs;
      console.log(title, '→', main.answer.text.trim(), '| gold', main.answer.gold);
      const record = makeRecord(
        runs.map((probe) => ({ slot: 'A' as const, probe })),
        { title, note: 'Recorded with the bundled model, in the page.' },
      );
      writeFileSync(join(OUT, `${id}.zip`), packRecord(record, { states: false }));
      shelf.push({ id, file: `${id}.zip`, title });
    }
    writeFileSync(join(OUT, 'index.json'), `${JSON.stringify(shelf, null, 2)}\n`);
  } finally {
    await browser.close();
    await served.close();
  }
});

/** Typed arrays do not cross from the page to Node; their numbers do. */
function revive(probe: Probe): Probe {
  const means = Object.fromEntries(Object.entries(probe.means).map(([group, mean]) => [group, Float32Array.from(mean as ArrayLike<number>)]));
  return { ...probe, means: means as Partial<Record<TokenGroup, Float32Array>> };
}
