/**
 * Item sets a reader brought: dropped files, and XQuAD from its public home. Kept in the browser whole, because a study must find
 * its items again after a reload.
 */
import { openDB, type DBSchema, type IDBPDatabase } from 'idb';
import type { Language } from '../types';
import { ItemsError, isLanguage, loadFile, loadMlqa, loadSquad, mlqaLanguages, type ItemSet } from '../xmrc/items';
import { StorageFull } from './store';

/** A set with where it came from. */
export interface KeptSet extends ItemSet {
  source: string;
  /** Of the items as JSON: two sets of one name are told apart by it. */
  sha256: string;
}

interface Schema extends DBSchema {
  sets: { key: string; value: KeptSet };
}

export class SetStore {
  private constructor(private readonly db: IDBPDatabase<Schema>) {}

  static async open(name = 'passage-lab-sets'): Promise<SetStore> {
    return new SetStore(
      await openDB<Schema>(name, 1, {
        upgrade: (db) => void db.createObjectStore('sets', { keyPath: 'name' }),
        blocking: (_current, _blocked, event) => (event.target as IDBDatabase).close(),
      }),
    );
  }

  names(): Promise<string[]> {
    return this.db.getAllKeys('sets');
  }

  async get(name: string): Promise<KeptSet | null> {
    return (await this.db.get('sets', name)) ?? null;
  }

  /** Rejects with `StorageFull` when there is no room. */
  async put(set: KeptSet): Promise<void> {
    try {
      await this.db.put('sets', set);
    } catch (error) {
      throw error instanceof Error && error.name === 'QuotaExceededError' ? new StorageFull(error) : error;
    }
  }

  delete(name: string): Promise<void> {
    return this.db.delete('sets', name);
  }

  close(): void {
    this.db.close();
  }
}

export async function keep(set: ItemSet, source: string): Promise<KeptSet> {
  return { ...set, source, sha256: await sha256(new TextEncoder().encode(JSON.stringify(set.items))) };
}

export async function sha256(bytes: Uint8Array<ArrayBuffer>): Promise<string> {
  return Array.from(new Uint8Array(await crypto.subtle.digest('SHA-256', bytes)), (b) => b.toString(16).padStart(2, '0')).join('');
}

/** Larger files are refused before they are read. */
const MOST_BYTES = 250_000_000;
const LANGUAGE_IN_NAME = /[._-]([a-z]{2})(?:\.[a-z]+)?$/i;

/**
 * Dropped files as one set: one parallel file; MLQA's context/question files; or SQuAD v1.1 files, one per language, told apart
 * by the language in their names (`xquad.de.json`).
 * @throws ItemsError naming file, line and id of what is wrong
 */
export async function readSet(files: readonly File[]): Promise<ItemSet> {
  const wrong = (file: string, message: string): ItemsError => new ItemsError([{ file, line: null, id: null, message }]);
  if (files.length === 0) throw wrong('the files', 'none was given');
  const large = files.find((f) => f.size > MOST_BYTES);
  if (large) throw wrong(large.name, `${Math.round(large.size / 1e6)} MB; at most ${MOST_BYTES / 1e6} MB are read`);
  if (files.length === 1) return loadFile(await files[0].text(), files[0].name);
  const mlqa = files.map((f) => mlqaLanguages(f.name));
  if (mlqa.every((m) => m !== null)) return loadMlqa(await Promise.all(files.map(async (f, i) => ({ ...mlqa[i]!, text: await f.text() }))));
  const texts: Partial<Record<Language, string>> = {};
  for (const file of files) {
    const told = LANGUAGE_IN_NAME.exec(file.name.replace(/\.json$/i, ''))?.[1]?.toLowerCase() ?? '';
    if (!isLanguage(told)) throw wrong(file.name, 'its name does not say its language (as in xquad.de.json)');
    if (texts[told] !== undefined) throw wrong(file.name, `a second file for ${told}`);
    texts[told] = await file.text();
  }
  const name = files[0].name.replace(/\.json$/i, '').replace(/[._-][a-z]{2}$/i, '');
  return loadSquad(texts, { name: name || 'dropped', license: /^xquad$/i.test(name) ? 'CC BY-SA 4.0' : '' });
}
