/**
 * A tokenizer in the hub's layout: text → ids by transformers.js, and what it does not give: the exact bytes of every token,
 * from which spans and streamed text are made.
 */
import { AutoTokenizer, env, type PreTrainedTokenizer } from '@huggingface/transformers';
import { LabError } from '../runtime/errors';
import { nodesOf, tokenPieces, type TokenizerJson } from './pieces';
import type { Piece } from './spans';

export interface TokenizerFiles {
  /** Parsed tokenizer.json. */
  tokenizer: TokenizerJson;
  /** Parsed tokenizer_config.json. */
  config: Record<string, unknown>;
  /** chat_template.jinja, where the template is a file of its own. */
  template: string | null;
}

export interface Message {
  role: 'system' | 'user' | 'assistant';
  content: string;
}

let loads = 0;

export class TextTokenizer {
  private readonly piecesById: Map<number, Piece>;
  private readonly forms: ('NFC' | 'NFKC' | 'NFD' | 'NFKD')[];
  readonly chatTemplate: string | null;

  private constructor(
    private readonly inner: PreTrainedTokenizer,
    files: TokenizerFiles,
  ) {
    this.piecesById = tokenPieces(files.tokenizer);
    this.forms = nodesOf(files.tokenizer.normalizer)
      .map((n) => n.type)
      .filter((t): t is 'NFC' | 'NFKC' | 'NFD' | 'NFKD' => t !== undefined && ['NFC', 'NFKC', 'NFD', 'NFKD'].includes(t));
    this.chatTemplate = chatTemplateOf(files);
  }

  /** @throws LabError 'broken-file' when transformers.js cannot make a tokenizer of the files. */
  static async create(files: TokenizerFiles): Promise<TextTokenizer> {
    if (!files.tokenizer.model?.vocab)
      throw new LabError('broken-file', 'tokenizer.json has no vocabulary.', 'Use a repository with a fast tokenizer (tokenizer.json).');
    try {
      return new TextTokenizer(await fromMemory(files), files);
    } catch (error) {
      throw new LabError(
        'broken-file',
        `The tokenizer could not be made: ${error instanceof Error ? error.message : String(error)}`,
        'The repository may need a tokenizer that transformers.js does not know.',
        { cause: error },
      );
    }
  }

  /** `special`: let the tokenizer add what it adds by itself (BOS); off for text that a chat template made. */
  encode(text: string, special: boolean): number[] {
    const { input_ids } = this.inner(text, { add_special_tokens: special, return_tensor: false });
    return input_ids.map(Number);
  }

  piece(id: number): Piece {
    return this.piecesById.get(id) ?? { bytes: new Uint8Array(), special: false };
  }

  /** What one token reads like, for labels: never U+FFFD; bytes that are no whole character are shown as ‹E6 B2›. */
  label(id: number): string {
    const { bytes } = this.piece(id);
    try {
      return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
    } catch {
      return `‹${Array.from(bytes, (b) => b.toString(16).toUpperCase().padStart(2, '0')).join(' ')}›`;
    }
  }

  /** The text as the tokenizer will see it. Spans are made on this, so that a composed and a decomposed é fall together. */
  normalise(text: string): string {
    return this.forms.reduce((t, form) => t.normalize(form), text);
  }

  /** @throws LabError 'bad-input' when the template refuses the messages. */
  chat(messages: Message[]): string {
    if (this.chatTemplate === null) throw new LabError('bad-input', 'This model has no chat template.', 'Use the completion prompt.');
    try {
      const text = this.inner.apply_chat_template(messages as never, {
        tokenize: false,
        add_generation_prompt: true,
        chat_template: this.chatTemplate,
        // Qwen3 and others think aloud unless told not to; templates that do not know the word ignore it.
        enable_thinking: false,
      } as never) as unknown;
      return String(text);
    } catch (error) {
      throw new LabError('bad-input', `The chat template failed: ${error instanceof Error ? error.message : String(error)}`, 'Edit the prompt by hand.', {
        cause: error,
      });
    }
  }
}

/** Bytes of generated tokens → text as it grows. A character split over tokens appears with its last one. */
export class TextStream {
  private readonly decoder = new TextDecoder('utf-8');
  private started = false;
  text = '';

  constructor(
    private readonly tokenizer: TextTokenizer,
    private readonly dropFirstSpace: boolean,
  ) {}

  push(id: number): string {
    const { bytes, special } = this.tokenizer.piece(id);
    if (special) return '';
    const skip = !this.started && this.dropFirstSpace && bytes[0] === 0x20 ? 1 : 0;
    this.started = true;
    const added = this.decoder.decode(bytes.subarray(skip), { stream: true });
    this.text += added;
    return added;
  }
}

/** transformers.js reads files by address only: it is given addresses that only this function answers, from memory. */
async function fromMemory(files: TokenizerFiles): Promise<PreTrainedTokenizer> {
  const id = `lab/memory-${++loads}`;
  const content: Record<string, unknown> = {
    'tokenizer.json': files.tokenizer,
    'tokenizer_config.json': files.config,
  };
  env.allowLocalModels = false;
  env.allowRemoteModels = true;
  env.useBrowserCache = false;
  env.useCustomCache = false;
  // Where there is a disk (tests), the next process's first tokenizer would be this one's.
  env.useFSCache = false;
  env.remoteHost = 'https://memory.invalid/';
  env.fetch = (async (input: RequestInfo | URL) => {
    const path = new URL(input instanceof Request ? input.url : String(input)).pathname;
    const name = path.split('/').pop() ?? '';
    return path.includes(id) && name in content
      ? new Response(JSON.stringify(content[name]), { headers: { 'Content-Type': 'application/json' } })
      : new Response('', { status: 404 });
  }) as typeof fetch;
  return AutoTokenizer.from_pretrained(id);
}

function chatTemplateOf(files: TokenizerFiles): string | null {
  const given = files.config['chat_template'];
  if (typeof given === 'string') return given;
  if (Array.isArray(given)) {
    const named = given as { name: string; template: string }[];
    return (named.find((t) => t.name === 'default') ?? named[0])?.template ?? null;
  }
  return files.template;
}

export type { TokenizerJson } from './pieces';
