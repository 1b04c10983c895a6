/**
 * From cells to tables. Every number carries its n and, where it is a mean over items, a percentile bootstrap interval over the
 * items. Cells that could not be run are counted and left out of the means.
 */
import { LANGUAGES, type Language, type Scenario } from '../types';
import { ERROR_TYPES, type ErrorType } from '../xmrc/errors';
import { bootstrap, estimateMeans, mean, meanOf, relate, sd, type BootstrapOptions, type Estimate, type Refused, type Relation } from './stats';
import { modelKey, type StudyDesign, type StudyModel } from './design';
import { errorType, type CellResult } from './result';

/** One square of the matrix: a model in a scenario with a pair of languages. */
export interface Row {
  model: string;
  scenario: Scenario;
  contextLanguage: Language;
  questionLanguage: Language;
  /** Cells that ran. */
  n: number;
  failed: number;
  f1: Estimate;
  em: Estimate;
  languageAwareF1: Estimate;
  languageAwareEm: Estimate;
  contentF1: Estimate;
  /** Counts, adding up to n. */
  errors: Record<ErrorType, number>;
  /** How many of them a reader has corrected. */
  corrected: number;
  /** null where the oracle was not measured. */
  oracle: { hit: Estimate; chance: number; control: Estimate | null } | null;
  /** null where relevance was not measured. */
  phasing: { stability: number; ordered: number; question: number; answerSpan: number; n: number } | null;
  seconds: number;
}

/** The varying language of a row: x. */
export function rowLanguage(row: Pick<Row, 'scenario' | 'contextLanguage' | 'questionLanguage'>): Language {
  return row.scenario === 'en-x' ? row.questionLanguage : row.contextLanguage;
}

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
  means: { model: string; scenario: Scenario; languages: number; f1: number; em: number; languageAwareF1: number; languageAwareEm: number; contentF1: number }[];
  /** Phasing stability against SQuAD F1 over (model, scenario, languages) rows. */
  stability: { points: { model: string; label: string; x: number; y: number }[]; relation: Relation | Refused };
  cells: number;
  failed: number;
}

const SCORES = ['f1', 'em', 'languageAwareF1', 'languageAwareEm', 'contentF1'] as const;
const GET: Record<(typeof SCORES)[number], (r: CellResult) => number> = {
  f1: (r) => r.squad.f1,
  em: (r) => r.squad.em,
  languageAwareF1: (r) => r.languageAware.f1,
  languageAwareEm: (r) => r.languageAware.em,
  contentF1: (r) => r.contentOnly.f1,
};

/**
 * Phasing stability (the lab's own formula): 1 − (sd(MRD_question/L) + sd(MRD_answer/L)), in 0..1, and the share of items whose
 * question is encoded before their answer span. null for fewer than two items.
 */
export function phasing(depths: readonly { question: number; answerSpan: number; layers: number }[]): Row['phasing'] {
  if (depths.length < 2) return null;
  const q = depths.map((d) => d.question / d.layers);
  const a = depths.map((d) => d.answerSpan / d.layers);
  return {
    stability: 1 - (sd(q) + sd(a)),
    ordered: depths.filter((d) => d.question < d.answerSpan).length / depths.length,
    question: mean(q),
    answerSpan: mean(a),
    n: depths.length,
  };
}

/** Collects results one by one, so that a store can be read through without holding it; `summary()` at any time. */
export class Aggregator {
  private readonly groups = new Map<string, CellResult[]>();
  private count = 0;

  constructor(
    private readonly design: StudyDesign,
    private readonly options: BootstrapOptions = {},
  ) {}

  add(r: CellResult): void {
    this.count++;
    const key = `${r.model}|${r.contextLanguage}|${r.questionLanguage}`;
    // What the tables do not need is dropped here.
    const slim: CellResult = { ...r, prediction: '', gold: '', alignment: undefined, tokenIds: undefined };
    const group = this.groups.get(key);
    if (group) group.push(slim);
    else this.groups.set(key, [slim]);
  }

  summary(): Summary {
    const order = (r: CellResult): number =>
      this.design.models.findIndex((m) => modelKey(m.ref) === r.model) * 1e4 + LANGUAGES.indexOf(r.contextLanguage) * 100 + LANGUAGES.indexOf(r.questionLanguage);
    const groups = [...this.groups.values()].sort((a, b) => order(a[0]) - order(b[0]));
    // Items in one order everywhere: intervals must not depend on the order in which cells were finished.
    for (const g of groups) g.sort((a, b) => (a.item < b.item ? -1 : a.item > b.item ? 1 : 0));
    const rows = groups.map((g) => this.row(g));
    const points = rows
      .filter((r) => r.phasing !== null && r.n > 0)
      .map((r) => ({ model: r.model, label: `${r.contextLanguage}-${r.questionLanguage}`, x: r.phasing!.stability, y: r.f1.value }));
    return {
      design: this.design,
      rows,
      ratios: this.ratios(groups),
      means: means(rows),
      stability: { points, relation: relate(points.map((p) => p.x), points.map((p) => p.y), this.options) },
      cells: this.count,
      failed: rows.reduce((n, r) => n + r.failed, 0),
    };
  }

  private row(group: readonly CellResult[]): Row {
    const ran = group.filter((r) => !r.failed);
    const [f1, em, languageAwareF1, languageAwareEm, contentF1] = estimateMeans(SCORES.map((s) => Float64Array.from(ran, GET[s])), ran.length, this.options);
    const errors = Object.fromEntries(ERROR_TYPES.map((t) => [t, 0])) as Record<ErrorType, number>;
    for (const r of ran) errors[errorType(r)]++;
    const oracles = ran.flatMap((r) => (r.oracle ? [r.oracle] : []));
    const controls = oracles.filter((o) => o.controlHit !== null);
    const { model, scenario, contextLanguage, questionLanguage } = group[0];
    return {
      model, scenario, contextLanguage, questionLanguage,
      n: ran.length,
      failed: group.length - ran.length,
      f1, em, languageAwareF1, languageAwareEm, contentF1,
      errors,
      corrected: ran.filter((r) => r.corrected !== undefined).length,
      oracle:
        oracles.length === 0
          ? null
          : {
              hit: estimateMeans([oracles.map((o) => +o.hit)], oracles.length, this.options)[0],
              chance: mean(oracles.map((o) => o.chance)),
              control: controls.length === 0 ? null : estimateMeans([controls.map((o) => +o.controlHit!)], controls.length, this.options)[0],
            },
      phasing: phasing(ran.flatMap((r) => (r.mrd ? [r.mrd] : []))),
      seconds: ran.reduce((s, r) => s + r.ms, 0) / 1000,
    };
  }

  private ratios(groups: readonly CellResult[][]): Ratio[] {
    const out: Ratio[] = [];
    for (const model of new Set(groups.map((g) => g[0].model))) {
      const english = groups.find((g) => g[0].model === model && g[0].scenario === 'en-en')?.filter((r) => !r.failed);
      if (!english) continue;
      for (const scenario of ['en-x', 'x-x'] as const) {
        const columns: { language: Language; byItem: Map<string, number> }[] = groups
          .filter((g) => g[0].model === model && g[0].scenario === scenario)
          .map((g) => ({ language: rowLanguage(g[0]), byItem: new Map(g.filter((r) => !r.failed).map((r) => [r.item, r.squad.f1])) }));
        for (const { language, byItem } of columns) {
          const both = english.filter((r) => byItem.has(r.item));
          out.push({ model, scenario, language, ratio: ratio([both.map((r) => byItem.get(r.item)!)], both.map((r) => r.squad.f1), this.options) });
        }
        if (columns.length > 1) {
          const both = english.filter((r) => columns.every((c) => c.byItem.has(r.item)));
          out.push({ model, scenario, language: null, ratio: ratio(columns.map((c) => both.map((r) => c.byItem.get(r.item)!)), both.map((r) => r.squad.f1), this.options) });
        }
      }
    }
    return out;
  }
}

/** Mean over the columns of mean(column)/mean(base), the items resampled together. */
function ratio(columns: readonly number[][], base: readonly number[], options: BootstrapOptions): Estimate {
  const n = base.length;
  if (n === 0) return { value: NaN, low: NaN, high: NaN, n };
  const all = Uint32Array.from(base, (_, i) => i);
  const at = (indices: Uint32Array): number => mean(columns.map((c) => meanOf(c, indices))) / meanOf(base, indices);
  return { value: at(all), n, ...bootstrap(n, at, options) };
}

function means(rows: readonly Row[]): Summary['means'] {
  const groups = new Map<string, Row[]>();
  for (const r of rows) {
    if (r.n === 0) continue;
    const key = `${r.model}|${r.scenario}`;
    groups.set(key, [...(groups.get(key) ?? []), r]);
  }
  return [...groups.values()].map((g) => {
    const m = (s: (typeof SCORES)[number]): number => mean(g.map((r) => r[s].value));
    return { model: g[0].model, scenario: g[0].scenario, languages: g.length, f1: m('f1'), em: m('em'), languageAwareF1: m('languageAwareF1'), languageAwareEm: m('languageAwareEm'), contentF1: m('contentF1') };
  });
}

export function aggregate(design: StudyDesign, results: Iterable<CellResult>, options?: BootstrapOptions): Summary {
  const a = new Aggregator(design, options);
  for (const r of results) a.add(r);
  return a.summary();
}

/** Size against score: one point per model, x = log10 of its parameters. */
export function sizeAgainstScore(summary: Summary, scenario: Scenario): { points: { model: StudyModel; x: number; y: number }[]; relation: Relation | Refused } {
  const points = summary.design.models.flatMap((model) => {
    const m = summary.means.find((x) => x.model === modelKey(model.ref) && x.scenario === scenario);
    return m && model.parameters ? [{ model, x: Math.log10(model.parameters), y: m.f1 }] : [];
  });
  return { points, relation: relate(points.map((p) => p.x), points.map((p) => p.y)) };
}
