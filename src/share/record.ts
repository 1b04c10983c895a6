/**
 * A record: what was asked, what came out, how it was looked at, and where it came from. As a file it is a zip of `record.json`
 * (versioned, with a published JSON Schema) and `arrays.safetensors`; in memory the arrays stand where they belong.
 *
 * In the JSON an array is `{ "$array": "<name in the safetensors file>" }` and a number that JSON has no word for is
 * `{ "$number": "NaN" | "Infinity" | "-Infinity" }`. Fields may be added within a version; readers pass over what they do not know.
 */
import { strFromU8, strToU8, unzipSync, zipSync } from 'fflate';
import type { Landing, Match, PatchGroup, Reading } from '../probe/patching';
import type { Basis } from '../probe/projection';
import type { RelevanceTarget } from '../probe/relevance';
import type { Ask, Probe, TokenGroup } from '../types';
import { alignmentFault, type RecordedAlignment } from './alignment';
import { curvesOf, type RecordedCurve } from './curves';
import schema from './record-1.schema.json';
import { fail, type Read } from './result';
import { readSafetensors, writeSafetensors, type NumberArray, type Tensor } from './safetensors';
import { validate, type Schema } from './schema';
import { setFault, type RecordedSet } from './sets';
import type { ViewState } from './view';

export const RECORD_FORMAT = 'passage-lab/record';
export const RECORD_VERSION = 1;
/** Most bytes a record may unfold to: all states of a long prompt in a model of 36 layers × 2048 are 180 MB. */
export const RECORD_LIMIT = 512 * 2 ** 20;
const JSON_LIMIT = 64_000_000;
/** Records nest some ten deep; what nests deeper than this was made to exhaust the reader's stack. */
const MOST_DEEP = 64;

export interface RecordedRelevance {
  rule: string;
  /** What was attributed, in words and as token ids. */
  target: { text: string; ids: number[] };
  /** [rows = L+1, tokens] */
  values: Float32Array;
  rows: number;
  threshold: number;
  mrd: (number | null)[];
  groupMrd: Partial<Record<TokenGroup, number | null>>;
  /** Since 0.1: what the views need to draw it again without the model. */
  wish?: RelevanceTarget;
  targets?: { id: number; text: string; weight: number }[];
  z?: number;
  ms?: number;
}
export interface RecordedPatch {
  /** What was the clean run, in words. */
  clean: string;
  groups: PatchGroup[];
  layers: number[];
  /** Recovered share [groups, layers]. */
  effects: Float32Array;
  /** Since 0.1, and together: the whole sweep, so that it can be drawn again, and finished where it was stopped. */
  sweep?: {
    cleanAsk: Ask;
    match: Match[];
    absent: TokenGroup[];
    a: { id: number; text: string };
    b: { id: number; text: string };
    contrast: 'answers' | 'runner-up';
    clean: Reading;
    corrupted: Reading;
    /** [groups, layers] each. */
    differences: Float32Array;
    flips: Uint8Array;
    done: Uint8Array;
    ms: number;
    /** Since 0.1: where the positions of the group 'positions' came from. */
    positions?: Landing[] | null;
  };
}
export interface RecordedRun {
  slot: 'A' | 'B';
  probe: Probe;
  relevance?: RecordedRelevance;
  patch?: RecordedPatch;
}
export interface LabRecord {
  format: typeof RECORD_FORMAT;
  version: typeof RECORD_VERSION;
  created: string;
  app: string;
  title: string;
  note: string;
  runs: RecordedRun[];
  basis: Basis | null;
  /** Since 0.1: of the two models' picture: one plane for both, or A's and B's. */
  compared?: Basis[];
  curves: RecordedCurve[];
  /** Since 0.1: relevance and patching over many items. */
  sets?: RecordedSet[];
  /** Since 0.1: question alignment over an item set. */
  alignment?: RecordedAlignment;
  view: ViewState;
}

/** A record of these runs; the first is the main one. */
export function makeRecord(runs: RecordedRun[], more: Partial<Pick<LabRecord, 'created' | 'title' | 'note' | 'basis' | 'compared' | 'curves' | 'sets' | 'alignment' | 'view'>> = {}): LabRecord {
  return {
    format: RECORD_FORMAT,
    version: RECORD_VERSION,
    created: more.created ?? new Date().toISOString(),
    app: runs[0]?.probe.provenance.app ?? '',
    title: more.title ?? '',
    note: more.note ?? '',
    runs,
    basis: more.basis ?? null,
    ...(more.compared?.length ? { compared: more.compared } : {}),
    curves: more.curves ?? curvesOf(runs),
    ...(more.sets?.length ? { sets: more.sets } : {}),
    ...(more.alignment ? { alignment: more.alignment } : {}),
    view: more.view ?? {},
  };
}

// ---------------------------------------------------------------- writing

const isArray = (v: unknown): v is NumberArray => ArrayBuffer.isView(v) && !(v instanceof DataView);

const basesOf = ({ basis, compared = [] }: LabRecord): Basis[] => [...(basis ? [basis] : []), ...compared];

/** Shapes of the arrays whose meaning is known; others are flat. */
function shapes(record: LabRecord): Map<NumberArray, number[]> {
  const out = new Map<NumberArray, number[]>();
  const add = (a: NumberArray | null | undefined, shape: number[]): void => {
    if (a && a.length === shape.reduce((x, y) => x * y, 1)) out.set(a, shape);
  };
  for (const { probe, relevance, patch } of record.runs) {
    add(probe.states, [probe.layers.length, probe.positions.length, probe.dim]);
    for (const m of Object.values(probe.means)) add(m, [probe.layers.length, probe.dim]);
    if (relevance) add(relevance.values, [relevance.rows, relevance.values.length / Math.max(1, relevance.rows)]);
    if (patch) for (const cells of [patch.effects, patch.sweep?.differences, patch.sweep?.flips, patch.sweep?.done]) add(cells, [patch.groups.length, patch.layers.length]);
  }
  for (const { set } of record.sets ?? [])
    if (set.kind === 'patch-set') for (const item of set.items) for (const cells of [item.effects, item.differences, item.flips, item.done]) add(cells, [item.groups.length, item.layers.length]);
  for (const { mean, axes, steps, dim } of basesOf(record)) {
    add(mean, [steps, dim]);
    add(axes, [steps, 2, dim]);
  }
  return out;
}

/** Without raw states, which are most of a record; those of the chosen token, whose path is drawn, stay. */
function lean(record: LabRecord): LabRecord {
  const { token } = record.view;
  return { ...record, runs: record.runs.map((run, i) => ({ ...run, probe: (i === 0 && token !== undefined && oneState(run.probe, token)) || { ...run.probe, states: null } })) };
}

/** null where the probe has no states of that token. */
function oneState(probe: Probe, token: number): Probe | null {
  const { states, positions, layers, dim } = probe;
  const at = positions.indexOf(token);
  if (!states || at < 0) return null;
  const own = new Float32Array(layers.length * dim);
  for (let l = 0; l < layers.length; l++) own.set(states.subarray((l * positions.length + at) * dim, (l * positions.length + at + 1) * dim), l * dim);
  return { ...probe, positions: [token], states: own };
}

/** The two parts of a record: JSON and arrays. */
export function splitRecord(whole: LabRecord, options: { states?: boolean } = {}): { json: unknown; arrays: Map<string, Tensor> } {
  const record = options.states === false ? lean(whole) : whole;
  const arrays = new Map<string, Tensor>();
  const shape = shapes(record);
  const walk = (v: unknown, path: string): unknown => {
    if (isArray(v)) {
      arrays.set(path, { data: v, shape: shape.get(v) ?? [v.length] });
      return { $array: path };
    }
    if (typeof v === 'number' && !Number.isFinite(v)) return { $number: String(v) };
    if (Array.isArray(v)) return v.map((x, i) => walk(x, `${path}.${i}`));
    if (typeof v === 'object' && v !== null)
      return Object.fromEntries(
        Object.entries(v)
          .filter(([, x]) => x !== undefined && typeof x !== 'function')
          .map(([k, x]) => [k, walk(x, path === '' ? k : `${path}.${k}`)]),
      );
    return v;
  };
  return { json: walk(record, ''), arrays };
}

const READ_ME = `A record of the passage lab.

record.json         what was asked, what came out, and where it came from; its JSON Schema is record-1.json beside the lab's page
arrays.safetensors  the arrays that record.json names as {"$array": "…"}

Python:  safetensors.numpy.load_file("arrays.safetensors")["runs.0.probe.means.readout"]   # [layers, dim]
`;

/** A record as a file. `states: false` leaves the raw states out, but for those of the chosen token; group means stay. */
export function packRecord(record: LabRecord, options: { states?: boolean } = {}): Uint8Array {
  const { json, arrays } = splitRecord(record, options);
  return zipSync(
    {
      'record.json': strToU8(JSON.stringify(json, null, 1)),
      // floats hardly shrink: stored, so that packing takes no time
      'arrays.safetensors': [writeSafetensors(arrays), { level: 0 }],
      'README.txt': strToU8(READ_ME),
    },
    // the zip's own dates would make equal records differ
    { level: 6, mtime: new Date(Date.UTC(2025, 0, 1, 12)) },
  );
}

// ---------------------------------------------------------------- reading

/** From version n to n + 1, by n, on the JSON part. Each is pure. */
export const RECORD_MIGRATIONS: Record<number, (json: Record<string, unknown>) => Record<string, unknown>> = {};

/** Reads a record file (zip), or a bare record.json. Never throws. */
export function unpackRecord(bytes: Uint8Array): Read<LabRecord> {
  if (bytes[0] === 0x50 && bytes[1] === 0x4b) {
    let total = 0;
    let tooLarge = false;
    let files: Record<string, Uint8Array>;
    try {
      files = unzipSync(bytes, {
        filter: (f) => {
          const wanted = f.name === 'record.json' || f.name === 'arrays.safetensors';
          if (!wanted) return false;
          total += f.originalSize;
          if (total > RECORD_LIMIT || (f.name === 'record.json' && f.originalSize > JSON_LIMIT)) tooLarge = true;
          return !tooLarge;
        },
      });
    } catch {
      return fail('broken', 'This file is damaged: it cannot be unpacked. It may have been cut when it was copied.');
    }
    if (tooLarge) return fail('too-large', 'This file unfolds to more than the lab opens.');
    if (!files['record.json']) return fail('not-a-record', 'This file is a zip, but holds no record.json: it is not a record of this lab.');
    const tensors = files['arrays.safetensors'] ? readSafetensors(files['arrays.safetensors']) : { ok: true as const, value: new Map<string, Tensor>(), remarks: [] };
    return tensors.ok ? joinRecord(parse(files['record.json']), tensors.value) : tensors;
  }
  if (bytes.length > JSON_LIMIT) return fail('not-a-record', 'This file is not a record of this lab.');
  return joinRecord(parse(bytes), new Map());
}

function parse(bytes: Uint8Array): unknown {
  try {
    return JSON.parse(strFromU8(bytes));
  } catch {
    return undefined;
  }
}

/** JSON and arrays back to a record: version, migrations, schema, then the arrays in their places. */
export function joinRecord(data: unknown, arrays: Map<string, Tensor>): Read<LabRecord> {
  if (typeof data !== 'object' || data === null || (data as { format?: unknown }).format !== RECORD_FORMAT) return fail('not-a-record', 'This file is not a record of this lab.');
  let json = data as Record<string, unknown>;
  const { version } = json;
  if (typeof version !== 'number' || !Number.isInteger(version) || version < 1) return fail('broken', 'This record has no version number.');
  if (version > RECORD_VERSION) return fail('newer-version', `This record was made by a newer lab (version ${version}; this one reads up to ${RECORD_VERSION}). Reload the page to get the newest lab.`);
  for (let v = version; v < RECORD_VERSION; v++) json = RECORD_MIGRATIONS[v](json);
  const faults = validate(json, schema as Schema);
  if (faults.length > 0) return fail('broken', `This record is damaged: ${faults.slice(0, 3).join('; ')}.`);
  let missing: string | null = null;
  let deep = false;
  const walk = (v: unknown, depth = 0): unknown => {
    if (typeof v !== 'object' || v === null) return v;
    deep ||= depth > MOST_DEEP;
    if (deep) return null;
    if (Array.isArray(v)) return v.map((x) => walk(x, depth + 1));
    const o = v as Record<string, unknown>;
    if (typeof o.$array === 'string') {
      const t = arrays.get(o.$array);
      if (!t) missing ??= o.$array;
      return t?.data ?? null;
    }
    if (typeof o.$number === 'string') return Number(o.$number);
    return Object.fromEntries(Object.entries(o).map(([k, x]) => [k, walk(x, depth + 1)]));
  };
  const record = walk(json) as LabRecord;
  if (deep) return fail('broken', `This record nests more than ${MOST_DEEP} deep, which no record of this lab does. It may have been made to do harm.`);
  if (missing !== null) return fail('broken', `This record names an array “${String(missing).slice(0, 80)}” that its file does not hold.`);
  const wrong = sizes(record);
  if (wrong !== null) return fail('broken', `This record does not fit together: ${wrong}.`);
  return { ok: true, value: record, remarks: [] };
}

/** What the schema cannot say: arrays are of the lengths their neighbours promise. */
function sizes(record: LabRecord): string | null {
  for (const [i, { probe: p, relevance, patch }] of record.runs.entries()) {
    const where = `run ${i + 1}`;
    if (p.states && p.states.length !== p.layers.length * p.positions.length * p.dim) return `the states of ${where} are not [layers, positions, dim]`;
    for (const [group, mean] of Object.entries(p.means)) if (mean.length !== p.layers.length * p.dim) return `the mean of “${group}” in ${where} is not [layers, dim]`;
    if (p.positions.some((at) => at >= p.tokens.length)) return `a position of ${where} lies beyond its tokens`;
    if (relevance && (relevance.rows < 1 || relevance.values.length % relevance.rows !== 0)) return `the relevance of ${where} is not [layers, tokens]`;
    if (relevance && relevance.values.length / relevance.rows > p.tokens.length) return `the relevance of ${where} is of more tokens than it has`;
    if (!patch) continue;
    const { sweep } = patch;
    for (const cells of [patch.effects, ...(sweep ? [sweep.differences, sweep.flips, sweep.done] : [])])
      if (cells.length !== patch.groups.length * patch.layers.length) return `the patching effects of ${where} are not [groups, layers]`;
    if (sweep && sweep.match.length !== patch.groups.length) return `the patching of ${where} does not say how its groups meet`;
  }
  for (const set of record.sets ?? []) {
    const fault = setFault(set);
    if (fault !== null) return fault;
  }
  const fault = record.alignment ? alignmentFault(record.alignment) : null;
  if (fault !== null) return fault;
  for (const b of basesOf(record)) if (b.mean.length !== b.steps * b.dim || b.axes.length !== 2 * b.steps * b.dim) return 'the projection’s basis is not [steps, 2, dim]';
  for (const c of record.curves) if (c.values.length !== c.layers.length) return `the curve “${c.name.slice(0, 40)}” has not one value per layer`;
  return null;
}
