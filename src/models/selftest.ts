/**
 * Silently wrong numbers have happened on every browser backend, so every load is tested before anything is shown: the last
 * layer's lens must be the logits, no state may be NaN or all zero, and the instrumented graph must say what the untouched one
 * says. A prompt read at once must end where the same prompt read in short pieces ends: long and short
 * runs take different attention kernels, and a wrong one gives finite, plausible, wrong numbers (SwiftShader's did).
 */
import type { SelfTest, SelfTestCheck } from '../types';
import type { Decoder } from './decoder';

export interface SelfTestOptions {
  ids: readonly number[];
  /** A longer text, for the kernels that only long prompts get; at least twice `PIECE` tokens. */
  long: readonly number[];
  /** What the untouched file says after `ids` [vocab], or why it was not asked. */
  plain: Float32Array | string;
  /** Of the logits' spread. 16-bit floats carry about three digits. */
  tolerance: number;
}

/** What is tested of a decoder. */
export type Tested = Pick<Decoder, 'instruments' | 'layers' | 'width' | 'trace' | 'lastLogits'>;

/** Tokens per piece: below every runtime's threshold for long-prompt kernels. */
const PIECE = 12;

export async function selfTest(decoder: Tested, { ids, long, plain, tolerance }: SelfTestOptions): Promise<SelfTest> {
  const checks: SelfTestCheck[] = [];
  const add = (name: SelfTestCheck['name'], passed: boolean | null, detail: string): void => void checks.push({ name, passed, detail });
  const last = ids.length - 1;
  let logits: Float32Array;

  if (decoder.instruments) {
    const positions = ids.map((_, i) => i);
    const first = await decoder.trace(ids, { positions: [], logits: [last] });
    logits = first.logits as Float32Array;
    const followed = [first.next[0], (first.next[0] + 1) % logits.length];
    const trace = await decoder.trace(ids, { positions, lens: { positions: [last], layers: [decoder.layers], tokens: followed } });
    const reading = trace.lens[0];
    const scale = spread(logits);
    const worst = Math.max(
      ...reading.top.map(({ id, logit }) => Math.abs(logit - logits[id])),
      ...reading.followed.map(({ logit }, i) => Math.abs(logit - logits[followed[i]])),
    );
    add('lens-equals-logits', worst <= tolerance * scale && reading.top[0].id === first.next[0], `largest difference ${digits(worst)} on a scale of ${digits(scale)}`);

    const broken = firstBroken(trace.hidden, ids.length, decoder.width);
    add('finite', broken === null && logits.every(Number.isFinite), broken === null ? 'all states and logits are finite' : `layer ${broken} holds a value that is not finite`);
    const zero = firstZero(trace.hidden, ids.length * decoder.width);
    add('no-zero-layer', zero === null, zero === null ? 'every layer holds values' : `layer ${zero} is all zero`);
  } else {
    logits = await decoder.lastLogits(ids);
    add('lens-equals-logits', null, 'not run: the lab cannot look inside this model');
    const finite = logits.every(Number.isFinite) && logits.some((v) => v !== 0);
    add('finite', finite, finite ? 'all logits are finite' : 'the logits are not usable numbers');
    add('no-zero-layer', null, 'not run: the lab cannot look inside this model');
  }

  const whole = await decoder.lastLogits(long);
  const pieces = await decoder.lastLogits(long, PIECE);
  const apart = largestDifference(whole, pieces);
  add('whole-equals-pieces', apart <= tolerance * spread(pieces), `${long.length} tokens at once and by ${PIECE}: largest difference ${digits(apart)} on a scale of ${digits(spread(pieces))}`);

  if (typeof plain !== 'string') {
    // Silent is: every row through the head, as the untouched graph has it. One row alone may take another kernel.
    const rows = ids.map((_, i) => i);
    const all = decoder.instruments ? ((await decoder.trace(ids, { positions: [], logits: rows })).logits as Float32Array) : logits;
    const worst = largestDifference(all.subarray(all.length - plain.length), plain);
    add('instrumented-equals-plain', worst <= tolerance * spread(plain), `largest difference ${digits(worst)} on a scale of ${digits(spread(plain))}`);
  } else add('instrumented-equals-plain', null, `not run: ${plain}`);
  add('webgpu-equals-wasm', null, 'not run: on request only');

  return { passed: checks.every((check) => check.passed !== false), checks };
}

/** [layers+1, n, width] → the first layer with a NaN or an infinity. */
function firstBroken(hidden: Float32Array, n: number, width: number): number | null {
  const at = hidden.findIndex((v) => !Number.isFinite(v));
  return at < 0 ? null : Math.floor(at / (n * width));
}

function firstZero(hidden: Float32Array, perLayer: number): number | null {
  for (let at = 0; at < hidden.length; at += perLayer) if (hidden.subarray(at, at + perLayer).every((v) => v === 0)) return at / perLayer;
  return null;
}

function spread(values: Float32Array): number {
  let low = Infinity;
  let high = -Infinity;
  for (const v of values) {
    if (v < low) low = v;
    if (v > high) high = v;
  }
  return Math.max(high - low, 1e-6);
}

function largestDifference(a: Float32Array, b: Float32Array): number {
  let worst = a.length === b.length ? 0 : Infinity;
  for (let i = 0; i < a.length; i++) {
    const d = Math.abs(a[i] - b[i]);
    // A NaN must not pass as a small difference.
    if (!(d <= worst)) worst = Number.isNaN(d) ? Infinity : d;
  }
  return worst;
}

const digits = (x: number): string => (x !== 0 && (x < 1e-2 || x >= 1e4) ? x.toExponential(1) : String(Number(x.toPrecision(2))));
