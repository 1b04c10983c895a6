/**
 * What a study asks: models × scenarios × languages × items, one prompt form, and the measures to take. A design is plain JSON;
 * the same design gives the same cells with the same ids in the same order on every machine.
 */
import type { Item, Language, ModelRef, PromptOptions, Scenario } from '../types';

export const MEASURES = ['answer', 'oracle', 'alignment', 'relevance', 'patching'] as const;
/** `answer` brings scores and error types and is always taken. */
export type Measure = (typeof MEASURES)[number];

export interface StudyModel {
  ref: ModelRef;
  title: string;
  /** For size against score, base against post-trained; null where unknown. */
  parameters?: number | null;
  stage?: 'base' | 'checkpoint' | 'post-trained';
  pair?: string | null;
}

export interface StudyDesign {
  version: 1;
  /** Of this run of the study; chosen once, e.g. by crypto.randomUUID. */
  id: string;
  name: string;
  created: string;
  models: StudyModel[];
  /** The set and where it came from. */
  set: { name: string; license: string; source?: string; sha256?: string };
  /** The chosen ids, in the set's order, and the seed they were drawn with (null: chosen by hand, or all). */
  items: string[];
  seed: number | null;
  scenarios: Scenario[];
  /** What x (and y) run over; English is always there for en-en, en-x and x-en. */
  languages: Language[];
  prompt: Pick<PromptOptions, 'kind' | 'shots'>;
  maxTokens: number;
  /** 4-bit products on float activations: slower, and equal on every device. Other files are not touched by it. */
  precise?: boolean;
  measures: Measure[];
  /** F1 from which an answer counts as correct when errors are typed. */
  correctF1: number;
  /** What the oracle teacher-forces. */
  oracleTarget?: 'answer' | 'gold';
}

export interface Pair {
  scenario: Scenario;
  contextLanguage: Language;
  questionLanguage: Language;
}

export interface Cell extends Pair {
  /** Unique in the study and the same on every machine. */
  id: string;
  /** Position in the order of work, from 0. */
  index: number;
  /** Index into `design.models`. */
  model: number;
  item: Item;
}

export function scenarioOf(contextLanguage: Language, questionLanguage: Language): Scenario {
  if (contextLanguage === 'en') return questionLanguage === 'en' ? 'en-en' : 'en-x';
  if (contextLanguage === questionLanguage) return 'x-x';
  return questionLanguage === 'en' ? 'x-en' : 'x-y';
}

/** Language pairs of a design, by context language and then question language: all questions on one context stand together. */
export function pairs(design: Pick<StudyDesign, 'scenarios' | 'languages'>): Pair[] {
  const languages: Language[] = ['en', ...design.languages.filter((l) => l !== 'en')];
  const wanted = new Set(design.scenarios);
  return languages.flatMap((contextLanguage) =>
    languages
      .map((questionLanguage) => ({ scenario: scenarioOf(contextLanguage, questionLanguage), contextLanguage, questionLanguage }))
      .filter((p) => wanted.has(p.scenario)),
  );
}

/** Model reference with revision and dtype: two dtypes of one model are two models. */
export function modelKey(ref: ModelRef): string {
  return `${ref.id}${ref.revision ? `@${ref.revision}` : ''}${ref.dtype ? `#${ref.dtype}` : ''}`;
}

export function cellId(model: ModelRef, pair: Pick<Pair, 'contextLanguage' | 'questionLanguage'>, item: string): string {
  return `${modelKey(model)}|${pair.contextLanguage}|${pair.questionLanguage}|${item}`;
}

/**
 * All cells in the order of work: model, context language, paragraph, item, question language. Neighbours share the model and,
 * within a paragraph, the whole prefix up to the question. Items that lack a language of a pair give no cell there.
 */
export function cells(design: StudyDesign, items: readonly Item[]): Cell[] {
  const byId = new Map(items.map((i) => [i.id, i]));
  const paragraphs = new Map<string, Item[]>();
  for (const id of design.items) {
    const item = byId.get(id);
    if (!item) throw new Error(`the set ${design.set.name} has no item ${id}`);
    const list = paragraphs.get(item.paragraph);
    if (list) list.push(item);
    else paragraphs.set(item.paragraph, [item]);
  }
  const byContext = groupPairs(pairs(design));
  const out: Cell[] = [];
  design.models.forEach((model, m) => {
    for (const [contextLanguage, questions] of byContext) {
      for (const list of paragraphs.values()) {
        for (const item of list) {
          if (item.context[contextLanguage] === undefined) continue;
          for (const pair of questions) {
            if (item.question[pair.questionLanguage] === undefined) continue;
            out.push({ ...pair, id: cellId(model.ref, pair, item.id), index: out.length, model: m, item });
          }
        }
      }
    }
  });
  return out;
}

function groupPairs(all: readonly Pair[]): Map<Language, Pair[]> {
  const out = new Map<Language, Pair[]>();
  for (const p of all) out.set(p.contextLanguage, [...(out.get(p.contextLanguage) ?? []), p]);
  return out;
}

/** What is wrong with a design, in words; empty when nothing is. */
export function designProblems(design: StudyDesign): string[] {
  const out: string[] = [];
  if (design.version !== 1) out.push(`this is a design of version ${String(design.version)}; version 1 is read`);
  if (design.models.length === 0) out.push('choose at least one model');
  if (design.items.length === 0) out.push('choose at least one item');
  if (design.scenarios.length === 0) out.push('choose at least one scenario');
  else if (pairs(design).length === 0) out.push(`the scenarios ${design.scenarios.join(', ')} need at least one language besides English`);
  if (new Set(design.items).size !== design.items.length) out.push('an item is chosen twice');
  if (new Set(design.models.map((m) => modelKey(m.ref))).size !== design.models.length) out.push('a model is chosen twice');
  if (!(design.correctF1 > 0 && design.correctF1 <= 1)) out.push('the F1 from which an answer is correct must lie between 0 and 1');
  if (!(Number.isInteger(design.maxTokens) && design.maxTokens > 0)) out.push('the most tokens of an answer must be a whole number above 0');
  return out;
}

/** Studies whose answers may stand in one table: everything that changes an answer is the same. Null, or why not. */
export function incompatible(a: StudyDesign, b: StudyDesign): string | null {
  if (a.set.name !== b.set.name) return `different sets: ${a.set.name} and ${b.set.name}`;
  if (a.set.sha256 && b.set.sha256 && a.set.sha256 !== b.set.sha256) return `different versions of the set ${a.set.name}`;
  if ((a.prompt.kind ?? null) !== (b.prompt.kind ?? null) || (a.prompt.shots ?? 0) !== (b.prompt.shots ?? 0)) return 'different prompts or numbers of examples';
  if (a.maxTokens !== b.maxTokens) return `answers of at most ${a.maxTokens} and ${b.maxTokens} tokens`;
  if ((a.precise ?? false) !== (b.precise ?? false)) return 'precise 4-bit products in one of them only';
  if (a.correctF1 !== b.correctF1) return `different F1 thresholds: ${a.correctF1} and ${b.correctF1}`;
  if ((a.oracleTarget ?? 'answer') !== (b.oracleTarget ?? 'answer')) return 'different oracle targets';
  return null;
}

/** The design of two studies merged: a's, with b's models, items, languages, scenarios and measures added. */
export function union(a: StudyDesign, b: StudyDesign): StudyDesign {
  const keys = new Set(a.models.map((m) => modelKey(m.ref)));
  const add = <T>(x: readonly T[], y: readonly T[]): T[] => [...new Set([...x, ...y])];
  return {
    ...a,
    models: [...a.models, ...b.models.filter((m) => !keys.has(modelKey(m.ref)))],
    items: add(a.items, b.items),
    seed: a.seed === b.seed ? a.seed : null,
    scenarios: add(a.scenarios, b.scenarios),
    languages: add(a.languages, b.languages),
    measures: add(a.measures, b.measures),
  };
}
