/** What a record gives away: the link that asks the same again, and files of several kinds. Pure. */
import { groupRelevance, mrd, MRD_THRESHOLD } from '../probe/phases';
import { layerCosine, norms } from '../probe/similarity';
import { GROUPS, type Ask, type Probe, type TokenGroup } from '../types';
import { goldOf } from '../xmrc/answer';
import { toCsv } from './csv';
import { tokensHash } from './hash';
import type { LinkAsk, ProbeLink } from './link';
import { sketchProbe } from './provenance';
import { makeRecord, packRecord, splitRecord, type LabRecord, type RecordedRun } from './record';
import { writeSafetensors } from './safetensors';
import { mrdName, setRows } from './sets';

/** One run by itself, or a whole record: either can be linked to and saved. */
export type Recordable = Probe | LabRecord;

export const asRecord = (of: Recordable): LabRecord => ('runs' in of ? of : makeRecord([{ slot: 'A', probe: of }]));

/** How a link says what was asked. An item of no named set travels as its text. */
export function linkAsk(ask: Ask): LinkAsk {
  const { contextLanguage, questionLanguage, prompt } = ask;
  const more = prompt ? { prompt } : {};
  // the model's own answer is found again by whoever asks it again
  const gold = 'item' in ask ? null : goldOf(ask.answer);
  if (!('item' in ask)) return { kind: 'text', context: ask.context, question: ask.question, ...(contextLanguage ? { contextLanguage } : {}), ...(questionLanguage ? { questionLanguage } : {}), ...(gold ? { answer: gold } : {}), ...more };
  const { item } = ask;
  const set = ask.set ?? (typeof item === 'string' ? undefined : item.set);
  if (set || typeof item === 'string') return { kind: 'item', set: set ?? 'world', item: typeof item === 'string' ? item : item.id, contextLanguage: ask.contextLanguage, questionLanguage: ask.questionLanguage, ...more };
  const answer = item.answer[ask.contextLanguage];
  return { kind: 'text', context: item.context[ask.contextLanguage] ?? '', question: item.question[ask.questionLanguage] ?? '', contextLanguage: ask.contextLanguage, questionLanguage: ask.questionLanguage, ...(answer ? { answer } : {}), ...more };
}

/** And back: the ask that a link means; null when it asks nothing. */
export function askOfLink(ask: LinkAsk | null): Ask | null {
  if (!ask) return null;
  if (ask.kind === 'item') {
    const { kind: _kind, ...rest } = ask;
    return rest;
  }
  const { kind: _kind, english: _english, ...rest } = ask;
  return rest;
}

const modelOf = ({ model }: Probe): ProbeLink['models'][number] => ({ ...model.ref, revision: model.provenance.revision, dtype: model.dtype });

/** The link that reopens a record's view: models pinned to their commits; devices where they were chosen, or are what differs. */
export function linkOfRecord(record: LabRecord): ProbeLink {
  const [main, ...rest] = record.runs.filter((r) => r.slot === 'A').map((r) => r.probe);
  const b = record.runs.find((r) => r.slot === 'B')?.probe;
  if (!main) return { version: 1, ask: null, models: [], view: record.view };
  const sketch = sketchProbe(main);
  const apart = b !== undefined && b.model.device !== main.model.device;
  const languages = rest.flatMap((p) => p.ask.questionLanguage ?? []);
  return {
    version: 1,
    ask: linkAsk(main.ask),
    models: [main, ...(b ? [b] : [])].map(modelOf),
    ...(apart || main.model.deviceReason === 'asked for' ? { device: main.model.device } : {}),
    ...(apart ? { deviceB: b?.model.device } : {}),
    ...(languages.length > 0 ? { languages } : {}),
    tokens: tokensHash(main.tokens.filter((t) => t.group !== 'answer')),
    ...(sketch ? { sketch } : {}),
    view: record.view,
  };
}

export const EXPORTS = ['zip', 'json', 'safetensors', 'csv'] as const;
/** `zip`: the record as the lab opens it again; `json` and `safetensors`: its two parts; `csv`: its curves, its maps and sweeps, and its sets' means, one number a row. */
export type ExportFormat = (typeof EXPORTS)[number];

export interface Exported {
  name: string;
  type: string;
  bytes: Uint8Array;
}

/** @param options.states false leaves the raw states of all positions out; group means stay */
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
function csvRows({ runs, sets = [], view }: LabRecord): Row[] {
  return [...runs.flatMap((run) => [...runRows(run), ...relevanceRows(run, view.threshold), ...patchRows(run)]), ...sets.flatMap((set) => setRows(set, view.threshold))];
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
