/**
 * Studies in IndexedDB. Every finished cell is its own record under [study, cell id] and its own transaction with strict
 * durability: what was reported as done survives a killed tab.
 */
import { openDB, type DBSchema, type IDBPDatabase } from 'idb';
import type { Language } from '../types';
import type { ErrorType } from '../xmrc/errors';
import { recount, type Summary } from './aggregate';
import { COLUMNS_VERSION, StudyColumns, type ColumnData } from './columns';
import type { StudyDesign } from './design';
import type { CellResult } from './result';
import { applyCorrection, StorageFull, type StudyEntry, type StudyStore } from './store';

interface Schema extends DBSchema {
  studies: { key: string; value: StudyDesign };
  cells: { key: [string, string]; value: CellResult };
  /** Deleted by every write to its study, or corrected along with a cell, so one that is there is true. */
  summaries: { key: string; value: Summary };
  /** What the tables need of all cells but the `fresh` ones. */
  columns: { key: string; value: ColumnData };
  /** Cells written since the columns were: [study, cell id]. */
  fresh: { key: [string, string]; value: 1 };
}

export const DATABASE = 'passage-lab-studies';
const BATCH = 1000;

/** Keys of one study: arrays sort after strings, so [id, []] is above every [id, string]. */
const range = (study: string, after?: string): IDBKeyRange =>
  after === undefined ? IDBKeyRange.bound([study], [study, []]) : IDBKeyRange.bound([study, after], [study, []], true);

export class IdbStudyStore implements StudyStore {
  private constructor(private readonly db: IDBPDatabase<Schema>) {}

  static async open(name = DATABASE): Promise<IdbStudyStore> {
    const db = await openDB<Schema>(name, 2, {
      upgrade(database, from) {
        if (from < 1) {
          database.createObjectStore('studies', { keyPath: 'id' });
          database.createObjectStore('cells', { keyPath: ['study', 'id'] });
        } else database.deleteObjectStore('summaries'); // those of before lack what is measured by layer
        database.createObjectStore('summaries');
        database.createObjectStore('columns');
        database.createObjectStore('fresh');
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
    const tx = this.db.transaction(['studies', 'cells', 'summaries', 'columns', 'fresh'], 'readwrite');
    const whole = (['studies', 'summaries', 'columns'] as const).map((name) => tx.objectStore(name).delete(id));
    await Promise.all([...whole, tx.objectStore('cells').delete(range(id)), tx.objectStore('fresh').delete(range(id)), tx.done]);
  }

  putCell(result: CellResult): Promise<void> {
    return this.putCells([result]);
  }

  putCells(results: readonly CellResult[]): Promise<void> {
    return full(async () => {
      const tx = this.db.transaction(['cells', 'summaries', 'fresh'], 'readwrite', { durability: 'strict' });
      const studies = new Set(results.map((r) => r.study));
      const written = results.flatMap((r) => [tx.objectStore('cells').put(r), tx.objectStore('fresh').put(1, [r.study, r.id])]);
      await Promise.all([...written, ...[...studies].map((s) => tx.objectStore('summaries').delete(s)), tx.done]);
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

  columns(study: string): Promise<StudyColumns> {
    // Two tabs that build at once could each lose what the other saw.
    return alone(`passage-lab-columns-${study}`, async () => ((await this.readable(study)) ? this.freshen(study) : this.buildColumns(study)));
  }

  private async readable(study: string): Promise<boolean> {
    return (await this.db.get('columns', study))?.version === COLUMNS_VERSION;
  }

  /** In one transaction: what is written meanwhile waits, and is fresh for the next time. */
  private async freshen(study: string): Promise<StudyColumns> {
    const tx = this.db.transaction(['cells', 'columns', 'fresh'], 'readwrite');
    const [data, fresh] = await Promise.all([tx.objectStore('columns').get(study), tx.objectStore('fresh').getAllKeys(range(study))]);
    const columns = new StudyColumns(data);
    const cells = await Promise.all(fresh.map((key) => tx.objectStore('cells').get(key)));
    for (const cell of cells) if (cell) columns.put(cell);
    if (fresh.length > 0) await shortcut([tx.objectStore('columns').put(columns.data, study), tx.objectStore('fresh').delete(range(study)), tx.done]);
    return columns;
  }

  /**
   * From all cells, batch by batch, so that no writer waits for it. What is fresh now will be read here; what is written while this
   * reads is fresh again. A page that dies in between leaves no columns, and they are built once more.
   */
  private async buildColumns(study: string): Promise<StudyColumns> {
    const tx = this.db.transaction(['columns', 'fresh'], 'readwrite');
    await Promise.all([tx.objectStore('columns').delete(study), tx.objectStore('fresh').delete(range(study)), tx.done]);
    const columns = new StudyColumns();
    for await (const batch of this.batches(study)) for (const cell of batch) columns.put(cell);
    await shortcut([this.db.put('columns', columns.data, study)]);
    return columns;
  }

  async getSummary(study: string): Promise<Summary | null> {
    return (await this.db.get('summaries', study)) ?? null;
  }

  async putSummary(study: string, summary: Summary): Promise<void> {
    const tx = this.db.transaction(['cells', 'summaries', 'fresh'], 'readwrite');
    // A cell may have been finished or corrected while the summary was made.
    const [cells, fresh] = await Promise.all([tx.objectStore('cells').count(range(study)), tx.objectStore('fresh').count(range(study))]);
    if (cells === summary.cells && fresh === 0) await tx.objectStore('summaries').put(summary, study);
    await tx.done;
  }

  async correct(study: string, id: string, type: ErrorType | null): Promise<void> {
    await full(async () => {
      const tx = this.db.transaction(['cells', 'summaries', 'fresh'], 'readwrite');
      const cells = tx.objectStore('cells');
      const summaries = tx.objectStore('summaries');
      const [result, summary] = await Promise.all([cells.get([study, id]), summaries.get(study)]);
      if (!result) throw new Error(`no finished cell ${id}`);
      const corrected = applyCorrection(result, type);
      const kept = summary ? [summaries.put(recount(summary, result, corrected), study)] : [];
      await Promise.all([cells.put(corrected), tx.objectStore('fresh').put(1, [study, id]), ...kept, tx.done]);
    });
  }
}

/** What only saves time: on a full disk it is done anew each time. */
async function shortcut(writes: readonly Promise<unknown>[]): Promise<void> {
  await Promise.all(writes).catch(() => undefined);
}

function alone<T>(name: string, work: () => Promise<T>): Promise<T> {
  const locks = (globalThis as { navigator?: { locks?: LockManager } }).navigator?.locks;
  return locks ? (locks.request(name, work) as Promise<T>) : work();
}

async function full(write: () => Promise<void>): Promise<void> {
  try {
    await write();
  } catch (error) {
    if (error instanceof Error && error.name === 'QuotaExceededError') throw new StorageFull(error);
    throw error;
  }
}
