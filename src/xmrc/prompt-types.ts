/** What a prompt is made of. Types only. */
import type { TokenGroup } from '../types';

export type PieceGroup = Extract<TokenGroup, 'template' | 'context' | 'question'>;
export interface PromptPiece {
  text: string;
  group: PieceGroup;
}

export interface Turn {
  role: 'user' | 'assistant';
  content: string;
}

/** Code points, end exclusive. */
export interface Range {
  start: number;
  end: number;
}

export interface BuiltPrompt {
  kind: 'chat' | 'completion';
  /** In order; their texts joined are `text`. For chat this is the last user turn's content only. */
  pieces: PromptPiece[];
  text: string;
  /** Where context and question stand in `text`; null when an edited prompt no longer holds them. */
  context: Range | null;
  question: Range | null;
  /** Chat only: all turns, examples first, ending with the user turn whose content is `text`. */
  turns: Turn[] | null;
  /** Text that ends an answer besides the model's own stop tokens. A completion would go on with the next example. */
  stop: string[];
}
