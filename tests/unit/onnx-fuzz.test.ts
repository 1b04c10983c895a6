/**
 * Damaged files: every one ends in a right reading, an opaque model or an OnnxError, in no time; and of those that are accepted some are
 * given to the runtime, which may refuse them but must neither break down nor show other layers than the model has.
 */
import { describe, expect, it, vi } from 'vitest';
import { labFeeds, OnnxError, prepareModel, readModel, type Prepared } from '../../src/onnx';
import { fixture, open, run, type Fixture } from './onnx-fixtures';

vi.setConfig({ testTimeout: 180_000 });

const MUTATIONS = 500;
/** Of the accepted ones; they stand for the rest. */
const RUNS = 25;
/** As the page prepares files for WASM. */
const CPU = { halvesInFloat: true, loop: true };

/** mulberry32: the same damage on every run. */
function random(seed: number): () => number {
  return () => {
    seed = (seed + 0x6d2b79f5) | 0;
    let t = Math.imul(seed ^ (seed >>> 15), 1 | seed);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** Places of the file that are structure: a changed weight is another model, not a damaged one. */
function structure(bytes: Uint8Array): number[] {
  const weights = [...readModel(bytes).graph.initializers.values()].flatMap(({ data }) => (data.kind === 'raw' && data.range.end - data.range.start >= 256 ? [data.range] : []));
  const places: number[] = [];
  let at = 0;
  for (const { start, end } of weights.sort((a, b) => a.start - b.start)) {
    for (; at < start; at++) places.push(at);
    at = end;
  }
  for (; at < bytes.length; at++) places.push(at);
  return places;
}

/** One file after the other, damaged in turn by a cut, one flipped bit, several, and a piece put where another was. */
function* damaged(bytes: Uint8Array, seed: number): Generator<Uint8Array> {
  const next = random(seed);
  const places = structure(bytes);
  const place = (): number => places[Math.floor(next() * places.length)];
  for (let i = 0; ; i++) {
    const copy = bytes.slice();
    if (i % 4 === 0) yield copy.subarray(0, place());
    else if (i % 4 === 3) {
      const length = 1 + Math.floor(next() * 63);
      const from = Math.min(place(), bytes.length - length);
      copy.set(bytes.subarray(from, from + length), Math.min(place(), bytes.length - length));
      yield copy;
    } else {
      for (let flips = i % 4 === 1 ? 1 : 1 + Math.floor(next() * 6); flips > 0; flips--) copy[place()] ^= 1 << Math.floor(next() * 8);
      yield copy;
    }
  }
}

/** What the page does with a prepared file: a session, and one run with the instruments on. The number of layers that came out. */
async function tryOut(model: Fixture, file: Uint8Array, prepared: Prepared): Promise<number | string> {
  const { lab, inputs, selfPath } = prepared;
  if (!lab) return 'opaque';
  const ids = model.golden.ids.slice(0, 6);
  const last = ids.length - 1;
  try {
    const session = await open(prepared.bytes, [...model.external, ...(selfPath ? [{ path: selfPath, data: file }] : [])]);
    try {
      const feeds = labFeeds(lab, { rows: [last], positions: [0, last], lens: { positions: [last], layers: [0, lab.layers], tokens: [1] } });
      return (await run(session, model, inputs, ids, feeds))['lab.hidden'].dims[0] - 1;
    } finally {
      await session.release();
    }
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}

// Three whose weights are elsewhere, so that every byte is structure, and two that hold them.
describe.each(['smollm/model', 'gemma3-script/model_q4', 'llama/model_q4f16', 'qwen3/model_q4', 'smollm-optimum/model_quantized'])('%s', (name) => {
  const model = fixture(name);
  const accepted: [Uint8Array, Prepared][] = [];

  it(`${MUTATIONS} mutations end in a right reading, an opaque model or an OnnxError`, () => {
    let refused = 0;
    let slowest = 0;
    const files = damaged(model.bytes, name.length);
    for (let i = 0; i < MUTATIONS; i++) {
      const file = files.next().value as Uint8Array;
      const started = performance.now();
      try {
        // No layer count given: the graph alone must not be misread.
        const prepared = prepareModel(file, { ...CPU, precise: i % 2 === 1 });
        if (prepared.lab) {
          expect(prepared.lab.layers).toBe(model.config.num_hidden_layers);
          accepted.push([file, prepared]);
        } else refused++;
      } catch (error) {
        if (!(error instanceof OnnxError)) throw error;
        refused++;
      }
      slowest = Math.max(slowest, performance.now() - started);
    }
    expect(refused).toBeGreaterThan(MUTATIONS / 4);
    expect(slowest).toBeLessThan(5000);
  });

  it(`${RUNS} of the accepted ones in the runtime: refused or run, and a whole file still runs after them`, async () => {
    expect(accepted.length).toBeGreaterThan(RUNS);
    const every = Math.floor(accepted.length / RUNS);
    let ran = 0;
    for (let i = 0; i < RUNS; i++) {
      const outcome = await tryOut(model, ...accepted[i * every]);
      // An aborted WebAssembly module would take every later session with it.
      if (typeof outcome === 'string') expect(outcome).not.toMatch(/abort|unreachable|memory access|out of bounds|stack/i);
      else {
        expect(outcome).toBe(model.config.num_hidden_layers);
        ran++;
      }
    }
    expect(ran).toBeGreaterThan(0);
    expect(await tryOut(model, model.bytes, prepareModel(model.bytes, CPU))).toBe(model.config.num_hidden_layers);
  });
});
