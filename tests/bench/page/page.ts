/** `window.bench`: the lab through its own client, and transformers.js, side by side in workers of their own. */
import { createLab } from '../../../src/lab-client';
import { prepareModel } from '../../../src/onnx';
import { cellRequest } from '../../../src/study/cell';
import { cells, type StudyDesign } from '../../../src/study/design';
import type { Ask } from '../../../src/types';
import { CHANNEL, type CountReply } from './counter';
import { fillStudy, openStudy, packStudy, unsettle } from './many';
import type { Bench, Generation, Side, Slice, TransformersRequest } from './protocol';

const lab = createLab(new URL('./', document.baseURI).href);
let transformers: Worker | null = null;

const ask = (text: string): Ask => ({ context: '', question: '', prompt: { kind: 'chat', text } });

function say<T>(request: TransformersRequest): Promise<T> {
  transformers ??= new Worker(new URL('../transformers/worker.js', document.baseURI), { type: 'module' });
  const worker = transformers;
  return new Promise((resolve, reject) => {
    const { port1, port2 } = new MessageChannel();
    port1.onmessage = ({ data }: MessageEvent<{ result: T } | { error: string }>) => {
      port1.close();
      if ('error' in data) reject(new Error(data.error));
      else resolve(data.result);
    };
    worker.addEventListener('error', (event) => reject(new Error(event.message || 'the worker could not start')), { once: true });
    worker.postMessage(request, [port2]);
  });
}

/** As many as the lab takes (src/runtime/ort.ts). */
const threads = (): number => (crossOriginIsolated ? Math.max(1, Math.min(4, navigator.hardwareConcurrency || 1)) : 1);

function designOf({ set, items, languages, maxTokens }: Slice): StudyDesign {
  return {
    version: 1,
    id: 'bench',
    name: 'bench',
    created: new Date().toISOString(),
    models: [{ ref: { id: 'bench/bench' }, title: 'bench' }],
    set: { name: set, license: '' },
    items: items.map((i) => i.id),
    seed: null,
    scenarios: ['en-x'],
    languages,
    prompt: { kind: 'chat' },
    maxTokens,
    measures: ['answer'],
    correctF1: 0.5,
  };
}

const bench: Bench = {
  async load(side, target) {
    const started = performance.now();
    if (side === 'lab') await lab.load({ id: target.id, revision: target.revision, host: target.host, dtype: target.dtype }, { device: target.device });
    else await say({ do: 'load', threads: threads(), ...target, host: `${target.host}/` });
    return { ms: performance.now() - started };
  },
  async prompt(text) {
    const probe = await lab.probe(ask(text), { generate: false, states: false, lensPositions: [], positions: [0] });
    return probe.tokens.map((t) => t.id);
  },
  async generate(side, text, ids, tokens) {
    if (side === 'transformers') return say<Generation>({ do: 'generate', ids, tokens });
    const { tokens: made, timing } = await lab.answer(ask(text), { maxTokens: tokens, lane: null });
    return { ids: made.map((t) => t.id), prefillMs: timing.prefillMs, decodeMs: timing.decodeMs };
  },
  async time(method, args) {
    const call = (lab as unknown as Record<string, ((...args: unknown[]) => Promise<unknown>) | undefined>)[method];
    if (typeof call !== 'function') return null;
    const started = performance.now();
    await call.apply(lab, args);
    return performance.now() - started;
  },
  counts(side) {
    const name: Record<Side, string> = { lab: 'lab.worker', transformers: 'transformers' };
    return new Promise((resolve, reject) => {
      const channel = new BroadcastChannel(CHANNEL);
      const timer = setTimeout(() => reject(new Error(`no worker counts for ${side}`)), 5000);
      channel.onmessage = ({ data }: MessageEvent<CountReply>) => {
        if (!data.worker?.includes(name[side])) return;
        clearTimeout(timer);
        channel.close();
        resolve(data.counts);
      };
      channel.postMessage({ ask: true });
    });
  },
  async instrument(url, times) {
    const file = new Uint8Array(await (await fetch(url)).arrayBuffer());
    return Array.from({ length: times }, () => {
      const started = performance.now();
      prepareModel(file);
      return performance.now() - started;
    });
  },
  async studyPrompts(slice) {
    const prompts: number[][] = [];
    for (const { item, contextLanguage, questionLanguage } of cells(designOf(slice), slice.items)) {
      const probe = await lab.probe({ item, contextLanguage, questionLanguage, prompt: { kind: 'chat' } }, { generate: false, states: false, lensPositions: [], positions: [0] });
      prompts.push(probe.tokens.map((t) => t.id));
    }
    return prompts;
  },
  async study(slice) {
    if (typeof lab.cell !== 'function') return null;
    const design = designOf(slice);
    const ids: number[][] = [];
    const started = performance.now();
    for (const cell of cells(design, slice.items)) {
      const siblings = slice.items.filter((i) => i.paragraph === cell.item.paragraph);
      ids.push((await lab.cell(cellRequest(cell, siblings, design))).tokenIds ?? []);
    }
    return { ms: performance.now() - started, ids };
  },
  fillStudy,
  openStudy,
  unsettle,
  packStudy,
  threads,
};

(window as unknown as { bench: Bench }).bench = bench;
