/** From a study's summary to its pictures. */
import {
  errorStack, layerCurves, lightTheme, matrix, patchCurves, scatterFit, standalone,
  type Chart, type ChartOptions, type ErrorStackData, type LayerCurvesData, type MatrixData, type PatchCurvesData, type ScatterData,
} from '../../charts';
import { rowLanguage, sizeAgainstScore, type Row, type Summary } from '../../study/aggregate';
import { modelKey } from '../../study/design';
import type { PatchedCurve } from '../../study/rows';
import type { Estimate } from '../../study/stats';
import { LANGUAGES, type Scenario } from '../../types';
import { english } from '../words';

declare const __APP_VERSION__: string;
declare const __ORT_VERSION__: string;
/** Of this build, for the methods text. */
export const VERSIONS = { app: __APP_VERSION__, ort: __ORT_VERSION__ };

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

const columnOf = (r: Row): string => (r.scenario === 'x-y' ? `${r.contextLanguage}-${r.questionLanguage}` : rowLanguage(r));

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
        return e && e.n > 0 ? { value: e.value * 100, low: e.low * 100, high: e.high * 100, n: e.n } : null;
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

/** Patching of a model by layer and group, the languages of the scenario together (items weigh alike); null where it was not measured. */
export function patchingData(summary: Summary, scenario: Scenario, model: string): { effect: PatchCurvesData; flips: LayerCurvesData } | null {
  const rows = rowsOf(summary, scenario).filter((r) => r.model === model && r.patching.length > 0);
  if (rows.length === 0) return null;
  const { layers } = rows[0].patching[0];
  const over = (curves: readonly PatchedCurve[], of: 'mean' | 'flips'): number[] =>
    layers.map((_, k) => {
      const own = curves.filter((c) => Number.isFinite(c[of][k]));
      return own.reduce((sum, c) => sum + c[of][k] * c.n[k], 0) / own.reduce((sum, c) => sum + c.n[k], 0);
    });
  const groups = [...new Set(rows.flatMap((r) => r.patching.map((c) => c.group)))].map((group) => ({ group, curves: rows.flatMap((r) => r.patching.filter((c) => c.group === group)) }));
  return {
    effect: { layers, series: groups.map(({ group, curves }) => ({ group, name: patchName(group), effect: over(curves, 'mean') })) },
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

/** Relations between measures; each is drawn where there is something to draw. */
export function relations(summary: Summary, scenario: Scenario): { name: string; title: string; data: ScatterData; definition: string }[] {
  const out: ReturnType<typeof relations> = [];
  const oracle = summary.rows.filter((r) => r.oracle && r.n > 0);
  if (oracle.length > 0)
    out.push({
      name: 'oracle',
      title: 'Estimated oracle against the actual score',
      data: {
        points: oracle.map((r) => ({ x: r.oracle!.hit.value * 100, y: r.f1.value * 100, label: columnOf(r), language: rowLanguage(r), series: titleOf(summary, r.model) })),
        x: 'oracle hit@1, %',
        y: 'F1, %',
      },
      definition: 'One point per model, scenario and language. The oracle retrieves the sentence whose absence costs the answer most (the lab’s own form); chance is in the table below.',
    });
  const size = sizeAgainstScore(summary, scenario);
  if (new Set(size.points.map((p) => p.x)).size > 1)
    out.push({
      name: 'size',
      title: `Size against score, ${scenario}`,
      data: { points: size.points.map((p) => ({ x: p.x, y: p.y * 100, label: p.model.title, series: p.model.stage ?? '' })), x: 'log₁₀ of parameters', y: 'mean F1 over languages, %' },
      definition: 'One point per model; base and post-trained models are drawn apart.',
    });
  if (summary.stability.points.length > 0) {
    const r = summary.stability.relation;
    const note = 'refused' in r ? r.refused : `Pearson ${r.pearson.toFixed(2)} (${r.pearsonInterval.low.toFixed(2)} to ${r.pearsonInterval.high.toFixed(2)}), Spearman ${r.spearman.toFixed(2)}, n = ${r.n}`;
    out.push({
      name: 'stability',
      title: 'Phasing stability against score',
      data: { points: summary.stability.points.map((p) => ({ x: p.x, y: p.y * 100, label: p.label, series: titleOf(summary, p.model) })), x: 'phasing stability', y: 'F1, %', note },
      definition: 'Phasing stability is the lab’s own formula: 1 − (sd(MRD question / L) + sd(MRD answer / L)) over items.',
    });
  }
  return out;
}

/** The figures of an export, as files of their own. */
export function figuresOf(summary: Summary): Record<string, string> {
  const options: ChartOptions = { width: 900, theme: lightTheme };
  const out: Record<string, string> = {};
  const put = (name: string, chart: Chart): void => void (out[`${name}.svg`] = standalone(chart, lightTheme));
  for (const scenario of scenariosOf(summary)) {
    for (const m of ['f1', 'languageAwareF1'] as const) put(`${scenario}-${m}`, matrix(matrixData(summary, scenario, m), options));
    for (const m of summary.design.models) {
      const data = errorData(summary, scenario, modelKey(m.ref));
      if (data.rows.length > 0) put(`${scenario}-errors-${m.title}`, errorStack(data, options));
      const alignment = alignmentData(summary, scenario, modelKey(m.ref));
      if (alignment) put(`${scenario}-alignment-${m.title}`, layerCurves(alignment, options));
      const patching = patchingData(summary, scenario, modelKey(m.ref));
      if (patching) {
        put(`${scenario}-patching-effect-${m.title}`, patchCurves(patching.effect, options));
        put(`${scenario}-patching-flips-${m.title}`, layerCurves(patching.flips, options));
      }
    }
  }
  for (const r of relations(summary, scenariosOf(summary)[0] ?? 'en-en')) put(r.name, scatterFit(r.data, options));
  return out;
}

export function duration(seconds: number): string {
  if (!Number.isFinite(seconds)) return 'unknown';
  if (seconds < 90) return `${Math.max(1, Math.round(seconds))} s`;
  if (seconds < 5400) return `${Math.round(seconds / 60)} min`;
  return `${(seconds / 3600).toFixed(1)} h`;
}
