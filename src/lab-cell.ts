/** What a cell of a study takes from the mechanism of the model that answers it: relevance depths and patching. */
import type { Mechanism, MechanismAsk } from './lab-mechanism';
import { LabError } from './runtime/errors';
import type { Cell, StudyDesign } from './study/design';
import { summarisePatching } from './study/patching';
import type { CellOutcome } from './study/result';
import type { Answer, Ask, Item } from './types';

/** What the lab lends for it. */
export interface CellBench {
  mechanism(): Mechanism;
  ready(ask: Ask): Promise<MechanismAsk>;
}

/** @param answer the ids the model wrote, and the other question of the paragraph (null: there is none) */
export async function mechanismMeasures(
  { mechanism, ready }: CellBench,
  cell: Cell,
  answer: { ids: readonly number[]; other: Item | null },
  design: StudyDesign,
  signal: AbortSignal,
): Promise<Partial<CellOutcome>> {
  const { item, contextLanguage, questionLanguage } = cell;
  const askOf = (asked: Item): Ask => ({ item: asked, contextLanguage, questionLanguage, prompt: design.prompt });
  const out: Partial<CellOutcome> = {};
  if (design.measures.includes('relevance') && answer.ids.length > 0) {
    const tokens = answer.ids.map((id) => ({ id, text: '', group: 'answer' as const, start: 0, end: 0, special: false }));
    out.mrd = await unless(async () => {
      const asked = { ...(await ready(askOf(item))), answer: () => Promise.resolve({ ...NO_ANSWER, tokens }) };
      const { phases } = await mechanism().relevance(asked, {}, { signal });
      return phases.question === null || phases.answer === null ? null : { question: phases.question, answerSpan: phases.answer, layers: phases.layers };
    });
  }
  if (design.measures.includes('patching')) {
    const { other } = answer;
    out.patching = other
      ? await unless(async () => {
          const corrupted = await ready(askOf({ ...other, context: item.context }));
          const clean = askOf(item);
          const found = await mechanism().patch(corrupted, await ready(clean), { clean }, { signal });
          return summarisePatching(found, other.id, found.contrast);
        })
      : null;
  }
  return out;
}

/** null where this model or prompt has no such measure: an answer is worth keeping without it. */
async function unless<T>(measure: () => Promise<T>): Promise<T | null> {
  try {
    return await measure();
  } catch (error) {
    if (error instanceof LabError && (error.code === 'unsupported-graph' || error.code === 'too-long')) return null;
    throw error;
  }
}

const NO_ANSWER: Answer = { text: '', tokens: [], stop: 'length', gold: null, squad: null, languageAware: null, timing: { prefillMs: 0, decodeMs: 0, tokensPerSecond: 0 } };
