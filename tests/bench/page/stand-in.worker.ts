/**
 * Stands in for the lab's worker: one model that answers at once, with runs of the largest size the page promises to keep fluid. What a
 * live page does for its reader can so be measured without hours of a large model's time.
 */
import { expose } from 'comlink';
import { LANGUAGES, type Ask, type Item, type Language, type ProbeOptions } from '../../../src/types';
import { installErrorTransfer, type Endpoint, type Method, type WireEvent } from '../../../src/wire';
import { MODEL, probeOf } from '../record';

installErrorTransfer();
const scope = self as unknown as DedicatedWorkerGlobalScope;

const each = <T>(value: T): Partial<Record<Language, T>> => Object.fromEntries(LANGUAGES.map((l) => [l, value]));
const ITEM: Item = { id: 'bench', set: 'world', paragraph: 'bench', context: each('word '.repeat(440)), question: each('word '.repeat(120)), answer: each({ text: 'word', start: 0 }) };

const answers: Partial<Record<Method, (...args: never[]) => unknown>> = {
  capabilities: () => ({ webgpu: false, webgpuReason: 'none', adapter: null, shaderF16: false, limits: null, jspi: false, crossOriginIsolated: true, threads: 1, memoryGB: null, ort: 'none' }),
  models: () => [MODEL.card],
  sets: () => ['world'],
  items: () => [ITEM],
  load: () => MODEL,
  probe: (ask: Ask, options: ProbeOptions) => probeOf(ask.questionLanguage ?? 'en', ask, options.lensPositions),
};
const endpoint: Endpoint = {
  call: async (_id, method, args) => {
    const answer = answers[method];
    if (!answer) throw new Error(`the stand-in has no ${method}`);
    return answer(...(args as never[]));
  },
  cancel: () => undefined,
  cancelAll: () => undefined,
  setToken: () => undefined,
  setFiles: () => undefined,
  refuseWebGPU: () => undefined,
};
expose(endpoint);
scope.postMessage({ lab: 'ready', lock: null } satisfies WireEvent);
