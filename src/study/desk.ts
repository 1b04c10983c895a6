/** Where the worker answers a study's cells: one per open model, with the prefixes it keeps. */
import type { OpenModel } from '../models/open';
import { LabError } from '../runtime/errors';
import type { Language, PromptOptions } from '../types';
import type { CellRequest } from './cell';
import { oracle, type OracleResult } from './oracle';
import { decoderPort, type MoreMeasures } from './port';
import { commonPrefix, modelRunner, type ModelRunner, type Prefix } from './runner';
import type { CellOutcome } from './result';

export interface OracleOptions {
  /** What is teacher-forced: the model's own greedy answer by default. */
  target?: 'answer' | 'gold';
  /** Another question on the same text, for the control. */
  otherQuestion?: string;
  /** Default 48. */
  maxTokens?: number;
  lane?: string | null;
}

/** A question to an oracle with its texts looked up. */
export interface OracleQuestion {
  context: string;
  question: string;
  language: Language;
  answer: { text: string; start: number } | null;
  prompt: PromptOptions | undefined;
}

export class CellDesk {
  private readonly port;
  private request: CellRequest | null = null;
  private readonly runners = new Map<boolean, ModelRunner>();

  constructor(
    private readonly open: OpenModel,
    bundled: boolean,
    more?: MoreMeasures,
  ) {
    this.port = decoderPort(open, bundled, more);
  }

  async run(request: CellRequest, signal: AbortSignal): Promise<CellOutcome> {
    this.request = request;
    const reuse = request.reuse !== false;
    let runner = this.runners.get(reuse);
    if (!runner) {
      runner = modelRunner(this.port, () => this.request?.siblings ?? [], { reuse, prefixes: this.prefixes(request) });
      await runner.model({ ref: { id: '' }, title: '' }, signal);
      this.runners.set(reuse, runner);
    }
    return runner.run(request.cell, request.design, signal);
  }

  async oracle(ask: OracleQuestion, options: OracleOptions, signal: AbortSignal): Promise<OracleResult | null> {
    const { port } = this;
    const { answer } = ask;
    if (!answer) throw new LabError('bad-input', 'The oracle needs to know where the answer stands in the context.', 'Give `answer: { text, start }`.');
    const prompt = ask.prompt ?? {};
    const whole = port.prompt(ask.context, ask.question, prompt);
    const own = options.target === 'gold' ? null : await port.generate(whole, { maxTokens: options.maxTokens ?? 48, prefix: null, signal });
    const target = own?.text ?? answer.text;
    const kept = new Map<string, Prefix>();
    try {
      return await oracle(
        { context: ask.context, question: ask.question, language: ask.language, answer, target, otherQuestion: options.otherQuestion ?? null },
        async (context, question) => {
          const built = port.prompt(context, question, prompt);
          // Asked twice when there is a control: with the question and with the other one.
          const other = options.otherQuestion ? port.prompt(context, options.otherQuestion, prompt) : null;
          const shared = other ? Math.min(commonPrefix(built.ids, other.ids), built.ids.length - 1) : 0;
          let prefix = kept.get(context) ?? null;
          if (!prefix && shared > 8 && other && question !== options.otherQuestion && port.prefill) {
            prefix = await port.prefill(built.ids.slice(0, shared), signal);
            kept.set(context, prefix);
          }
          return port.logProb(built, own ? own.ids : port.continuation(built, target), { prefix, signal });
        },
        signal,
      );
    } finally {
      for (const prefix of kept.values()) prefix.dispose();
    }
  }

  dispose(): void {
    for (const runner of this.runners.values()) runner.dispose();
    this.runners.clear();
  }

  /** The oracle wants one per sentence; a big model's cache of a long context is tens of megabytes each. */
  private prefixes({ design }: CellRequest): number {
    const { layers, kvHeads, headDim, maxLength } = this.open.config;
    const largest = 2 * layers * kvHeads * headDim * 4 * Math.min(maxLength, 1024);
    const room = Math.max(2, Math.floor(MOST_BYTES / largest));
    return design.measures.includes('oracle') ? Math.min(16, room) : Math.min(2, room);
  }
}

/** For kept prefixes, all together. */
const MOST_BYTES = 512 * 2 ** 20;
