/**
 * One study as one zip: design, one line per sample, summary tables, methods, figures. Made as a stream: cells are read from the
 * store in batches and leave as compressed bytes, so memory does not grow with the study.
 *
 * Sample lines carry the field names of lm-evaluation-harness' sample logs (doc_id, doc, target, resps, filtered_resps, filter,
 * metrics, f1, exact_match); everything else the lab knows of a cell is under `lab`, from which an import restores it whole.
 */
import { Zip, ZipDeflate, strToU8 } from 'fflate';
import type { StudyDesign } from './design';
import { layersCsv, methods, summaryCsv, summaryJson, type Versions } from './report';
import type { CellResult } from './result';
import { summaryOf, type StudyStore } from './store';

export const EXPORT_FORMAT = 'passage-lab-study';
export const EXPORT_VERSION = 1;

export interface SampleLine {
  doc_id: string;
  doc: { id: string; paragraph: string; context_language: string; question_language: string };
  target: string;
  resps: string[][];
  filtered_resps: string[];
  filter: 'none';
  metrics: ['f1', 'exact_match'];
  f1: number;
  exact_match: number;
  lab: Omit<CellResult, 'study'>;
}

export function sampleLine(r: CellResult): string {
  const { study: _, ...lab } = r;
  const line: SampleLine = {
    doc_id: r.item,
    doc: { id: r.item, paragraph: r.paragraph, context_language: r.contextLanguage, question_language: r.questionLanguage },
    target: r.gold,
    resps: [[r.prediction]],
    filtered_resps: [r.prediction],
    filter: 'none',
    metrics: ['f1', 'exact_match'],
    f1: r.squad.f1,
    exact_match: r.squad.em,
    lab,
  };
  return JSON.stringify(line);
}

export interface ExportOptions {
  versions: Versions;
  /** File name → SVG text, put under figures/. */
  figures?: Record<string, string>;
  /** Finished samples so far. */
  onProgress?: (samples: number) => void;
}

/** The zip in chunks. Feed it to a file stream, or gather it with `collect`. */
export async function* exportStudy(store: StudyStore, id: string, options: ExportOptions): AsyncGenerator<Uint8Array> {
  const design = await store.getStudy(id);
  if (!design) throw new Error(`no study ${id}`);
  const ready: Uint8Array[] = [];
  let failure: Error | null = null;
  const zip = new Zip((error, chunk) => {
    if (error) failure = error;
    else ready.push(chunk);
  });
  const open = (name: string): ZipDeflate => {
    const file = new ZipDeflate(name, { level: 6 });
    // A fixed date: the same study gives the same bytes.
    file.mtime = new Date(1980, 0, 1);
    zip.add(file);
    return file;
  };
  const whole = (name: string, text: string): void => open(name).push(strToU8(text), true);
  function* flush(): Generator<Uint8Array> {
    if (failure) throw failure;
    yield* ready.splice(0);
  }

  whole('study.json', JSON.stringify({ format: EXPORT_FORMAT, version: EXPORT_VERSION, design }, null, 1));
  const samples = open('samples.jsonl');
  let count = 0;
  for await (const batch of store.batches(id)) {
    let text = '';
    for (const r of batch) text += sampleLine(r) + '\n';
    samples.push(strToU8(text));
    count += batch.length;
    options.onProgress?.(count);
    yield* flush();
  }
  samples.push(new Uint8Array(0), true);
  const summary = await summaryOf(store, id);
  whole('summary.csv', summaryCsv(summary));
  whole('summary.json', summaryJson(summary));
  const layers = layersCsv(summary);
  if (layers !== null) whole('layers.csv', layers);
  whole('methods.md', methods(summary, options.versions) + '\n');
  for (const [name, svg] of Object.entries(options.figures ?? {})) whole(`figures/${name.replace(/[^\w.-]+/g, '-')}`, svg);
  zip.end();
  yield* flush();
}

export async function collect(chunks: AsyncIterable<Uint8Array>): Promise<Uint8Array> {
  const parts: Uint8Array[] = [];
  let length = 0;
  for await (const c of chunks) {
    parts.push(c);
    length += c.length;
  }
  const out = new Uint8Array(length);
  let at = 0;
  for (const p of parts) {
    out.set(p, at);
    at += p.length;
  }
  return out;
}

export function exportName(design: StudyDesign): string {
  const name = design.name.normalize('NFKD').replace(/[^\p{L}\p{N}]+/gu, '-').replace(/^-+|-+$/g, '').slice(0, 60);
  return `${name || 'study'}.zip`;
}
