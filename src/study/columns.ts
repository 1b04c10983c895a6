/**
 * What the tables need of a study's cells, column by column: plain arrays of numbers, so that 20,000 cells are read back in one go
 * and summed without an object per cell. The cells themselves stay the truth; columns can always be made anew from them.
 */
import type { Match } from '../probe/patching';
import type { Language, Scenario, TokenGroup } from '../types';
import { ERROR_TYPES } from '../xmrc/errors';
import { errorType, type CellResult } from './result';

export const SCORES = ['f1', 'em', 'languageAwareF1', 'languageAwareEm', 'contentF1'] as const;
export type Score = (typeof SCORES)[number];

/** One number per cell; NaN where it was not measured. Yes and no are 1 and 0; `error` is an index into ERROR_TYPES. */
const NUMBERS = [...SCORES, 'failed', 'error', 'corrected', 'hit', 'chance', 'control', 'mrdQuestion', 'mrdAnswer', 'mrdLayers', 'ms'] as const;
type NumberColumn = (typeof NUMBERS)[number];

/** Values by layer: [cells, width], NaN where a cell has none. */
export interface Layered {
  layers: number[];
  values: number[];
}

export interface PatchedColumn extends Layered {
  group: TokenGroup;
  /** How the groups met in the first cell that has them; null once cells differ. */
  match: Match | null;
  /** As `values`: 1 where the answer was turned. */
  flips: number[];
}

/** The cells of one square of the matrix. */
export interface RowColumns {
  model: string;
  scenario: Scenario;
  contextLanguage: Language;
  questionLanguage: Language;
  items: string[];
  numbers: Record<NumberColumn, number[]>;
  alignment: Layered | null;
  patching: PatchedColumn[];
  /** Whether any of the cells came from a model that had failed its self-test. */
  selfTestFailed?: true;
}

/** Changes when columns of before can no longer be read. */
export const COLUMNS_VERSION = 1;

export interface ColumnData {
  version: typeof COLUMNS_VERSION;
  rows: RowColumns[];
}

const keyOf = (r: Pick<CellResult, 'model' | 'contextLanguage' | 'questionLanguage'>): string => `${r.model}|${r.contextLanguage}|${r.questionLanguage}`;

export class StudyColumns {
  private readonly rows = new Map<string, { row: RowColumns; at: Map<string, number> }>();

  constructor(readonly data: ColumnData = { version: COLUMNS_VERSION, rows: [] }) {
    for (const row of data.rows) this.rows.set(keyOf(row), { row, at: new Map(row.items.map((item, i) => [item, i])) });
  }

  get cells(): number {
    return this.data.rows.reduce((n, row) => n + row.items.length, 0);
  }

  /** A cell that is there already is replaced. */
  put(r: CellResult): void {
    const key = keyOf(r);
    let entry = this.rows.get(key);
    if (!entry) {
      const { model, scenario, contextLanguage, questionLanguage } = r;
      const numbers = Object.fromEntries(NUMBERS.map((c) => [c, []])) as unknown as RowColumns['numbers'];
      entry = { row: { model, scenario, contextLanguage, questionLanguage, items: [], numbers, alignment: null, patching: [] }, at: new Map() };
      this.rows.set(key, entry);
      this.data.rows.push(entry.row);
    }
    const { row, at } = entry;
    let i = at.get(r.item);
    if (i === undefined) {
      at.set(r.item, (i = row.items.length));
      row.items.push(r.item);
    }
    const values = numbersOf(r);
    for (const column of NUMBERS) row.numbers[column][i] = values[column];
    if (r.selfTestFailed) row.selfTestFailed = true;
    putLayers(row, i, r);
  }
}

function numbersOf(r: CellResult): Record<NumberColumn, number> {
  return {
    f1: r.squad.f1,
    em: r.squad.em,
    languageAwareF1: r.languageAware.f1,
    languageAwareEm: r.languageAware.em,
    contentF1: r.contentOnly.f1,
    failed: r.failed ? 1 : 0,
    error: ERROR_TYPES.indexOf(errorType(r)),
    corrected: r.corrected === undefined ? 0 : 1,
    hit: r.oracle ? +r.oracle.hit : NaN,
    chance: r.oracle ? r.oracle.chance : NaN,
    control: r.oracle && r.oracle.controlHit !== null ? +r.oracle.controlHit : NaN,
    mrdQuestion: r.mrd?.question ?? NaN,
    mrdAnswer: r.mrd?.answerSpan ?? NaN,
    mrdLayers: r.mrd?.layers ?? NaN,
    ms: r.ms,
  };
}

function putLayers(row: RowColumns, i: number, r: CellResult): void {
  if (r.alignment && !row.alignment) row.alignment = { layers: r.alignment.map((_, l) => l), values: [] };
  if (row.alignment) putAt(row.alignment.values, i, row.alignment.layers.length, r.alignment ?? []);
  for (const g of r.patching?.groups ?? [])
    if (!row.patching.some((c) => c.group === g.group)) row.patching.push({ group: g.group, match: g.match, layers: [...r.patching!.layers], values: [], flips: [] });
  for (const column of row.patching) {
    const own = r.patching?.groups.find((g) => g.group === column.group);
    if (own && own.match !== column.match) column.match = null;
    putAt(column.values, i, column.layers.length, own?.effects ?? []);
    putAt(column.flips, i, column.layers.length, own ? column.layers.map((l) => +own.flips.includes(l)) : []);
  }
}

/** Row `i` of a [cells, width] list; rows before it that nobody wrote become NaN. */
function putAt(list: number[], i: number, width: number, values: readonly (number | null)[]): void {
  while (list.length < i * width) list.push(NaN);
  for (let k = 0; k < width; k++) list[i * width + k] = values[k] ?? NaN;
}
