/**
 * From cells to tables. Every number carries its n and, where it is a mean over enough items, an interval: of a share Wilson's, else a
 * percentile bootstrap over the items. Cells that could not be run are counted and left out of the means.
 */
import { LANGUAGES, type Language, type Scenario } from '../types';
import { SCORES, StudyColumns, type RowColumns, type Score } from './columns';
import { modelKey, type StudyDesign, type StudyModel } from './design';
import { errorType, type CellResult } from './result';
import { ranOf, rowLanguage, rowOf, type Row } from './rows';
import { bootstrap, mean, meanOf, ofItems, relateScores, type BootstrapOptions, type Estimate, type Refused, type Relation } from './stats';

export { phasing, rowLanguage, type Row } from './rows';

export interface Ratio {
  model: string;
  scenario: 'en-x' | 'x-x';
  /** null: mean over the languages. */
  language: Language | null;
  ratio: Estimate;
}

export interface Summary {
  design: StudyDesign;
  rows: Row[];
  /** F1(en-x)/F1(en-en) and F1(x-x)/F1(en-en), SQuAD F1, on the items both have. */
  ratios: Ratio[];
  /** Mean over languages per model and scenario. */
  means: ({ model: string; scenario: Scenario; languages: number } & Record<Score, number>)[];
  /** Phasing stability against SQuAD F1 over (model, scenario, languages) rows: of all, and within each model where there are several. */
  stability: { points: StabilityPoint[]; relation: Relation | Refused; within: { model: string; relation: Relation | Refused }[] };
  cells: number;
  failed: number;
}

interface StabilityPoint {
  model: string;
  label: string;
  x: number;
  y: number;
}

/** Tables of what the columns hold. The order in which cells were finished makes no difference. */
export function summarise(design: StudyDesign, columns: StudyColumns, options: BootstrapOptions = {}): Summary {
  const order = (r: RowColumns): number =>
    design.models.findIndex((m) => modelKey(m.ref) === r.model) * 1e4 + LANGUAGES.indexOf(r.contextLanguage) * 100 + LANGUAGES.indexOf(r.questionLanguage);
  const groups = [...columns.data.rows].sort((a, b) => order(a) - order(b));
  const rows = groups.map((g) => rowOf(g, options));
  const points = rows
    .filter((r) => r.phasing !== null && r.n > 0)
    .map((r) => ({ model: r.model, label: `${r.contextLanguage}-${r.questionLanguage}`, x: r.phasing!.stability, y: r.f1.value }));
  return {
    design,
    rows,
    ratios: ratios(groups, options),
    means: means(rows),
    stability: stabilityOf(points, options),
    cells: columns.cells,
    failed: rows.reduce((n, r) => n + r.failed, 0),
  };
}

function stabilityOf(points: StabilityPoint[], options: BootstrapOptions): Summary['stability'] {
  const related = (some: StabilityPoint[]): Relation | Refused => relateScores(some.map((p) => p.x), some.map((p) => p.y), ['y'], options);
  const models = [...new Set(points.map((p) => p.model))];
  return { points, relation: related(points), within: models.length > 1 ? models.map((model) => ({ model, relation: related(points.filter((p) => p.model === model)) })) : [] };
}

export function aggregate(design: StudyDesign, results: Iterable<CellResult>, options?: BootstrapOptions): Summary {
  const columns = new StudyColumns();
  for (const r of results) columns.put(r);
  return summarise(design, columns, options);
}

/**
 * A summary after a reader's correction of one cell. Only counts move: no score does, and so no interval. The same as summing all
 * cells up anew, without its thousand resamples of every row.
 */
export function recount(summary: Summary, before: CellResult, after: CellResult): Summary {
  const corrected = (r: CellResult): number => (r.corrected === undefined ? 0 : 1);
  const rows = summary.rows.map((row) => {
    if (before.failed || row.model !== before.model || row.contextLanguage !== before.contextLanguage || row.questionLanguage !== before.questionLanguage) return row;
    const errors = { ...row.errors };
    errors[errorType(before)]--;
    errors[errorType(after)]++;
    return { ...row, errors, corrected: row.corrected - corrected(before) + corrected(after) };
  });
  return { ...summary, rows };
}

/** Titles of the models that had failed their self-test when any of their cells was run. */
export function distrusted({ design, rows }: Pick<Summary, 'design' | 'rows'>, among: (row: Row) => boolean = () => true): string[] {
  const failed = new Set(rows.filter((r) => r.selfTestFailed && among(r)).map((r) => r.model));
  return design.models.filter((m) => failed.has(modelKey(m.ref))).map((m) => m.title);
}

function ratios(groups: readonly RowColumns[], options: BootstrapOptions): Ratio[] {
  const out: Ratio[] = [];
  const f1By = (g: RowColumns): Map<string, number> => new Map(ranOf(g).map((i) => [g.items[i], g.numbers.f1[i]]));
  for (const model of new Set(groups.map((g) => g.model))) {
    const base = groups.find((g) => g.model === model && g.scenario === 'en-en');
    if (!base) continue;
    const english = f1By(base);
    for (const scenario of ['en-x', 'x-x'] as const) {
      const columns = groups.filter((g) => g.model === model && g.scenario === scenario).map((g) => ({ language: rowLanguage(g), byItem: f1By(g) }));
      const put = (language: Language | null, of: typeof columns): void => {
        const both = [...english.keys()].filter((item) => of.every((c) => c.byItem.has(item)));
        const over = of.map((c) => both.map((item) => c.byItem.get(item)!));
        out.push({ model, scenario, language, ratio: ratio(over, both.map((item) => english.get(item)!), options) });
      };
      for (const column of columns) put(column.language, [column]);
      if (columns.length > 1) put(null, columns);
    }
  }
  return out;
}

/** Mean over the columns of mean(column)/mean(base), the items resampled together. */
function ratio(columns: readonly number[][], base: readonly number[], options: BootstrapOptions): Estimate {
  const n = base.length;
  if (n === 0) return { value: NaN, low: NaN, high: NaN, n };
  const all = Uint32Array.from(base, (_, i) => i);
  const at = (indices: Uint32Array): number => mean(columns.map((c) => meanOf(c, indices))) / meanOf(base, indices);
  return ofItems({ value: at(all), n, ...bootstrap(n, at, options) });
}

function means(rows: readonly Row[]): Summary['means'] {
  const groups = new Map<string, Row[]>();
  for (const r of rows) {
    if (r.n === 0) continue;
    const key = `${r.model}|${r.scenario}`;
    groups.set(key, [...(groups.get(key) ?? []), r]);
  }
  return [...groups.values()].map((g) => ({
    model: g[0].model,
    scenario: g[0].scenario,
    languages: g.length,
    ...(Object.fromEntries(SCORES.map((s) => [s, mean(g.map((r) => r[s].value))])) as Record<Score, number>),
  }));
}

/** Size against score: one point per model, x = log10 of its parameters. */
export function sizeAgainstScore(summary: Summary, scenario: Scenario): { points: { model: StudyModel; x: number; y: number }[]; relation: Relation | Refused } {
  const points = summary.design.models.flatMap((model) => {
    const m = summary.means.find((x) => x.model === modelKey(model.ref) && x.scenario === scenario);
    return m && model.parameters ? [{ model, x: Math.log10(model.parameters), y: m.f1 }] : [];
  });
  return { points, relation: relateScores(points.map((p) => p.x), points.map((p) => p.y), ['y']) };
}
