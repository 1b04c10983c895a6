/** A study of many cells, as the page has it: filled, opened again, packed. The cells are made up; nothing of a model is timed here. */
import { IdbStudyStore, DATABASE } from '../../../src/study/idb';
import { cells, type StudyDesign } from '../../../src/study/design';
import { studyOffice } from '../../../src/study/office';
import { scoreCell, type CellResult } from '../../../src/study/result';
import type { Item, Language } from '../../../src/types';
import { seeded } from '../../../src/xmrc/random';

const LANGUAGES: Language[] = ['en', 'de', 'es', 'vi', 'ru'];
const LAYERS = [0, 1, 2, 3, 4, 5, 6, 7, 8];

function itemsFor(count: number): Item[] {
  return Array.from({ length: count }, (_, i) => {
    const all = <T>(of: (l: Language) => T): Partial<Record<Language, T>> => Object.fromEntries(LANGUAGES.map((l) => [l, of(l)]));
    return { id: `q${i}`, set: 'many', paragraph: `p${i >> 2}`, context: all((l) => `${l} says ${i}.`), question: all((l) => `${l} ${i}?`), answer: all((l) => ({ text: `${i}`, start: l.length + 6 })) };
  });
}

/** Two models, thirteen language pairs: every cell with all measures. */
export async function fillStudy(id: string, count: number): Promise<number> {
  const items = itemsFor(Math.ceil(count / 26));
  const design: StudyDesign = {
    version: 1, id, name: id, created: new Date(0).toISOString(), seed: 1, set: { name: 'many', license: '' }, items: items.map((i) => i.id), prompt: {}, maxTokens: 16, correctF1: 0.5,
    models: ['base', 'post-trained'].map((stage) => ({ ref: { id: `bundled:${stage}` }, title: stage, stage: stage as 'base', pair: 'bench' })),
    scenarios: ['en-en', 'en-x', 'x-x', 'x-en'], languages: LANGUAGES, measures: ['answer', 'oracle', 'alignment', 'relevance', 'patching'],
  };
  const random = seeded(1);
  const made = cells(design, items).slice(0, count).map((cell): CellResult =>
    scoreCell(design, cell, {
      prediction: random() < 0.5 ? cell.item.answer[cell.contextLanguage]!.text : 'something else altogether',
      stop: 'eos', promptTokens: 300, tokens: 6, ms: 20, device: 'wasm', tokenIds: [1, 2, 3, 4, 5, 6],
      oracle: { hit: random() < 0.6, chance: 0.2, sentences: 5, controlHit: random() < 0.2 },
      alignment: LAYERS.map(random),
      mrd: { question: Math.floor(random() * 8), answerSpan: Math.floor(random() * 8), layers: 8 },
      patching: { other: 'q0', contrast: 'answers', layers: LAYERS, groups: (['question', 'answerSpan', 'readout'] as const).map((group) => ({ group, match: 'last', effects: LAYERS.map(() => Math.round(random() * 1e4) / 1e4), flips: LAYERS.filter(() => random() < 0.3) })) },
    }, new Date(0).toISOString()),
  );
  const store = await IdbStudyStore.open();
  await store.putStudy(design);
  for (let i = 0; i < made.length; i += 1000) await store.putCells(made.slice(i, i + 1000));
  store.close();
  return made.length;
}

export interface Opened {
  ms: number;
  rows: number;
  cells: number;
}

/** What a page that comes back does: the list, the design, the tables (from the worker that makes them), the first square's answers. */
export async function openStudy(id: string): Promise<Opened> {
  const started = performance.now();
  const store = await IdbStudyStore.open();
  await store.getStudy(id);
  const summary = await studyOffice.summary(id);
  const [{ model, contextLanguage, questionLanguage }] = summary.rows;
  const opened = (await store.row(id, { model, contextLanguage, questionLanguage })).length;
  const ms = performance.now() - started;
  store.close();
  return { ms, rows: summary.rows.length, cells: opened && summary.cells };
}

/** What a correction leaves of what was made before; or as if nothing had ever been summed up. */
export async function unsettle(id: string, how: 'corrected' | 'never summed'): Promise<void> {
  if (how === 'corrected') {
    const store = await IdbStudyStore.open();
    for await (const batch of store.batches(id)) {
      await store.correct(id, batch[0].id, 'gibberish');
      break;
    }
    store.close();
    return;
  }
  await new Promise<void>((resolve, reject) => {
    const open = indexedDB.open(DATABASE);
    open.onerror = () => reject(open.error);
    open.onsuccess = () => {
      const tx = open.result.transaction(['summaries', 'columns', 'fresh'], 'readwrite');
      for (const name of tx.objectStoreNames) tx.objectStore(name).clear();
      tx.oncomplete = () => (open.result.close(), resolve());
      tx.onerror = () => reject(tx.error);
    };
  });
}

export interface Packed {
  ms: number;
  bytes: number;
  /** The longest that the page's own thread did not answer meanwhile. */
  longestGap: number;
}

export async function packStudy(id: string): Promise<Packed> {
  let longestGap = 0;
  let last = performance.now();
  const beat = setInterval(() => {
    longestGap = Math.max(longestGap, performance.now() - last);
    last = performance.now();
  }, 5);
  const started = performance.now();
  const { size } = await studyOffice.pack(id);
  clearInterval(beat);
  return { ms: performance.now() - started, bytes: size, longestGap };
}
