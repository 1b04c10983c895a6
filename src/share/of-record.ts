/** What a record gives away: files of several kinds. Pure. */
import { layerCosine, norms } from '../probe/similarity';
import type { Probe, TokenGroup } from '../types';
import { alignmentRows } from './alignment';
import { toCsv } from './csv';
import { besideRows } from './curves';
import { makeRecord, packRecord, splitRecord, type LabRecord, type RecordedRun } from './record';
import { writeSafetensors } from './safetensors';
import { setRows } from './sets';

/** One run by itself, or a whole record: either can be linked to and saved. */
export type Recordable = Probe | LabRecord;

export const asRecord = (of: Recordable): LabRecord => ('runs' in of ? of : makeRecord([{ slot: 'A', probe: of }]));

export const EXPORTS = ['zip', 'json', 'safetensors', 'csv'] as const;
/** `zip`: the record as the lab opens it again; `json` and `safetensors`: its two parts; `csv`: its curves and its sets' means, one number a row. */
export type ExportFormat = (typeof EXPORTS)[number];

export interface Exported {
  name: string;
  type: string;
  bytes: Uint8Array;
}

/** @param options.states false leaves the raw states out, but for those of the chosen token; group means stay */
export function exportRecord(record: LabRecord, format: ExportFormat, options: { states?: boolean } = {}): Exported {
  if (format === 'zip') return { name: 'passage-record.zip', type: 'application/zip', bytes: packRecord(record, options) };
  if (format === 'csv') return { name: 'passage-curves.csv', type: 'text/csv', bytes: new TextEncoder().encode(toCsv({ columns: [...COLUMNS], rows: [...record.runs.flatMap(rowsOf), ...besideRows(record.runs), ...(record.sets ?? []).flatMap(setRows), ...(record.alignment ? alignmentRows(record.alignment) : [])] })) };
  const { json, arrays } = splitRecord(record, options);
  if (format === 'json') return { name: 'record.json', type: 'application/json', bytes: new TextEncoder().encode(JSON.stringify(json, null, 1)) };
  return { name: 'arrays.safetensors', type: 'application/octet-stream', bytes: writeSafetensors(arrays) };
}

const COLUMNS = ['slot', 'model', 'passage in', 'question in', 'layer', 'measure', 'of', 'value'] as const;

/** The curves of one run in long form, so that any program can pivot them. Not finite is empty. */
function rowsOf({ slot, probe }: RecordedRun): (string | number | null)[][] {
  const head = [slot, probe.provenance.model, probe.ask.contextLanguage ?? '', probe.ask.questionLanguage ?? ''];
  const rows: (string | number | null)[][] = [];
  const add = (layer: number, measure: string, of: string, value: number): void => void rows.push([...head, layer, measure, of, Number.isFinite(value) ? value : null]);
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
