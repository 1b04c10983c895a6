/** One measure against another, over models and languages: what each picture shows, and the statistics beside it. */
import type { ScatterData } from '../../charts';
import { rowLanguage, sizeAgainstScore, type Row, type Summary } from '../../study/aggregate';
import { modelKey } from '../../study/design';
import { relateScores, type Estimate, type Refused, type Relation } from '../../study/stats';
import type { Scenario } from '../../types';
import { columnOf, rowsOf, titleOf } from './figures';

export interface RelationFigure {
  name: string;
  title: string;
  data: ScatterData;
  definition: string;
}

const range = (e: Estimate): [number, number] | undefined => (Number.isFinite(e.low) ? [e.low * 100, e.high * 100] : undefined);
const PER_CENT: [number, number] = [0, 100];
const two = (x: number): string => x.toFixed(2).replace('-', '−');

/** Coefficients with their intervals and n, or why there are none. */
export function sayRelation(r: Relation | Refused): string {
  if ('refused' in r) return r.refused;
  const part = (name: string, value: number, { low, high }: { low: number; high: number }): string => `${name} ${two(value)} (${two(low)} to ${two(high)})`;
  return `${part('Pearson', r.pearson, r.pearsonInterval)}, ${part('Spearman', r.spearman, r.spearmanInterval)}, n = ${r.n}`;
}

/** What is said of two scores in per cent, and whether a line is drawn. */
function related(points: ScatterData['points']): Pick<ScatterData, 'note' | 'line'> {
  const relation = relateScores(points.map((p) => p.x / 100), points.map((p) => p.y / 100), ['x', 'y']);
  return { note: sayRelation(relation), line: !('refused' in relation) };
}

/** Those that there is something to draw of. */
export function relations(summary: Summary, scenario: Scenario): RelationFigure[] {
  return [oracleFigure(summary), ...pairFigures(summary, scenario), sizeFigure(summary, scenario), stabilityFigure(summary)].filter((f) => f !== null);
}

function oracleFigure(summary: Summary): RelationFigure | null {
  const points = summary.rows
    .filter((r) => r.oracle && r.n > 0)
    .map((r) => ({
      x: r.oracle!.hit.value * 100, xInterval: range(r.oracle!.hit), y: r.f1.value * 100, yInterval: range(r.f1), label: `${r.contextLanguage}-${r.questionLanguage}`, language: rowLanguage(r), series: titleOf(summary, r.model),
    }));
  if (points.length === 0) return null;
  return {
    name: 'oracle',
    title: 'Estimated oracle against the actual score',
    data: { points, x: 'oracle hit@1, %', y: 'F1, %', limits: { x: PER_CENT, y: PER_CENT }, ...related(points) },
    definition:
      'One point per model, scenario and language, with its intervals. The oracle retrieves the sentence whose absence costs the answer most (the lab’s own form); chance and the control with the question swapped are in the table above.',
  };
}

/** Base against post-trained siblings, one point per language. */
function pairFigures(summary: Summary, scenario: Scenario): RelationFigure[] {
  const { models } = summary.design;
  const of = (model: string, like: Row): Row | undefined =>
    rowsOf(summary, scenario).find((r) => r.model === model && r.contextLanguage === like.contextLanguage && r.questionLanguage === like.questionLanguage);
  return models.flatMap((base) => {
    if (base.stage !== 'base' || !base.pair) return [];
    return models
      .filter((m) => m.stage === 'post-trained' && m.pair === base.pair)
      .flatMap((post): RelationFigure[] => {
        const points = rowsOf(summary, scenario).flatMap((r) => {
          const after = r.model === modelKey(base.ref) && r.n > 0 ? of(modelKey(post.ref), r) : undefined;
          return after && after.n > 0 ? [{ x: r.f1.value * 100, xInterval: range(r.f1), y: after.f1.value * 100, yInterval: range(after.f1), label: columnOf(r), language: rowLanguage(r) }] : [];
        });
        if (points.length === 0) return [];
        return [
          {
            name: `pair-${base.title}-${post.title}`,
            title: `Base against post-trained, ${scenario}`,
            data: { points, x: `${base.title}: F1, %`, y: `${post.title}: F1, %`, limits: { x: PER_CENT, y: PER_CENT }, ...related(points) },
            definition: 'One point per language, with its intervals; above the diagonal, post-training helped.',
          },
        ];
      });
  });
}

function sizeFigure(summary: Summary, scenario: Scenario): RelationFigure | null {
  const { points, relation } = sizeAgainstScore(summary, scenario);
  if (new Set(points.map((p) => p.x)).size < 2) return null;
  return {
    name: 'size',
    title: `Size against score, ${scenario}`,
    data: {
      points: points.map((p) => ({ x: p.x, y: p.y * 100, label: p.model.title, series: p.model.stage ?? 'unknown stage' })),
      x: 'log₁₀ of parameters',
      y: 'mean F1 over languages, %',
      limits: { y: PER_CENT },
      note: sayRelation(relation),
      line: !('refused' in relation),
    },
    definition: 'One point per model; base and post-trained models are drawn apart.',
  };
}

function stabilityFigure(summary: Summary): RelationFigure | null {
  const { points, relation, within } = summary.stability;
  if (points.length === 0) return null;
  const apart = within.map((w) => `within ${titleOf(summary, w.model)}: ${sayRelation(w.relation)}`);
  return {
    name: 'stability',
    title: 'Phasing stability against score',
    data: {
      points: points.map((p) => ({ x: p.x, y: p.y * 100, label: p.label, series: titleOf(summary, p.model) })),
      x: 'phasing stability',
      y: 'F1, %',
      limits: { x: [0, 1], y: PER_CENT },
      note: apart.length > 0 ? [`all points: ${sayRelation(relation)}`, ...apart].join('; ') : sayRelation(relation),
      line: !('refused' in relation),
    },
    definition:
      'Phasing stability is the lab’s own formula: 1 − (sd(MRD question / L) + sd(MRD answer / L)) over items. Models differ in more than their stability, so each is also told of by itself. The line is least squares over all points; there is none for fewer than five, nor where fewer than five lie between 0 and 100 %.',
  };
}
