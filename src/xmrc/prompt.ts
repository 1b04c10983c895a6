/**
 * The prompts. The context always comes before the question: its key/value cache is then the same for every question and
 * every question language on it, and is computed once.
 *
 * Nothing here knows a tokenizer or a chat template: a prompt is an ordered list of pieces, each with its token group, and for
 * chat models the turns that the model's own template wraps.
 */
import type { Language, PromptOptions } from '../types';
import { cpLength } from './codepoints';
import { piecesOfEdited } from './prompt-edited';
import type { BuiltPrompt, PieceGroup, PromptPiece, Range, Turn } from './prompt-types';

export type { BuiltPrompt, PieceGroup, PromptPiece, Range, Turn } from './prompt-types';

export interface Shot {
  context: string;
  question: string;
  answer: string;
}

export interface PromptSpec {
  kind: 'chat' | 'completion';
  /** Number of examples before the item, 0–5 unless `examples` brings more. */
  shots?: number;
  /** The examples to use; default `EXAMPLES`. */
  examples?: readonly Shot[];
  /** Chat only: put `INSTRUCTION` in front. True for hub instruct models, false for the bundled ones, which were trained on the bare form. */
  instruct?: boolean;
  /** Completion only: language of the labels. Default English, so that nothing but the question changes between question languages. */
  language?: Language;
  /** Completion only: 'labelled' (default) or 'bare', the form the bundled base model was trained on: context, blank line, question. */
  form?: 'labelled' | 'bare';
}

/** Between context and question, and between the instruction and the context. */
export const SEPARATOR = '\n\n';

/** Ours. In English for every language, so that it is the same tokens everywhere. */
export const INSTRUCTION =
  'Answer the question about the text below. Reply with the shortest span of the text that answers it, copied word for word in the language of the text, and nothing else.';

/** Labels of the plain completion prompt, after lm-evaluation-harness' XQuAD tasks. */
export const LABELS: Record<Language, { context: string; question: string; answer: string }> = {
  en: { context: 'Context:', question: 'Question:', answer: 'Answer:' },
  de: { context: 'Kontext:', question: 'Frage:', answer: 'Antwort:' },
  es: { context: 'Contexto:', question: 'Pregunta:', answer: 'Respuesta:' },
  vi: { context: 'Bối cảnh:', question: 'Câu hỏi:', answer: 'Trả lời:' },
  zh: { context: '语境:', question: '问题:', answer: '回答:' },
  hi: { context: 'प्रसंग:', question: 'प्रश्न:', answer: 'उत्तर:' },
  ar: { context: 'سياق:', question: 'سؤال:', answer: 'إجابة:' },
  el: { context: 'Συμφραζόμενα:', question: 'Ερώτηση:', answer: 'Απάντηση:' },
  ro: { context: 'Context:', question: 'Întrebare:', answer: 'Răspuns:' },
  ru: { context: 'Контекст:', question: 'Вопрос:', answer: 'Ответ:' },
  th: { context: 'บริบท:', question: 'คำถาม:', answer: 'คำตอบ:' },
  tr: { context: 'Bağlam:', question: 'Soru:', answer: 'Cevap:' },
};

/** Five short examples of our own, in English for every scenario: they show the form of an answer and leak no test item. */
export const EXAMPLES: readonly Shot[] = [
  {
    context: 'The lighthouse at Port Evely was built in 1871 by the engineer Ida Morrow. It stands 42 metres tall and was painted red in 1920.',
    question: 'Who built the lighthouse?',
    answer: 'Ida Morrow',
  },
  {
    context: 'Basil grows best in warm soil. Gardeners usually sow it in May, after the last frost, and harvest the leaves all summer.',
    question: 'When is basil usually sown?',
    answer: 'in May',
  },
  {
    context: 'The museum keeps about 3,000 clocks. Most of them were given by a watchmaker from Lund, who had no children.',
    question: 'How many clocks does the museum keep?',
    answer: 'about 3,000',
  },
  {
    context: 'When the river froze, the villagers crossed it on foot and traded wool for salt with the people of the northern bank.',
    question: 'What did the villagers trade wool for?',
    answer: 'salt',
  },
  {
    context: 'Anna moved to Turin because the university there taught crystal chemistry. Her brother stayed in Genoa and ran the bakery.',
    question: 'Where did the brother stay?',
    answer: 'Genoa',
  },
];

export function buildPrompt(context: string, question: string, spec: PromptSpec): BuiltPrompt {
  const examples = chooseExamples(spec);
  return spec.kind === 'chat' ? chat(context, question, spec, examples) : completion(context, question, spec, examples);
}

function chooseExamples(spec: PromptSpec): readonly Shot[] {
  const shots = spec.shots ?? 0;
  const pool = spec.examples ?? EXAMPLES;
  if (!Number.isInteger(shots) || shots < 0) throw new RangeError(`shots must be a whole number from 0 up, not ${shots}`);
  if (shots > pool.length) throw new RangeError(`${shots} examples asked for, ${pool.length} at hand`);
  return pool.slice(0, shots);
}

function chat(context: string, question: string, spec: PromptSpec, examples: readonly Shot[]): BuiltPrompt {
  const lead = spec.instruct ? INSTRUCTION + SEPARATOR : '';
  const turns: Turn[] = [];
  for (const shot of examples) {
    turns.push({ role: 'user', content: lead + shot.context + SEPARATOR + shot.question }, { role: 'assistant', content: shot.answer });
  }
  const built = join('chat', [
    { text: lead, group: 'template' },
    { text: context, group: 'context' },
    { text: SEPARATOR, group: 'template' },
    { text: question, group: 'question' },
  ]);
  built.turns = [...turns, { role: 'user', content: built.text }];
  return built;
}

function completion(context: string, question: string, spec: PromptSpec, examples: readonly Shot[]): BuiltPrompt {
  const labels = LABELS[spec.language ?? 'en'];
  const bare = spec.form === 'bare';
  const head = bare ? '' : `${labels.context} `;
  const middle = bare ? SEPARATOR : `${SEPARATOR}${labels.question} `;
  const tail = bare ? SEPARATOR : `${SEPARATOR}${labels.answer}`;
  const shots = examples.map((s) => `${head}${s.context}${middle}${s.question}${tail}${bare ? '' : ' '}${s.answer}${SEPARATOR}`).join('');
  const built = join('completion', [
    { text: shots + head, group: 'template' },
    { text: context, group: 'context' },
    { text: middle, group: 'template' },
    { text: question, group: 'question' },
    { text: tail, group: 'template' },
  ]);
  built.stop = ['\n'];
  return built;
}

function join(kind: BuiltPrompt['kind'], all: PromptPiece[]): BuiltPrompt {
  const pieces = all.filter((p) => p.text !== '');
  const range = (group: PieceGroup): Range => {
    let start = 0;
    for (const p of pieces) {
      const length = cpLength(p.text);
      if (p.group === group) return { start, end: start + length };
      start += length;
    }
    return { start, end: start };
  };
  return { kind, pieces, text: pieces.map((p) => p.text).join(''), context: range('context'), question: range('question'), turns: null, stop: [] };
}

/** What `Ask.prompt` asks for, on a model of which these facts are known. */
export function promptFor(
  context: string,
  question: string,
  options: PromptOptions | undefined,
  model: { hasChatTemplate: boolean; bundled: boolean },
): BuiltPrompt {
  const kind = options?.kind ?? (model.hasChatTemplate ? 'chat' : 'completion');
  const built = buildPrompt(context, question, {
    kind,
    shots: options?.shots ?? 0,
    instruct: !model.bundled,
    form: model.bundled ? 'bare' : 'labelled',
  });
  if (options?.text === undefined) return built;
  const edited = piecesOfEdited(options.text, context, question, kind);
  // A chat's examples are turns of their own, which an edit of the last one leaves alone; a completion's stand in the text.
  if (edited.turns && built.turns) edited.turns = [...built.turns.slice(0, -1), ...edited.turns];
  return edited;
}
