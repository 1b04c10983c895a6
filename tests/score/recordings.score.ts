/**
 * `npm run record`: probes of the bundled post-trained model, run in the page and kept as the recordings that ship. The page
 * shows the first of them before any model has arrived.
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'vitest';
import { fitPlane } from '../../src/probe/plane';
import { makeRecord, packRecord, type LabRecord } from '../../src/share/record';
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
          await page.evaluate(async ({ ask, main }) => {
            const lab = (window as unknown as { own: LabClient }).own;
            // whole item in the record: it must open without the item set
            const whole = (await lab.items('world')).find((i) => 'item' in ask && i.id === ask.item);
            const asked = { ...ask, item: whole } as typeof ask;
            const plain = await lab.probe(asked, { states: false });
            // the lens as the page reads it of a run of its own: at every token of the question, the readout and the answer
            const lensPositions = plain.tokens.flatMap((t, i) => (t.group === 'question' || t.group === 'readout' || t.group === 'answer' ? [i] : []));
            const probe = main ? await lab.probe(asked, { states: false, lensPositions }) : plain;
            const means = Object.fromEntries(Object.entries(probe.means).map(([group, mean]) => [group, Array.from(mean ?? [])]));
            return { ...probe, means } as unknown as typeof probe;
          }, { ask, main: runs.length === 0 }).then(revive),
        );
      }
      const [main] = runs;
      console.log(title, '→', main.answer.text.trim(), '| gold', main.answer.gold);
      const record = makeRecord(
        runs.map((probe) => ({ slot: 'A' as const, probe })),
        { title, note: 'Recorded with the bundled model, in the page.', ...seen(runs) },
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

/** The view that the page has of itself, and its plane: two readers see the same picture whatever their machines round. */
function seen(runs: Probe[]): Pick<LabRecord, 'view' | 'basis'> {
  const groups: TokenGroup[] = ['question', 'readout'];
  const paths = runs.flatMap((p) => groups.flatMap((g) => (p.means[g] ? [{ states: p.means[g] }] : [])));
  const { basis, id, signs } = fitPlane({ kind: 'joint-pca', dim: runs[0].dim, paths, guests: [], centroids: null, held: null });
  return { basis, view: { groups, projection: 'joint-pca', basis: id, signs: [signs[0] === 'm' ? -1 : 1, signs[1] === 'm' ? -1 : 1] } };
}

/** Typed arrays do not cross from the page to Node; their numbers do. */
function revive(probe: Probe): Probe {
  const means = Object.fromEntries(Object.entries(probe.means).map(([group, mean]) => [group, Float32Array.from(mean as ArrayLike<number>)]));
  return { ...probe, means: means as Partial<Record<TokenGroup, Float32Array>> };
}
