/** The small files of an export: summary tables and a methods paragraph to paste into a paper. */
import type { TokenGroup } from '../types';
import { ERROR_TYPES } from '../xmrc/errors';
import { REFERENCE_TEXT } from './words';
import { cautionAbout } from '../probe/caution';
import { distrusted, rowLanguage, type Summary } from './aggregate';
import { strongest, type LayerCurve } from './rows';
import { modelKey } from './design';
import { FEWEST_ITEMS, RESAMPLES } from './stats';

const number = (x: number | null | undefined): string => (x === null || x === undefined || !Number.isFinite(x) ? '' : String(Math.round(x * 1e6) / 1e6));

/** RFC 4180; a leading =, +, - or @ in text gets an apostrophe, so that no spreadsheet runs it. */
export function csv(rows: readonly (string | number | null | undefined)[][]): string {
  const field = (v: string | number | null | undefined): string => {
    if (typeof v !== 'string') return number(v);
    const safe = /^[=+\-@\t\r]/.test(v) && !/^-?\d+(?:\.\d+)?$/.test(v) ? `'${v}` : v;
    return /[",\r\n]/.test(safe) ? `"${safe.replace(/"/g, '""')}"` : safe;
  };
  return rows.map((r) => r.map(field).join(',') + '\r\n').join('');
}

/** Groups that are patched, in the order of the tables. */
const PATCHED: readonly TokenGroup[] = ['question', 'answerSpan', 'readout'];
const snake = (group: TokenGroup): string => (group === 'answerSpan' ? 'answer_span' : group);

export function summaryCsv(summary: Summary): string {
  const estimate = (name: string): string[] => [name, `${name}_low`, `${name}_high`];
  const head = [
    'model', 'scenario', 'language', 'context_language', 'question_language', 'n', 'failed',
    ...estimate('f1'), ...estimate('exact_match'), ...estimate('language_aware_f1'), ...estimate('language_aware_exact_match'), ...estimate('content_only_f1'),
    ...ERROR_TYPES.map((t) => `n_${t}`), 'n_corrected',
    ...estimate('oracle_hit_at_1'), 'oracle_chance', 'oracle_control_hit_at_1',
    'phasing_stability', 'phasing_ordered', 'mrd_question', 'mrd_answer_span',
    ...PATCHED.flatMap((g) => ['layer', 'effect', 'flips'].map((what) => `patch_${snake(g)}_strongest_${what}`)),
    'seconds', 'self_test_failed',
  ];
  return csv([
    head,
    ...summary.rows.map((r) => [
      r.model, r.scenario, rowLanguage(r), r.contextLanguage, r.questionLanguage, r.n, r.failed,
      ...[r.f1, r.em, r.languageAwareF1, r.languageAwareEm, r.contentF1].flatMap((e) => [e.value, e.low, e.high]),
      ...ERROR_TYPES.map((t) => r.errors[t]), r.corrected,
      r.oracle?.hit.value, r.oracle?.hit.low, r.oracle?.hit.high, r.oracle?.chance, r.oracle?.control?.value,
      r.phasing?.stability, r.phasing?.ordered, r.phasing?.question, r.phasing?.answerSpan,
      ...PATCHED.flatMap((g) => {
        const curve = r.patching.find((c) => c.group === g);
        const best = curve && strongest(curve);
        return [best?.layer, best?.effect, best?.flips];
      }),
      r.seconds, r.selfTestFailed ? 1 : 0,
    ]),
  ]);
}

/** What is measured by layer, one line per row, measure and layer; null where nothing is. */
export function layersCsv(summary: Summary): string | null {
  const lines = summary.rows.flatMap((r) => {
    const of = (measure: string, group: TokenGroup, curve: LayerCurve, flips: readonly number[] | null): (string | number | null)[][] =>
      curve.layers.map((layer, k) => [r.model, r.scenario, r.contextLanguage, r.questionLanguage, measure, snake(group), layer, curve.mean[k], curve.median[k], curve.sd[k], curve.n[k], flips?.[k] ?? null]);
    return [...(r.alignment ? of('question_alignment', 'question', r.alignment, null) : []), ...r.patching.flatMap((c) => of('patching_effect', c.group, c, c.flips))];
  });
  if (lines.length === 0) return null;
  return csv([['model', 'scenario', 'context_language', 'question_language', 'measure', 'group', 'layer', 'mean', 'median', 'sd', 'n', 'flips'], ...lines]);
}

export function summaryJson(summary: Summary): string {
  return JSON.stringify(summary, (_, v: unknown) => (typeof v === 'number' && !Number.isFinite(v) ? null : v), 1);
}

export interface Versions {
  app: string;
  ort: string;
  /** As shown to the reader: "WebGPU (Apple M2), WASM". */
  devices: string;
}

/** Names whose definition each measure is: the paper's, a review's, or the lab's. */
export function methods(summary: Summary, versions: Versions): string {
  const { design } = summary;
  const sizes = design.models.map((m) => `${m.title} (${modelKey(m.ref)})`).join(', ');
  const oracle = summary.rows.some((r) => r.oracle);
  const phases = summary.rows.some((r) => r.phasing);
  const caution = cautionAbout(distrusted(summary));
  return [
    ...(caution ? [caution] : []),
    `We evaluated ${sizes} on ${design.items.length} question${design.items.length === 1 ? '' : 's'} of ${design.set.name} (${design.set.license || 'licence not stated'}${design.set.source ? `, ${design.set.source}` : ''})${
      design.seed === null ? '' : `, drawn with seed ${design.seed}`
    }, in the scenarios ${design.scenarios.join(', ')} (context language – question language) with x in ${design.languages.join(', ')}.`,
    `Prompts put the context before the question (${design.prompt.kind ?? 'the model’s own form'}, ${design.prompt.shots ?? 0} examples); answers were decoded greedily, at most ${design.maxTokens} tokens${design.precise ? ', 4-bit products on float activations' : ''}.`,
    REFERENCE_TEXT.scores,
    `Intervals are at 95 %: of exact match and oracle hits Wilson score intervals, of other means percentile bootstrap intervals over items (${RESAMPLES} resamples; none for fewer than ${FEWEST_ITEMS} items). Ratios divide by the model’s own en-en F1 on the same items.`,
    REFERENCE_TEXT.errors(design.correctF1),
    ...(oracle ? [REFERENCE_TEXT.oracle(design.oracleTarget ?? 'answer')] : []),
    ...(phases ? [REFERENCE_TEXT.phasing] : []),
    ...(summary.rows.some((r) => r.alignment) ? [REFERENCE_TEXT.alignment] : []),
    ...(summary.rows.some((r) => r.patching.length > 0) ? [REFERENCE_TEXT.patching] : []),
    `${summary.cells} cells were run${summary.failed > 0 ? `, ${summary.failed} of which could not be answered and are left out of the means` : ''}. Software: Passage Lab ${versions.app}, ONNX Runtime Web ${versions.ort}, ${versions.devices}.`,
  ].join('\n\n');
}
