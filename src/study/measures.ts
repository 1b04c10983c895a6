/** What a study reads inside the model, cell by cell. */
import type { OpenModel } from '../models/open';
import type { Prompt } from '../models/prompting';
import type { Cell, StudyDesign } from './design';
import type { StudyPort, StudyPrompt } from './runner';

/**
 * Question alignment (the lab's own): per layer, the cosine between the question group's mean under the English question and under
 * this cell's. null where the item has no English question, or its tokens could not be located.
 */
export async function alignment(
  { decoder }: OpenModel,
  cell: Cell,
  design: StudyDesign,
  build: StudyPort['prompt'],
  made: (prompt: StudyPrompt) => Prompt | null,
): Promise<number[] | null> {
  const context = cell.item.context[cell.contextLanguage] ?? '';
  const question = cell.item.question[cell.questionLanguage];
  const english = cell.item.question.en;
  if (question === undefined || english === undefined) return null;
  const mean = async (text: string): Promise<Float64Array[] | null> => {
    const prompt = made(build(context, text, design.prompt));
    const positions = prompt?.tokens.flatMap((t, i) => (t.group === 'question' ? [i] : [])) ?? [];
    if (!prompt || positions.length === 0) return null;
    const { hidden } = await decoder.trace(prompt.ids, { positions });
    return means(hidden, positions.length, decoder.width);
  };
  const here = await mean(question);
  const there = question === english ? here : await mean(english);
  return here && there && here.map((a, l) => cosine(a, there[l]));
}

/** [layers, positions, width] → one mean per layer. */
function means(states: Float32Array, positions: number, width: number): Float64Array[] {
  const layers = states.length / positions / width;
  return Array.from({ length: layers }, (_, l) => {
    const out = new Float64Array(width);
    for (let p = 0; p < positions; p++) for (let d = 0; d < width; d++) out[d] += states[(l * positions + p) * width + d] / positions;
    return out;
  });
}

function cosine(a: Float64Array, b: Float64Array): number {
  let ab = 0;
  let aa = 0;
  let bb = 0;
  for (let i = 0; i < a.length; i++) {
    ab += a[i] * b[i];
    aa += a[i] * a[i];
    bb += b[i] * b[i];
  }
  return aa === 0 || bb === 0 ? 0 : ab / Math.sqrt(aa * bb);
}
