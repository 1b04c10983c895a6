/**
 * How the next prompt is made: its form, its examples, and what the reader has changed in it. An edit that keeps the passage and
 * the question holds for every question; one that changes them holds for the question it was made for.
 */
import type { Ask, PromptOptions, PromptView } from '../../types';
import { frameOf, isFrame, piecesOfEdited } from '../../xmrc/prompt-edited';
import { getLab, toTrouble, type Trouble } from '../lab-api';
import { items } from './items.svelte';
import { view } from './view.svelte';

interface Texts {
  context: string;
  question: string;
}

class PromptChoice {
  /** null: what the model has. */
  kind: PromptOptions['kind'] | null = $state(null);
  shots = $state(0);
  /** As typed, around these texts; null: as built. */
  edit: (Texts & { text: string }) | null = $state.raw(null);
  /** What the lab makes of it; null while it is not known. */
  seen: PromptView | null = $state.raw(null);
  trouble: Trouble | null = $state.raw(null);
  #turn = 0;

  /** What is being asked about. */
  texts: Texts = $derived.by(() => {
    if (view.mode === 'text') return { ...view.text };
    return { context: items.item?.context[view.contextLanguage] ?? '', question: items.item?.question[view.questionLanguage] ?? '' };
  });
  /** The edit with marks in place of both texts; null when it has changed one of them. */
  frame: string | null = $derived(this.edit && frameOf(this.edit.text, this.edit.context, this.edit.question));
  /** Whether the edit is of use for what is asked now. */
  fits: boolean = $derived(
    this.edit !== null && (this.frame !== null || (this.edit.context === this.texts.context && this.edit.question === this.texts.question)),
  );
  /** The edited prompt, the texts of now filled in; null: as built. */
  text: string | null = $derived(
    this.edit && this.fits ? piecesOfEdited(this.frame ?? this.edit.text, this.texts.context, this.texts.question).text : null,
  );
  /** undefined when nothing was chosen. */
  options: PromptOptions | undefined = $derived.by(() => {
    const options: PromptOptions = {
      ...(this.kind ? { kind: this.kind } : {}),
      ...(this.shots ? { shots: this.shots } : {}),
      ...(this.edit && this.fits ? { text: this.frame ?? this.edit.text } : {}),
    };
    return Object.keys(options).length ? options : undefined;
  });

  write(text: string): void {
    this.edit = { text, ...this.texts };
  }

  /** Another form or number of examples is another prompt: an edit of the old one would hide it. */
  choose(kind: PromptOptions['kind'] | null, shots: number): void {
    this.kind = kind;
    this.shots = shots;
    this.edit = null;
  }

  /** As a record or a link has it; an edit that fits one question only needs that question's texts. */
  take(options: PromptOptions | undefined, texts: Texts | null): void {
    this.choose(options?.kind ?? null, options?.shots ?? 0);
    const text = options?.text;
    if (text !== undefined && (texts || isFrame(text))) this.edit = { text, ...(texts ?? { context: '', question: '' }) };
  }

  /** Asks the lab for the prompt of `ask`; the latest asking counts. */
  async look(ask: Ask): Promise<void> {
    const turn = ++this.#turn;
    try {
      const seen = await (await getLab()).prompt(ask);
      if (turn !== this.#turn) return;
      this.seen = seen;
      this.trouble = null;
    } catch (error) {
      if (turn === this.#turn) this.trouble = toTrouble(error);
    }
  }
}

/** Whether an ask can be asked of other texts too: an edited prompt that was written around one question cannot. */
export function fitsOthers(ask: Ask): boolean {
  const text = ask.prompt?.text;
  return text === undefined || isFrame(text);
}

export const prompt = new PromptChoice();
