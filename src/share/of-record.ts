/** What a record gives away: files of several kinds. Pure. */
import { groupRelevance, mrd, MRD_THRESHOLD } from '../probe/phases';
import { layerCosine, norms } from '../probe/similarity';
import { GROUPS, type Probe, type TokenGroup } from '../types';
import { alignmentRows } from './alignment';
import { toCsv } from './csv';
import { besideRows } from './curves';
import { makeRecord, packRecord, splitRecord, type LabRecord, type RecordedRun } from './record';
import { writeSafetensors } from './safetensors';
import { mrdName, setRows } from './sets';

/** One run by itself, or a whole record: either can be linked to and saved. */
export type Recordable = Probe | LabRecord;

export const asRecord = (of: Recordable): LabRecord => ('runs' in of ? of : makeRecord([{ slot: 'A', probe: of }]));

export const EXPORTS = ['zip', 'json', 'safetensors', 'csv'] as const;
/** `zip`: the record as the lab opens it again; `json` and `safetensors`: its two parts; `csv`: its curves, its maps and sweeps, and its sets' means, one number a row. */
export type ExportFormat = (typeof EXPORTS)[number];

export interface Exported {
  name: string;
  type: string;
  bytes: Uint8Array;
}

/** @param options.states false leaves the raw states out, but for those of the chosen token; group means stay */
export function exportRecord(record: LabRecord, format: ExportFormat, options: { states?: boolean } = {}): Exported {
  if (format === 'zip') return { name: 'passage-record.zip', type: 'application/zip', bytes: packRecord(record, options) };
  if (format === 'csv') return { name: 'passage-curves.csv', type: 'text/csv', bytes: new TextEncoder().encode(toCsv({ columns: [...COLUMNS], rows: csvRows(record) })) };
  const { json, arrays } = splitRecord(record, options);
  if (format === 'json') return { name: 'record.json', type: 'application/json', bytes: new TextEncoder().encode(JSON.stringify(json, null, 1)) };
  return { name: 'arrays.safetensors', type: 'application/octet-stream', bytes: writeSafetensors(arrays) };
}

const COLUMNS = ['slot', 'model', 'passage in', 'question in', 'layer', 'measure', 'of', 'value'] as const;

type Row = (string | number | null)[];

/** Everything a record has by layer, in long form, so that any program can pivot it. Numbers stand as they are, NaN too; what was not run has no row. */
function csvRows({ runs, sets = [], alignment, view }: LabRecord): Row[] {
  return [
    ...runs.flatMap((run) => [...runRows(run), ...relevanceRows(run, view.threshold), ...patchRows(run)]),
    ...besideRows(runs),
    ...sets.flatMap((set) => setRows(set, view.threshold)),
    ...(alignment ? alignmentRows(alignment) : []),
  ];
}

const headOf = ({ slot, probe }: RecordedRun): Row => [slot, probe.provenance.model, probe.ask.contextLanguage ?? '', probe.ask.questionLanguage ?? ''];

function runRows(run: RecordedRun): Row[] {
  const { probe } = run;
  const head = headOf(run);
  const rows: Row[] = [];
  const add = (layer: number, measure: string, of: string, value: number): void => void rows.push([...head, layer, measure, of, value]);
  const each = (measure: string, of: string, values: ArrayLike<number>): void => probe.layers.forEach((layer, i) => add(layer, measure, of, values[i]));
  for (const [group, mean] of Object.entries(probe.means) as [TokenGroup, Float32Array][]) each('norm of the mean state', group, norms(mean, probe.dim));
  const { readout, answerSpan } = probe.means;
  if (readout && answerSpan) each('cosine', 'readout to answer span', layerCosine(readout, answerSpan, probe.dim));
  for (const cell of probe.lens) {
    const at = `position ${cell.position}`;
    add(cell.layer, 'lens: entropy, nats', at, cell.entropy);
    if (cell.top[0]) add(cell.layer, 'lens: probability of the top token', `${at}: “${cell.top[0].text}”`, cell.top[0].p);
    for (const f of cell.followed) {
      add(cell.layer, 'lens: probability of a followed token', `${at}: “${f.text}”`, f.p);
      add(cell.layer, 'lens: rank of a followed token, 0 = top', `${at}: “${f.text}”`, f.rank);
    }
  }
  return rows;
}

/** One map: its groups, summed with sign, then its tokens, by layer, and how deep each goes by the threshold on show. An unknown depth has an empty value. */
function relevanceRows(run: RecordedRun, chosen: number | undefined): Row[] {
  const map = run.relevance;
  if (!map) return [];
  const { values, rows: layers } = map;
  const tokens = run.probe.tokens.slice(0, values.length / layers);
  const threshold = chosen ?? (map.threshold || MRD_THRESHOLD);
  const head = headOf(run);
  const rows: Row[] = [];
  const add = (of: string, curve: Float64Array): void => {
    curve.forEach((value, layer) => rows.push([...head, layer, `relevance, ${map.rule}`, of, value]));
    rows.push([...head, null, `relevance, ${map.rule}: ${mrdName(threshold)}`, of, mrd(curve, threshold)]);
  };
  for (const group of GROUPS) {
    const curve = groupRelevance(values, tokens, group);
    if (curve) add(group, curve);
  }
  tokens.forEach(({ text }, i) => add(`token ${i}: “${text}”`, Float64Array.from({ length: layers }, (_, l) => values[l * tokens.length + i])));
  return rows;
}

/** One sweep: effect by group and layer, and of a whole one what lies behind it. */
function patchRows(run: RecordedRun): Row[] {
  const { patch } = run;
  if (!patch) return [];
  const { groups, layers, effects, sweep } = patch;
  const head = headOf(run);
  const rows: Row[] = [];
  groups.forEach((group, g) =>
    layers.forEach((layer, k) => {
      const cell = g * layers.length + k;
      if (sweep && !sweep.done[cell]) return;
      const of = sweep ? `${group}, met by “${sweep.match[g]}”` : group;
      rows.push([...head, layer, 'patching effect', of, effects[cell]]);
      if (!sweep) return;
      rows.push([...head, layer, `patching: logit of “${sweep.a.text}” minus logit of “${sweep.b.text}”`, of, sweep.differences[cell]]);
      rows.push([...head, layer, `patching: begins with “${sweep.a.text}” only once patched`, of, sweep.flips[cell]]);
    }),
  );
  return rows;
}
