/**
 * Studies in IndexedDB. Every finished cell is its own record under [study, cell id] and its own transaction with strict
 * durability: what was reported as done survives a killed tab.
 */
import { openDB, type DBSchema, type IDBPDatabase } from 'idb';
import type { Language } from '../types';
import type { ErrorType } from '../xmrc/errors';
import type { Summary } from './aggregate';
import type { StudyDesign } from './design';
import type { CellResult } from './result';
import { applyCorrection, StorageFull, type StudyEntry, type StudyStore } from './store';

interface Schema extends DBSchema {
  studies: { key: string; value: StudyDesign };
  cells: { key: [string, string]; value: CellResult };
  /** Deleted by every write to its study, so one that is there is true. */
  summaries: { key: string; value: Summary };
}

export const DATABASE = 'passage-lab-studies';
const BATCH = 1000;

/** Keys of one study: arrays sort after strings, so [id, []] is above every [id, string]. */
const range = (study: string, after?: string): IDBKeyRange =>
  after === undefined ? IDBKeyRange.bound([study], [study, []]) : IDBKeyRange.bound([study, after], [study, []], true);

export class IdbStudyStore implements StudyStore {
  private constructor(private readonly db: IDBPDatabase<Schema>) {}

  static async open(name = DATABASE): Promise<IdbStudyStore> {
    const db = await openDB<Schema>(name, 1, {
      upgrade(database) {
        database.createObjectStore('studies', { keyPath: 'id' });
        database.createObjectStore('cells', { keyPath: ['study', 'id'] });
        database.createObjectStore('summaries');
      },
      // Another tab wants a newer layout: let it, rather than block it for as long as this tab lives.
      blocking: (_current, _blocked, event) => (event.target as IDBDatabase).close(),
    });
    return new IdbStudyStore(db);
  }

  close(): void {
    this.db.close();
  }

  putStudy(design: StudyDesign): Promise<void> {
    return full(async () => {
      const tx = this.db.transaction(['studies', 'summaries'], 'readwrite');
      await Promise.all([tx.objectStore('studies').put(design), tx.objectStore('summaries').delete(design.id), tx.done]);
    });
  }

  async getStudy(id: string): Promise<StudyDesign | null> {
    return (await this.db.get('studies', id)) ?? null;
  }

  async listStudies(): Promise<StudyEntry[]> {
    const designs = await this.db.getAll('studies');
    return Promise.all(designs.map(async (design) => ({ design, done: await this.db.count('cells', range(design.id)) })));
  }

  async deleteStudy(id: string): Promise<void> {
    const tx = this.db.transaction(['studies', 'cells', 'summaries'], 'readwrite');
    await Promise.all([tx.objectStore('studies').delete(id), tx.objectStore('cells').delete(range(id)), tx.objectStore('summaries').delete(id), tx.done]);
  }

  putCell(result: CellResult): Promise<void> {
    return this.putCells([result]);
  }

  putCells(results: readonly CellResult[]): Promise<void> {
    return full(async () => {
      const tx = this.db.transaction(['cells', 'summaries'], 'readwrite', { durability: 'strict' });
      const studies = new Set(results.map((r) => r.study));
      await Promise.all([...results.map((r) => tx.objectStore('cells').put(r)), ...[...studies].map((s) => tx.objectStore('summaries').delete(s)), tx.done]);
    });
  }

  async getCell(study: string, id: string): Promise<CellResult | null> {
    return (await this.db.get('cells', [study, id])) ?? null;
  }

  async doneIds(study: string): Promise<Set<string>> {
    const keys = await this.db.getAllKeys('cells', range(study));
    return new Set(keys.map(([, id]) => id));
  }

  async *batches(study: string): AsyncGenerator<CellResult[]> {
    let after: string | undefined;
    for (;;) {
      const batch = await this.db.getAll('cells', range(study, after), BATCH);
      if (batch.length > 0) yield batch;
      if (batch.length < BATCH) return;
      after = batch[batch.length - 1].id;
    }
  }

  row(study: string, row: { model: string; contextLanguage: Language; questionLanguage: Language }): Promise<CellResult[]> {
    const prefix = `${row.model}|${row.contextLanguage}|${row.questionLanguage}|`;
    return this.db.getAll('cells', IDBKeyRange.bound([study, prefix], [study, `${prefix}\uffff`]));
  }

  async getSummary(study: string): Promise<Summary | null> {
    return (await this.db.get('summaries', study)) ?? null;
  }

  async putSummary(study: string, summary: Summary): Promise<void> {
    const tx = this.db.transaction(['cells', 'summaries'], 'readwrite');
    // A cell may have been finished while the summary was made.
    if ((await tx.objectStore('cells').count(range(study))) === summary.cells) await tx.objectStore('summaries').put(summary, study);
    await tx.done;
  }

  async correct(study: string, id: string, type: ErrorType | null): Promise<void> {
    await full(async () => {
      const tx = this.db.transaction(['cells', 'summaries'], 'readwrite');
      const result = await tx.objectStore('cells').get([study, id]);
      if (!result) throw new Error(`no finished cell ${id}`);
      await Promise.all([tx.objectStore('cells').put(applyCorrection(result, type)), tx.objectStore('summaries').delete(study), tx.done]);
    });
  }
}

async function full(write: () => Promise<void>): Promise<void> {
  try {
    await write();
  } catch (error) {
    if (error instanceof Error && error.name === 'QuotaExceededError') throw new StorageFull(error);
    throw error;
  }
}
