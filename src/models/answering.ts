/** From a prompt to an answer in words: decoding until the model or a stop text ends it. The one way answers come about. */
import type { Answer, TokenInfo } from '../types';
import { cpLength } from '../xmrc/codepoints';
import type { DecoderPrefix } from './decoder';
import type { OpenModel } from './open';
import { answerTokens } from './prompting';
import { TextStream } from './tokenizer';

export interface Writing {
  maxTokens: number;
  signal?: AbortSignal;
  /** Each token as it comes; `text` is what became readable with it. */
  onToken?: (token: TokenInfo) => void;
  /** The kept beginning of `prompt.ids`, borrowed. */
  prefix?: DecoderPrefix | null;
}

/** What was written, not yet compared with any gold answer. */
export async function writeAnswer(open: OpenModel, prompt: { ids: readonly number[]; stops: readonly string[] }, how: Writing): Promise<Answer> {
  const { decoder, tokenizer, config } = open;
  const stream = new TextStream(tokenizer, true);
  let shown = 0;
  let points = 0;
  const generated = await decoder.generate(prompt.ids, {
    maxTokens: how.maxTokens,
    stopIds: config.stopIds,
    signal: how.signal,
    prefix: how.prefix,
    onToken: (id) => {
      stream.push(id);
      const end = stopAt(stream.text, prompt.stops);
      const text = end < 0 ? stream.text : stream.text.slice(0, end);
      const added = text.slice(shown);
      const start = points;
      shown = text.length;
      points += cpLength(added);
      how.onToken?.({ id, text: added, group: 'answer', start, end: points, special: tokenizer.piece(id).special });
      return end >= 0;
    },
  });
  const end = stopAt(stream.text, prompt.stops);
  const text = end < 0 ? stream.text : stream.text.slice(0, end);
  // Of a token that brought the stop text, what came before it counts; a token that only brought it does not.
  const all = answerTokens(stream.text, generated.ids, tokenizer);
  const tokens = end < 0 ? all : answerTokens(text, generated.ids.slice(0, all.filter((t) => t.start < cpLength(text)).length), tokenizer);
  return {
    text,
    tokens,
    stop: generated.stop,
    gold: null,
    squad: null,
    languageAware: null,
    timing: {
      prefillMs: generated.prefillMs,
      decodeMs: generated.decodeMs,
      tokensPerSecond: generated.ids.length > 1 ? ((generated.ids.length - 1) / generated.decodeMs) * 1000 : 0,
    },
  };
}

/** Where the first stop text begins, in UTF-16 units; -1 when none is there. */
function stopAt(text: string, stops: readonly string[]): number {
  return stops.reduce((first, stop) => {
    const at = text.indexOf(stop);
    return at >= 0 && (first < 0 || at < first) ? at : first;
  }, -1);
}
