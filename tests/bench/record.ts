/** Runs of the largest size the page promises to keep fluid, made by formula: a fixture for measuring speed, evidence of nothing. */
import { makeRecord, packRecord, type RecordedRun } from '../../src/share/record';
import { LANGUAGES, type Ask, type Language, type LensCell, type LoadedModel, type Probe, type Provenance, type TokenGroup, type TokenInfo } from '../../src/types';

const LAYERS = 36;
const TOKENS = 600;
const DIM = 2048;
const TITLE = 'Benchmark fixture';

/** The size of one language's prompt: 440 tokens of context with an answer span, 120 of question, the rest template. */
function tokens(): TokenInfo[] {
  const group = (i: number): TokenGroup => (i < 20 ? 'template' : i < 460 ? (i >= 200 && i < 204 ? 'answerSpan' : 'context') : i < 580 ? 'question' : i === TOKENS - 5 ? 'readout' : i > TOKENS - 5 ? 'answer' : 'template');
  return Array.from({ length: TOKENS }, (_, i) => ({ id: 100 + i, text: ` word${i}`, group: group(i), start: 8 * i, end: 8 * i + 7, special: false }));
}

function noise(seed: number): () => number {
  let s = seed * 2654435761 + 12345;
  return () => {
    s ^= s << 13;
    s ^= s >>> 17;
    s ^= s << 5;
    return (s >>> 0) / 2 ** 32 - 0.5;
  };
}

/** A walk that drifts, as residual streams do. */
function walk(seed: number): Float32Array {
  const random = noise(seed);
  const out = new Float32Array((LAYERS + 1) * DIM);
  for (let i = 0; i < out.length; i++) out[i] = (i >= DIM ? out[i - DIM] : 0) + random() + 0.2 * Math.sin((i % DIM) + Math.floor(i / DIM) / 5 + seed);
  return out;
}

const PROVENANCE: Provenance = { app: 'bench', ort: 'none', device: 'wasm', deviceReason: 'made by formula', adapter: null, dtype: 'fp32', model: 'bundled:bench', revision: 'none', files: [], precise: false, selfTest: null, time: '2025-01-01T00:00:00.000Z' };
export const MODEL: LoadedModel = {
  card: { ref: { id: 'bundled:bench' }, title: TITLE, stage: 'post-trained', pair: null, step: null, parameters: null, layers: LAYERS, width: DIM, bytes: {}, languages: [...LANGUAGES], license: 'none', bundled: true, note: '' },
  ref: { id: 'bundled:bench' },
  device: 'wasm',
  deviceReason: 'made by formula',
  dtype: 'fp32',
  layers: LAYERS,
  width: DIM,
  vocab: 1000,
  maxLength: 1024,
  hasChatTemplate: false,
  opaque: null,
  selfTest: null,
  provenance: PROVENANCE,
};

/** @param lensAt positions the lens is read at; the readout's alone where none are given */
export function probeOf(language: Language, ask: Ask, lensAt?: number[]): Probe {
  const k = LANGUAGES.indexOf(language);
  const all = tokens();
  const readout = all.findIndex((t) => t.group === 'readout');
  const layers = Array.from({ length: LAYERS + 1 }, (_, l) => l);
  const lens = layers.flatMap((layer) => (lensAt ?? [readout]).map((position): LensCell => ({ layer, position, top: Array.from({ length: 5 }, (_, n) => ({ id: n, text: ` t${(layer * 7 + position + n) % 90}`, p: 0.5 / (n + 1) })), entropy: 8 - layer / 6, followed: [{ id: 7, text: ' gold', p: layer / (2 * LAYERS), rank: LAYERS - layer }] })));
  return {
    ask,
    model: MODEL,
    prompt: all.filter((t) => t.group !== 'answer').map((t) => t.text).join(''),
    tokens: all,
    answer: { text: ' word', tokens: all.filter((t) => t.group === 'answer'), stop: 'eos', gold: 'word', squad: { f1: 1, em: 1 }, languageAware: { f1: 1, em: 1 }, timing: { prefillMs: 1, decodeMs: 1, tokensPerSecond: 1 } },
    positions: all.map((_, i) => i),
    layers,
    dim: DIM,
    states: null,
    means: { question: walk(3 * k + 1), readout: walk(3 * k + 2), answerSpan: walk(3 * k + 3) },
    lens,
    followed: [{ id: 7, text: ' gold', role: 'gold' }],
    provenance: PROVENANCE,
    notes: ['Made by formula to measure the page’s speed: not a measurement of any model.'],
  };
}

/** Twelve languages × 36 layers × 600 tokens, as a file. */
export function largeRecord(): Uint8Array {
  const near = tokens().flatMap((t, i) => (i >= 560 && t.group !== 'template' ? [i] : []));
  const runs = LANGUAGES.map((language, k): RecordedRun => ({ slot: 'A', probe: probeOf(language, { context: 'word '.repeat(440), question: 'word '.repeat(120), contextLanguage: 'en', questionLanguage: language }, k === 0 ? near : undefined) }));
  return packRecord(makeRecord(runs, { title: TITLE, note: 'A fixture of the benchmark.', view: { tab: 'phases', groups: ['question', 'readout', 'answerSpan'], projection: 'joint-pca' } }));
}
