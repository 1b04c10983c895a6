/** `lab.study`: a design, its items and a lab of its own, put together on the page. */
import { LabError } from './runtime/errors';
import type { StudyDesign } from './study/design';
import { IdbStudyStore } from './study/idb';
import { studyOffice } from './study/office';
import { openSession, type CellLab, type SessionOptions, type StudyRun } from './study/session';
import { SetStore } from './study/sets';
import type { Item } from './types';

/** What is asked of the page's lab: items, and a second lab for the study's models. */
export interface StudyLab {
  sets(): Promise<string[]>;
  items(set: string): Promise<Item[]>;
  another(): CellLab;
}

export interface StudyStart extends Partial<Omit<SessionOptions, 'office'>> {
  /** Another database than the page's own; for tests. */
  database?: string;
}

let store: Promise<IdbStudyStore> | null = null;

/** The page's studies. */
export function studyStore(): Promise<IdbStudyStore> {
  store ??= IdbStudyStore.open();
  store.catch(() => (store = null));
  return store;
}

/** The items of a design's set: a shipped one, or one that was dropped or fetched before. */
export async function itemsOf(lab: StudyLab, design: StudyDesign): Promise<Item[]> {
  const { name } = design.set;
  const sets = await SetStore.open();
  try {
    const kept = await sets.get(name);
    if (kept) {
      if (design.set.sha256 && design.set.sha256 !== kept.sha256)
        throw new LabError('bad-input', `The set “${name}” kept here is another version than the study’s.`, 'Drop the files that the study was made with.');
      return kept.items;
    }
  } finally {
    sets.close();
  }
  if (!(await lab.sets()).includes(name))
    throw new LabError('not-found', `The items of “${name}” are not on this machine.`, 'Fetch or drop its files again; finished cells stay.');
  return lab.items(name);
}

export async function startStudy(lab: StudyLab, design: StudyDesign, options: StudyStart): Promise<StudyRun> {
  const items = options.items ?? (await itemsOf(lab, design));
  const lacking = design.items.filter((id) => !items.some((i) => i.id === id));
  if (lacking.length > 0) throw new LabError('bad-input', `The set has no item ${lacking[0]}${lacking.length > 1 ? ` (and ${lacking.length - 1} more)` : ''}.`, 'Choose the items anew.');
  const own = options.database ? await IdbStudyStore.open(options.database) : null;
  return openSession(design, lab.another(), own ?? (await studyStore()), { ...options, items, ...(own ? {} : { office: studyOffice }) });
}
