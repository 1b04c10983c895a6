/**
 * How two runs of the same ask compare, in words: "your run differs by cos 0.9998".
 *
 * A link has no room for states, so it carries a *sketch* [O]: 48 fixed random projections (signs) of the readout's unit-length states at a
 * third, two thirds and all of the depth, one signed byte each. For nearly equal runs the cosine of two sketches estimates the cosine of
 * the states well (the relative error of 1 − cos is about 1/5); it is a check, not a measurement, and is worded so.
 */
import { cosine } from '../probe/similarity';
import type { Probe, Provenance } from '../types';
import { fromBase64url, toBase64url } from './base64url';
import { tokensHash } from './hash';

const SKETCH = 48;

/** Deterministic signs: bit 31 of a splitmix-like hash of the index. */
function sign(i: number, k: number): 1 | -1 {
  let z = Math.imul(i + 0x9e3779b9, 0x85ebca6b) ^ Math.imul(k + 1, 0xc2b2ae35);
  z = Math.imul(z ^ (z >>> 16), 0x7feb352d);
  z = Math.imul(z ^ (z >>> 15), 0x846ca68b);
  return (z ^ (z >>> 16)) < 0 ? -1 : 1;
}

/** Sketch of a path [layers, dim]; null when a state is not finite. */
export function sketchStates(states: ArrayLike<number>, dim: number): string | null {
  const layers = Math.floor(states.length / dim);
  if (layers === 0 || dim === 0) return null;
  const last = layers - 1;
  const picks = [...new Set([Math.round(last / 3), Math.round((2 * last) / 3), last])];
  const out = new Float64Array(SKETCH);
  picks.forEach((l, p) => {
    let sq = 0;
    for (let j = 0; j < dim; j++) sq += states[l * dim + j] ** 2;
    const k = 1 / Math.sqrt(sq);
    for (let j = 0; j < dim; j++) {
      const v = states[l * dim + j] * k;
      for (let s = 0; s < SKETCH; s++) out[s] += v * sign(p * dim + j, s);
    }
  });
  const max = out.reduce((m, v) => Math.max(m, Math.abs(v)), 0);
  if (!(max > 0) || !Number.isFinite(max)) return null;
  return toBase64url(new Uint8Array(Int8Array.from(out, (v) => Math.round((v / max) * 127)).buffer));
}

const sketches = new WeakMap<Float32Array, string | null>();
/** Sketch of a probe: its readout. Of a wide model some milliseconds' work, and asked for whenever the address follows the view: made once. */
export function sketchProbe({ means: { readout }, dim }: Probe): string | null {
  if (!readout) return null;
  const known = sketches.get(readout);
  if (known !== undefined) return known;
  const made = sketchStates(readout, dim);
  sketches.set(readout, made);
  return made;
}

/** Cosine of two sketches; null when one is damaged. */
export function compareSketches(a: string, b: string): number | null {
  const [x, y] = [a, b].map((s) => {
    const bytes = fromBase64url(s);
    return bytes === null || bytes.length !== SKETCH ? null : new Int8Array(bytes.buffer, bytes.byteOffset, SKETCH);
  });
  if (!x || !y) return null;
  const c = cosine(x, y, SKETCH);
  return Number.isNaN(c) ? null : c;
}

export interface RunComparison {
  /** The prompt's token ids are the same; null when unknown. */
  sameTokens: boolean | null;
  sameAnswer: boolean | null;
  /** Smallest cosine over layers of a group's mean, for the worst group; null when not comparable. */
  cos: number | null;
  /** 'exact' from states, 'sketch' from a link's 48 bytes. */
  from: 'exact' | 'sketch' | null;
  worst: { group: string; layer: number } | null;
  /** Differences of the circumstances: device, dtype, model revision, versions. */
  differences: string[];
  /** The finding, ready to show. */
  text: string;
}

const cosText = (c: number): string => `cos ${c.toFixed(c > 0.999 ? 6 : 4)}`;

function circumstances(a: Provenance, b: Provenance): string[] {
  const out: string[] = [];
  const note = (what: string, x: string | null, y: string | null): void => {
    if (x !== y) out.push(`${what}: ${x ?? 'none'} there, ${y ?? 'none'} here`);
  };
  note('model', a.model, b.model);
  note('revision', a.revision, b.revision);
  note('dtype', a.dtype, b.dtype);
  note('device', a.device, b.device);
  note('adapter', a.adapter, b.adapter);
  note('precise', String(a.precise), String(b.precise));
  note('ONNX Runtime', a.ort, b.ort);
  note('lab', a.app, b.app);
  const files = new Map(a.files.map((f) => [f.path, f.sha256]));
  for (const f of b.files) {
    const was = files.get(f.path);
    if (was && f.sha256 && was !== f.sha256) out.push(`the file ${f.path} is not the same`);
  }
  return out;
}

/** `there`: the record's run. `here`: the reader's own. */
export function compareRuns(there: Probe, here: Probe): RunComparison {
  const prompt = (p: Probe): Probe['tokens'] => p.tokens.filter((t) => t.group !== 'answer');
  const sameTokens = tokensHash(prompt(there)) === tokensHash(prompt(here));
  const sameAnswer = there.answer.text === here.answer.text;
  let cos: number | null = null;
  let worst: RunComparison['worst'] = null;
  if (there.dim === here.dim)
    for (const group of ['question', 'answerSpan', 'readout', 'context'] as const) {
      const a = there.means[group];
      const b = here.means[group];
      if (!a || !b) continue;
      there.layers.forEach((layer, i) => {
        const j = here.layers.indexOf(layer);
        const c = j < 0 ? NaN : cosine(a, b, there.dim, i * there.dim, j * there.dim);
        if (!Number.isNaN(c) && (cos === null || c < cos)) {
          cos = c;
          worst = { group, layer };
        }
      });
    }
  const differences = circumstances(there.provenance, here.provenance);
  return { sameTokens, sameAnswer, cos, from: cos === null ? null : 'exact', worst, differences, text: sentence(sameTokens, sameAnswer, cos, false, differences) };
}

/** The same with what a link carries: token hash and sketch. */
export function compareWithLink(link: { tokens?: string; sketch?: string }, here: Probe): RunComparison {
  const sameTokens = link.tokens === undefined ? null : link.tokens === tokensHash(here.tokens.filter((t) => t.group !== 'answer'));
  const mine = sketchProbe(here);
  const cos = link.sketch === undefined || mine === null ? null : compareSketches(link.sketch, mine);
  return { sameTokens, sameAnswer: null, cos, from: cos === null ? null : 'sketch', worst: null, differences: [], text: sentence(sameTokens, null, cos, true, []) };
}

function sentence(sameTokens: boolean | null, sameAnswer: boolean | null, cos: number | null, sketch: boolean, differences: string[]): string {
  const parts: string[] = [];
  if (sameTokens === false) parts.push('The prompt is cut into other tokens than it was there: the tokenizer or the prompt has changed, and the two runs are not the same measurement.');
  if (cos === null) parts.push('There are no states to compare with.');
  // the bytes of a sketch resolve no better than about 1e-4
  else if (sketch) parts.push(cos > 0.9998 ? 'Your numbers equal those of the link, as far as its sketch of the readout can tell.' : `Your numbers differ from those of the link: about cos ${cos.toFixed(3)} by its sketch of the readout.`);
  else parts.push(cos > 0.999999 ? 'Your numbers equal those recorded.' : `Your numbers differ from those recorded: ${cosText(cos)}.`);
  if (sameAnswer === false) parts.push('The answer is not the same.');
  if (differences.length > 0) parts.push(`Not alike: ${differences.join('; ')}.`);
  return parts.join(' ');
}
