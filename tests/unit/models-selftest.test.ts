/** What the self-test finds in a decoder that is wrong in one way: faked ones, so that every check is seen to fail. */
import { describe, expect, test } from 'vitest';
import { selfTest, type Tested } from '../../src/models/selftest';
import type { Trace, TraceRequest } from '../../src/models/decoder';
import type { Lab } from '../../src/onnx';
import { cautionOf } from '../../src/probe/caution';
import type { SelfTest, SelfTestCheck } from '../../src/types';
import { badgeOf } from '../../src/ui/words';

const LAYERS = 2;
const WIDTH = 3;
const IDS = [1, 2, 3, 4];
const LONG = Array.from({ length: 30 }, (_, i) => i % 5);
/** Scores of five words after any text: a spread of 4. */
const LOGITS = Float32Array.of(0, 4, 1, 2, 3);
const rows = (n: number): Float32Array => Float32Array.from({ length: n * LOGITS.length }, (_, i) => LOGITS[i % LOGITS.length]);

interface Fault {
  /** Added to the lens of the last layer. */
  lens?: number;
  /** [layer, value] in every state of it. */
  layer?: [number, number];
  /** Added to a logit of a text read in pieces. */
  pieces?: number;
  /** Added to a logit of the instrumented graph's rows. */
  logit?: number;
  opaque?: boolean;
}

function fake({ lens = 0, layer, pieces = 0, logit = 0, opaque = false }: Fault): Tested {
  return {
    instruments: opaque ? null : ({ layers: LAYERS, width: WIDTH, topK: 2, patch: true, loop: false } satisfies Lab),
    layers: LAYERS,
    width: WIDTH,
    trace: async (_: readonly number[], request: TraceRequest): Promise<Trace> => {
      const n = request.positions.length;
      const hidden = Float32Array.from({ length: (LAYERS + 1) * n * WIDTH }, (_, i) => (layer && Math.floor(i / (n * WIDTH)) === layer[0] ? layer[1] : 1 + i));
      const logits = request.logits?.length ? rows(request.logits.length) : null;
      if (logits && request.logits && request.logits.length > 1) logits[logits.length - 1] += logit;
      return {
        hidden,
        logits,
        next: Int32Array.of(1),
        lens: request.lens ? [{ top: [1, 4].map((id) => ({ id, logit: LOGITS[id] + lens })), followed: request.lens.tokens.map((id) => ({ logit: LOGITS[id], rank: 0 })), logSumExp: 4.5, entropy: 1 }] : [],
      } as Trace;
    },
    lastLogits: async (_: readonly number[], piece?: number) => {
      const out = LOGITS.slice();
      if (piece !== undefined) out[0] += pieces;
      return out;
    },
  };
}

const run = (fault: Fault, plain: Float32Array | string = LOGITS): Promise<SelfTest> => selfTest(fake(fault), { ids: IDS, long: LONG, plain, tolerance: 1e-3 });
const failed = (test: SelfTest): SelfTestCheck['name'][] => test.checks.filter((c) => c.passed === false).map((c) => c.name);

describe('a decoder that is right', () => {
  test('passes, and its badge says so', async () => {
    const result = await run({});
    expect([result.passed, failed(result)]).toEqual([true, []]);
    expect(badgeOf(result)).toBe('✓ tested');
    expect(cautionOf([{ title: 'A model', selfTest: result }])).toBeNull();
  });

  test('what was not compared, and why, is told apart from what passed', async () => {
    const result = await run({}, 'it is large');
    expect(result.passed).toBe(true);
    expect(result.checks.find((c) => c.name === 'instrumented-equals-plain')).toEqual({ name: 'instrumented-equals-plain', passed: null, detail: 'not run: it is large' });
    expect(badgeOf(result)).toBe('✓ tested in part');
    expect(badgeOf(await run({ opaque: true }, 'nothing was added'))).toBe('✓ tested in part');
  });

  test('rounding within the tolerance is let pass', async () => {
    expect(failed(await run({ lens: 3.9e-3, pieces: 3.9e-3, logit: 3.9e-3 }))).toEqual([]);
  });
});

describe('a decoder that is wrong', () => {
  test.each<[string, Fault, SelfTestCheck['name']]>([
    ['a lens that is not the logits', { lens: 4.1e-3 }, 'lens-equals-logits'],
    ['a layer with a NaN', { layer: [1, NaN] }, 'finite'],
    ['a layer with an infinity', { layer: [0, Infinity] }, 'finite'],
    ['a layer of zeros', { layer: [2, 0] }, 'no-zero-layer'],
    ['another end when read in pieces', { pieces: 4.1e-3 }, 'whole-equals-pieces'],
    ['no number at the end when read in pieces', { pieces: NaN }, 'whole-equals-pieces'],
    ['other logits than the untouched file', { logit: 4.1e-3 }, 'instrumented-equals-plain'],
  ])('%s: fails that check, the badge and everything that is shown of it', async (_, fault, name) => {
    const result = await run(fault);
    expect(failed(result)).toEqual([name]);
    expect(result.passed).toBe(false);
    expect(result.checks.find((c) => c.name === name)?.detail).toMatch(/largest difference|layer \d/);
    expect(badgeOf(result)).toBe('✗ failed its test');
    expect(cautionOf([{ title: 'A model', selfTest: result }, { title: 'another', selfTest: null }])).toMatch(/^A model failed its self-test.*do not trust/);
  });

  test('of one that cannot be looked into, the answers are tested', async () => {
    const broken: Tested = { ...fake({ opaque: true }), lastLogits: async () => Float32Array.of(0, NaN) };
    expect(failed(await selfTest(broken, { ids: IDS, long: LONG, plain: '', tolerance: 1e-3 }))).toEqual(['finite', 'whole-equals-pieces']);
  });
});
