/** Where studies live. The engine and the exports know this interface only; tests may use the one in memory. */
import type { Language } from '../types';
import type { ErrorType } from '../xmrc/errors';
import type { StudyDesign } from './design';
import { summarise, type Summary } from './aggregate';
import type { StudyColumns } from './columns';
import type { CellResult } from './result';

export interface StudyEntry {
  design: StudyDesign;
  /** Number of finished cells. */
  done: number;
}

export interface StudyStore {
  putStudy(design: StudyDesign): Promise<void>;
  getStudy(id: string): Promise<StudyDesign | null>;
  listStudies(): Promise<StudyEntry[]>;
  deleteStudy(id: string): Promise<void>;
  /** Durable when it resolves. Rejects with `StorageFull` when there is no room. */
  putCell(result: CellResult): Promise<void>;
  /** Many at once, all or none: for imports. */
  putCells(results: readonly CellResult[]): Promise<void>;
  getCell(study: string, id: string): Promise<CellResult | null>;
  doneIds(study: string): Promise<Set<string>>;
  /** All finished cells, in batches, in the order of their ids. Never holds more than one batch. */
  batches(study: string): AsyncIterable<CellResult[]>;
  /** The finished cells of one square of the matrix: what a click on it opens. */
  row(study: string, row: { model: string; contextLanguage: Language; questionLanguage: Language }): Promise<CellResult[]>;
  /** What the tables need of all finished cells, brought up to date: only cells written since the last time are read. */
  columns(study: string): Promise<StudyColumns>;
  /** The summary kept by `putSummary`, with the corrections made since; null when anything else was written to the study. */
  getSummary(study: string): Promise<Summary | null>;
  /** Kept only if it counts all cells, and none was written since `columns` were read. */
  putSummary(study: string, summary: Summary): Promise<void>;
  /** A reader's correction of an error type; null takes it back. */
  correct(study: string, id: string, type: ErrorType | null): Promise<void>;
}

export class StorageFull extends Error {
  readonly code = 'storage-full';
  constructor(cause?: unknown) {
    super('The browser has no room left for results. Export and delete an older study or a downloaded model, then go on; nothing finished is lost.', { cause });
    this.name = 'StorageFull';
  }
}

export function applyCorrection(result: CellResult, type: ErrorType | null): CellResult {
  const { corrected: _, ...rest } = result;
  return type === null || type === result.error.type ? rest : { ...rest, corrected: type };
}

export async function allCells(store: StudyStore, study: string): Promise<CellResult[]> {
  const out: CellResult[] = [];
  for await (const batch of store.batches(study)) for (const r of batch) out.push(r);
  return out;
}

/** The summary of a study: the kept one at once, else made and kept. */
export async function summaryOf(store: StudyStore, study: string): Promise<Summary> {
  const kept = await store.getSummary(study);
  if (kept) return kept;
  const design = await store.getStudy(study);
  if (!design) throw new Error(`no study ${study}`);
  const summary = summarise(design, await store.columns(study));
  await store.putSummary(study, summary).catch(() => undefined); // Only a shortcut: a full disk must not hide the results.
  return summary;
}
