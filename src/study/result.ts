/** One finished cell: what came out and what it is worth. Plain JSON, a few hundred bytes, stored the moment it exists. */
import type { Answer, Device, Item, Language, Scenario, Scores } from '../types';
import { classify, type ErrorType } from '../xmrc/errors';
import { scoreLanguageAware, scoreSquad } from '../xmrc/score';
import { modelKey, type Cell, type StudyDesign } from './design';
import type { OracleSummary } from './oracle';
import type { PatchingSummary } from './patching';

/** What the runner, the only part that knows a model, brings back for a cell. */
export interface CellOutcome {
  prediction: string;
  stop: Answer['stop'];
  promptTokens: number;
  tokens: number;
  ms: number;
  device: Device;
  oracle?: OracleSummary | null;
  /** Cosine of the question means under both question languages, per layer (raw). */
  alignment?: number[] | null;
  /** Major relevance depths, with the number of layers they are a share of. */
  mrd?: { question: number; answerSpan: number; layers: number } | null;
  /** Effect and flip by patched group and layer; null where the paragraph has no other question, or the model no patch inputs. */
  patching?: PatchingSummary | null;
  /** Ids of the generated tokens, by which two runs are compared exactly. */
  tokenIds?: number[];
  /** Set where the model had failed its self-test when it was loaded for this cell. */
  selfTestFailed?: true;
}

export interface CellResult {
  study: string;
  id: string;
  model: string;
  scenario: Scenario;
  contextLanguage: Language;
  questionLanguage: Language;
  item: string;
  paragraph: string;
  prediction: string;
  gold: string;
  stop: Answer['stop'];
  squad: Scores;
  languageAware: Scores;
  contentOnly: Scores;
  error: { type: ErrorType; reason: string; language: Language | null };
  /** A reader's correction of `error.type`; the detector's word stays beside it. */
  corrected?: ErrorType;
  oracle?: OracleSummary | null;
  alignment?: number[] | null;
  mrd?: CellOutcome['mrd'];
  patching?: CellOutcome['patching'];
  tokenIds?: number[];
  selfTestFailed?: CellOutcome['selfTestFailed'];
  promptTokens: number;
  tokens: number;
  ms: number;
  device: Device | null;
  time: string;
  /** Set where the cell could not be run and will not be tried again by itself: a prompt longer than the model's window, … */
  failed?: { code: string; message: string };
}

export function goldOf(item: Item, language: Language): string {
  return item.answer[language]?.text ?? '';
}

function goldsOf(item: Item): Partial<Record<Language, string>> {
  return Object.fromEntries(Object.entries(item.answer).map(([l, a]) => [l, a.text]));
}

function frame(design: StudyDesign, cell: Cell, time: string) {
  return {
    study: design.id,
    id: cell.id,
    model: modelKey(design.models[cell.model].ref),
    scenario: cell.scenario,
    contextLanguage: cell.contextLanguage,
    questionLanguage: cell.questionLanguage,
    item: cell.item.id,
    paragraph: cell.item.paragraph,
    gold: goldOf(cell.item, cell.contextLanguage),
    time,
  };
}

/** Scores and types an outcome. The same outcome always gives the same result. */
export function scoreCell(design: StudyDesign, cell: Cell, outcome: CellOutcome, time: string): CellResult {
  const base = frame(design, cell, time);
  const language = cell.contextLanguage;
  const classified = classify({
    prediction: outcome.prediction,
    gold: base.gold,
    language,
    context: cell.item.context[language],
    question: cell.item.question[cell.questionLanguage],
    golds: goldsOf(cell.item),
    threshold: design.correctF1,
  });
  return {
    ...base,
    prediction: outcome.prediction,
    stop: outcome.stop,
    squad: scoreSquad(outcome.prediction, base.gold),
    languageAware: scoreLanguageAware(outcome.prediction, base.gold, language),
    contentOnly: classified.contentOnly ?? { f1: 0, em: 0 },
    error: { type: classified.type ?? 'content', reason: classified.reason, language: classified.language },
    ...(outcome.oracle !== undefined && { oracle: outcome.oracle }),
    ...(outcome.alignment !== undefined && { alignment: outcome.alignment }),
    ...(outcome.mrd !== undefined && { mrd: outcome.mrd }),
    ...(outcome.patching !== undefined && { patching: outcome.patching }),
    ...(outcome.tokenIds !== undefined && { tokenIds: outcome.tokenIds }),
    ...(outcome.selfTestFailed && { selfTestFailed: outcome.selfTestFailed }),
    promptTokens: outcome.promptTokens,
    tokens: outcome.tokens,
    ms: outcome.ms,
    device: outcome.device,
  };
}

export function failedCell(design: StudyDesign, cell: Cell, failed: { code: string; message: string }, time: string): CellResult {
  const zero: Scores = { f1: 0, em: 0 };
  return {
    ...frame(design, cell, time),
    prediction: '',
    stop: 'cancelled',
    squad: zero,
    languageAware: zero,
    contentOnly: zero,
    error: { type: 'blank', reason: failed.message, language: null },
    promptTokens: 0,
    tokens: 0,
    ms: 0,
    device: null,
    failed,
  };
}

/** The type that counts: the reader's, else the detector's. */
export function errorType(r: CellResult): ErrorType {
  return r.corrected ?? r.error.type;
}

/** Everything of a result that must be the same when the cell is run again: all but when and how fast. */
export function substance(r: CellResult): string {
  return JSON.stringify([r.id, r.prediction, r.gold, r.stop, r.squad, r.languageAware, r.error.type, r.oracle ?? null, r.mrd ?? null, r.tokenIds ?? null, r.failed?.code ?? null]);
}
