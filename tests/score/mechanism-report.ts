/** What docs/mechanism.md says of the figures: tables and, by criteria that are written beside them, whether they show two phases. Pure. */
import type { PatchCurve, PatchGroup } from '../../src/probe/patching';
import type { CellStability, DepthSpread, GroupCurve } from '../../src/probe/relevance-set';
import type { TokenGroup } from '../../src/types';

/** What comes out of the page: arrays as plain lists. */
export type Plain<T> = T extends ArrayLike<number> & { buffer: unknown } ? number[] : T extends object ? { [K in keyof T]: Plain<T[K]> } : T;

export interface Measured {
  title: string;
  layers: number;
  items: number;
  /** Items that could not be measured. */
  missed: number;
  notFinite: number;
  /** Share of them whose whole answer was right. */
  exact: number;
  curves: Plain<GroupCurve>[];
  shares: Plain<GroupCurve>[];
  all: DepthSpread;
  byLanguage: CellStability[];
  /** MRD with the gold token as target. */
  gold: DepthSpread;
  patch: { pairs: number; curves: Plain<PatchCurve>[] };
  across: { pairs: number; curves: Plain<PatchCurve>[] };
}

const f = (v: number, digits = 2): string => (Number.isFinite(v) ? v.toFixed(digits) : 'not finite');
const pm = (mean: number, sd: number, digits = 2): string => `${f(mean, digits)} ± ${f(sd, digits)}`;
const NAMES: Partial<Record<PatchGroup, string>> = { question: 'question', answerSpan: 'answer span', readout: 'readout', context: 'rest of the context', template: 'template' };

export function table(head: string[], rows: string[][]): string[] {
  return [`| ${head.join(' | ')} |`, `|${head.map(() => '---|').join('')}`, ...rows.map((r) => `| ${r.join(' | ')} |`), ''];
}

export function relevanceTable(m: Measured, which: 'curves' | 'shares'): string[] {
  const digits = which === 'curves' ? 2 : 3;
  return table(
    ['group', ...Array.from({ length: m.layers + 1 }, (_, l) => String(l))],
    m[which].map((c) => [NAMES[c.group] ?? c.group, ...c.mean.map((v, l) => pm(v, c.sd[l], digits))]),
  );
}

export function depthTable(models: Measured[]): string[] {
  return table(
    ['', 'MRD(question)', 'MRD(answer span)', 'question before answer span', 'phasing stability', 'items'],
    models.flatMap((m) =>
      ([['first generated token', m.all], ['gold answer’s first token', m.gold]] as const).map(([name, d]) => [
        `${m.title}, ${name}`,
        pm(d.question.mean, d.question.sd),
        pm(d.answer.mean, d.answer.sd),
        `${f(100 * d.stability.ordered, 0)} %`,
        f(d.stability.stability),
        String(d.stability.n),
      ]),
    ),
  );
}

export function languageTable(m: Measured): string[] {
  return table(
    ['question in', 'MRD(question)', 'MRD(answer span)', 'question before answer span', 'phasing stability', 'items'],
    m.byLanguage.map((c) => [
      c.questionLanguage ?? '?',
      pm(c.question.mean, c.question.sd),
      pm(c.answer.mean, c.answer.sd),
      `${f(100 * c.stability.ordered, 0)} %`,
      f(c.stability.stability),
      String(c.stability.n),
    ]),
  );
}

export function patchTable({ curves }: Measured['patch'], layers: number): string[] {
  return table(
    ['group', ...Array.from({ length: layers + 1 }, (_, l) => String(l))],
    curves.flatMap((c) => [
      [`${NAMES[c.group] ?? c.group}: effect`, ...c.mean.map((v, l) => pm(v, c.sd[l]))],
      [`${NAMES[c.group] ?? c.group}: flips`, ...c.flips.map((n, l) => `${n} of ${c.flippable[l]}`)],
    ]),
  );
}

export interface Verdict {
  /** null: cannot be told. */
  relevance: boolean | null;
  patching: boolean | null;
  text: string[];
}

/** The criteria, applied. */
export function verdict(m: Measured): Verdict {
  const { question, answer, stability } = m.all;
  const relevance = stability.n === 0 ? null : question.mean < answer.mean && stability.ordered > 0.5;
  const curve = (group: TokenGroup): number[] | undefined => m.patch.curves.find((c) => c.group === group)?.mean;
  const lastAbove = (values: number[] | undefined): number => (values ? values.findLastIndex((v) => v >= 0.5) : -1);
  const fromAbove = (values: number[] | undefined): number => {
    if (!values) return -1;
    const below = values.findLastIndex((v) => !(v >= 0.5));
    return below + 1 < values.length ? below + 1 : -1;
  };
  const [q, r] = [lastAbove(curve('question')), fromAbove(curve('readout'))];
  // the question must still carry the choice above the embeddings, and hand it over before the last layer
  const patching = m.patch.pairs === 0 ? null : q >= 1 && r > 0 && r > q;
  const gap = q >= 0 && r > 0 ? r - q - 1 : 0;
  const say = (answer: boolean | null): string => (answer === null ? 'cannot be told' : answer ? 'yes' : 'no');
  return {
    relevance,
    patching,
    text: [
      `**${m.title}.** Two phases by relevance: **${say(relevance)}**: MRD(question) is ${pm(question.mean, question.sd)}, MRD(answer span) ${pm(answer.mean, answer.sd)}, and the question comes first in ${f(100 * stability.ordered, 0)} % of ${stability.n} items.`,
      `Two phases by patching: **${say(patching)}**: the question’s states recover at least half of the difference ${q < 0 ? 'at no layer' : `up to layer ${q}`}, the readout’s ${r < 0 ? 'at no layer up to the last' : `from layer ${r} on`}${gap > 0 ? `; at the ${gap} layer${gap === 1 ? '' : 's'} between, neither alone does` : ''}.`,
    ],
  };
}
