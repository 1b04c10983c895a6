/** From a study's summary to its pictures. */
import type { ErrorStackData, LayerCurvesData, MatrixData, PatchCurvesData } from '../../charts';
import { rowLanguage, type Row, type Summary } from '../../study/aggregate';
import { modelKey } from '../../study/design';
import type { PatchedCurve } from '../../study/rows';
import type { Estimate } from '../../study/stats';
import { LANGUAGES, type Scenario } from '../../types';
import { english } from '../words';

export const MEASURES = {
  f1: { title: 'F1 (SQuAD v1.1)', of: (r: Row): Estimate | null => r.f1 },
  em: { title: 'Exact match (SQuAD v1.1)', of: (r: Row): Estimate | null => r.em },
  languageAwareF1: { title: 'F1 (language-aware)', of: (r: Row): Estimate | null => r.languageAwareF1 },
  languageAwareEm: { title: 'Exact match (language-aware)', of: (r: Row): Estimate | null => r.languageAwareEm },
  contentF1: { title: 'F1 (content only)', of: (r: Row): Estimate | null => r.contentF1 },
  oracle: { title: 'Estimated oracle, hit@1', of: (r: Row): Estimate | null => r.oracle?.hit ?? null },
} as const;
export type MeasureName = keyof typeof MEASURES;

export const titleOf = (summary: Summary, key: string): string => summary.design.models.find((m) => modelKey(m.ref) === key)?.title ?? key;

export function scenariosOf(summary: Summary): Scenario[] {
  return summary.design.scenarios.filter((s) => summary.rows.some((r) => r.scenario === s));
}

/** x-y has two languages per row; it is shown by the passage's with the mean left out: only its own table has all pairs. */
export function rowsOf(summary: Summary, scenario: Scenario): Row[] {
  return summary.rows.filter((r) => r.scenario === scenario);
}

export const columnOf = (r: Row): string => (r.scenario === 'x-y' ? `${r.contextLanguage}-${r.questionLanguage}` : rowLanguage(r));

export function matrixData(summary: Summary, scenario: Scenario, measure: MeasureName): MatrixData {
  const rows = rowsOf(summary, scenario);
  const models = [...new Set(rows.map((r) => r.model))];
  const order = (c: string): number => LANGUAGES.indexOf(c as (typeof LANGUAGES)[number]);
  const columns = [...new Set(rows.map(columnOf))].sort((a, b) => order(a) - order(b));
  const { of, title } = MEASURES[measure];
  return {
    rows: models.map((m) => titleOf(summary, m)),
    columns,
    cells: models.map((m) =>
      columns.map((c) => {
        const row = rows.find((r) => r.model === m && columnOf(r) === c);
        const e = row && of(row);
        if (!e || e.n === 0) return null;
        return { value: e.value * 100, n: e.n, ...(Number.isFinite(e.low) ? { low: e.low * 100, high: e.high * 100 } : {}) };
      }),
    ),
    measure: `${title}, ${scenario}`,
    domain: [0, 100],
    format: (v) => v.toFixed(0),
  };
}

export function errorData(summary: Summary, scenario: Scenario, model: string): ErrorStackData {
  return {
    rows: rowsOf(summary, scenario)
      .filter((r) => r.model === model && r.n > 0)
      .map((r) => ({ name: r.scenario === 'x-y' ? columnOf(r) : english(rowLanguage(r)), language: rowLanguage(r), counts: r.errors })),
  };
}

/** Question alignment of a model by layer, one curve per language; null where it was not measured. English against itself is 1 and left out. */
export function alignmentData(summary: Summary, scenario: Scenario, model: string): LayerCurvesData | null {
  const rows = rowsOf(summary, scenario).filter((r) => r.model === model && r.alignment && r.questionLanguage !== 'en');
  if (rows.length === 0) return null;
  return {
    series: rows.map((r) => ({ name: r.scenario === 'x-y' ? columnOf(r) : english(rowLanguage(r)), language: rowLanguage(r), values: r.alignment!.mean })),
    layers: rows[0].alignment!.layers,
    y: 'Cosine of the question’s mean with its English twin’s',
  };
}

/** Patching of a model by layer and group: medians over items, averaged over the languages of the scenario; null where it was not measured. */
export function patchingData(summary: Summary, scenario: Scenario, model: string): { effect: PatchCurvesData; flips: LayerCurvesData } | null {
  const rows = rowsOf(summary, scenario).filter((r) => r.model === model && r.patching.length > 0);
  if (rows.length === 0) return null;
  const { layers } = rows[0].patching[0];
  const over = (curves: readonly PatchedCurve[], of: 'median' | 'flips'): number[] =>
    layers.map((_, k) => {
      const own = curves.filter((c) => Number.isFinite(c[of][k]));
      return own.reduce((sum, c) => sum + c[of][k] * c.n[k], 0) / own.reduce((sum, c) => sum + c.n[k], 0);
    });
  const groups = [...new Set(rows.flatMap((r) => r.patching.map((c) => c.group)))].map((group) => ({ group, curves: rows.flatMap((r) => r.patching.filter((c) => c.group === group)) }));
  return {
    effect: { layers, series: groups.map(({ group, curves }) => ({ group, name: patchName(group), effect: over(curves, 'median') })) },
    flips: {
      layers,
      series: groups.map(({ group, curves }) => ({ group, name: patchName(group), values: over(curves, 'flips').map((x) => x * 100) })),
      y: 'Answers turned to the clean run’s, %',
      domain: [0, 100],
      format: (v) => v.toFixed(0),
    },
  };
}

export const patchName = (group: string): string => (group === 'answerSpan' ? 'answer span' : group);

export function duration(seconds: number): string {
  if (!Number.isFinite(seconds)) return 'unknown';
  if (seconds < 90) return `${Math.max(1, Math.round(seconds))} s`;
  if (seconds < 5400) return `${Math.round(seconds / 60)} min`;
  return `${(seconds / 3600).toFixed(1)} h`;
}
