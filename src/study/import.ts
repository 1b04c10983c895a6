/**
 * Reading exported studies back, and putting several together: a class sums up its laptops. Nothing stored is ever overwritten;
 * where two machines disagree on a cell, the one at hand stays and the disagreement is listed.
 */
import { Unzip, UnzipInflate, strFromU8 } from 'fflate';
import { GROUPS, LANGUAGES } from '../types';
import { ERROR_TYPES } from '../xmrc/errors';
import { BrokenJson, parseJson } from '../xmrc/json';
import { cellId, designProblems, incompatible, modelKey, scenarioOf, union, type StudyDesign } from './design';
import { EXPORT_FORMAT, EXPORT_VERSION } from './export';
import { substance, type CellResult } from './result';
import type { StudyStore } from './store';

/** Unpacked, all files together. A zip that wants more is refused while it unpacks, not after. */
export const MOST_BYTES = 512 * 1024 * 1024;

export class ImportError extends Error {
  override readonly name = 'ImportError';
}

export interface ImportedStudy {
  design: StudyDesign;
  cells: CellResult[];
}

/** The two files an import needs; tables and figures are made anew and need no trust. */
const NEEDED = ['study.json', 'samples.jsonl'];

function unzip(bytes: Uint8Array, most: number): Map<string, Uint8Array> {
  const files = new Map<string, Uint8Array>();
  let total = 0;
  const reader = new Unzip((file) => {
    const name = file.name.replace(/^.*\//, '');
    if (!NEEDED.includes(name) || files.has(name)) return;
    const parts: Uint8Array[] = [];
    file.ondata = (error, chunk, final) => {
      if (error) throw new ImportError(`the zip is broken in ${file.name}: ${error.message}`);
      total += chunk.length;
      if (total > most) throw new ImportError(`the zip unpacks to more than ${Math.round(most / 1048576)} MiB`);
      parts.push(chunk);
      if (final) files.set(name, join(parts));
    };
    file.start();
  });
  reader.register(UnzipInflate);
  if (bytes[0] !== 0x50 || bytes[1] !== 0x4b) throw new ImportError('this is not a zip file');
  try {
    // Small bites, so that the limit is noticed early.
    for (let i = 0; i < bytes.length; i += 65536) reader.push(bytes.subarray(i, i + 65536), i + 65536 >= bytes.length);
  } catch (error) {
    if (error instanceof ImportError) throw error;
    throw new ImportError(`the zip is broken: ${error instanceof Error ? error.message : String(error)}`);
  }
  return files;
}

function join(parts: readonly Uint8Array[]): Uint8Array {
  const out = new Uint8Array(parts.reduce((n, p) => n + p.length, 0));
  let at = 0;
  for (const p of parts) {
    out.set(p, at);
    at += p.length;
  }
  return out;
}

export function importStudy(zip: Uint8Array, most: number = MOST_BYTES): ImportedStudy {
  const files = unzip(zip, most);
  for (const name of NEEDED) if (!files.has(name)) throw new ImportError(`the zip holds no whole ${name}; is it a study exported by this lab?`);
  const head = read('study.json', strFromU8(files.get('study.json')!)) as { format?: unknown; version?: unknown; design?: StudyDesign };
  if (head?.format !== EXPORT_FORMAT || !head.design) throw new ImportError('study.json is not the head of a study of this lab');
  if (head.version !== EXPORT_VERSION) throw new ImportError(`the study has format version ${String(head.version)}; this lab reads version ${EXPORT_VERSION}`);
  const design = checkDesign(head.design);
  const models = new Set(design.models.map((m) => modelKey(m.ref)));
  const seen = new Set<string>();
  const cells: CellResult[] = [];
  strFromU8(files.get('samples.jsonl')!)
    .split('\n')
    .forEach((text, i) => {
      if (text.trim() === '') return;
      const where = `samples.jsonl, line ${i + 1}`;
      const line = read(where, text) as { lab?: unknown } | null;
      const cell = checkCell(line?.lab, design, models);
      if (typeof cell === 'string') throw new ImportError(`${where}: ${cell}`);
      if (seen.has(cell.id)) throw new ImportError(`${where}: the cell ${cell.id} stands here a second time`);
      seen.add(cell.id);
      cells.push(cell);
    });
  return { design, cells };
}

function read(where: string, text: string): unknown {
  try {
    return parseJson(text);
  } catch (error) {
    if (error instanceof BrokenJson) throw new ImportError(`${where}: not JSON (${error.message})`);
    throw error;
  }
}

function checkDesign(d: StudyDesign): StudyDesign {
  const lists = [d.models, d.items, d.scenarios, d.languages, d.measures];
  const whole =
    typeof d.id === 'string' && typeof d.name === 'string' && lists.every(Array.isArray) && typeof d.set?.name === 'string' && typeof d.prompt === 'object' && d.prompt !== null &&
    d.models.every((m) => typeof m?.ref?.id === 'string' && typeof m.title === 'string') && d.languages.every((l) => LANGUAGES.includes(l));
  if (!whole) throw new ImportError('study.json: the design is not whole');
  const problems = designProblems(d);
  if (problems.length > 0) throw new ImportError(`study.json: ${problems.join('; ')}`);
  return d;
}

const isScores = (s: unknown): boolean => {
  const v = s as { f1?: unknown; em?: unknown } | null | undefined;
  return typeof v?.f1 === 'number' && v.f1 >= 0 && v.f1 <= 1 && (v.em === 0 || v.em === 1);
};

function checkCell(value: unknown, design: StudyDesign, models: ReadonlySet<string>): CellResult | string {
  if (typeof value !== 'object' || value === null) return 'no "lab" part';
  const c = value as CellResult;
  const texts: (keyof CellResult)[] = ['id', 'model', 'item', 'paragraph', 'prediction', 'gold', 'time'];
  for (const key of texts) if (typeof c[key] !== 'string') return `"${key}" is not a text`;
  if (!LANGUAGES.includes(c.contextLanguage) || !LANGUAGES.includes(c.questionLanguage)) return 'unknown language';
  if (c.scenario !== scenarioOf(c.contextLanguage, c.questionLanguage)) return `the scenario ${String(c.scenario)} does not fit its languages`;
  if (!models.has(c.model)) return `the model ${c.model} is not in the design`;
  const ref = design.models.find((m) => modelKey(m.ref) === c.model)!.ref;
  if (c.id !== cellId(ref, c, c.item)) return `the id ${c.id} does not fit its model, languages and item`;
  if (!isScores(c.squad) || !isScores(c.languageAware) || !isScores(c.contentOnly)) return 'scores are missing or out of range';
  if (!ERROR_TYPES.includes(c.error?.type) || (c.corrected !== undefined && !ERROR_TYPES.includes(c.corrected))) return 'unknown error type';
  if (typeof c.ms !== 'number' || typeof c.tokens !== 'number' || typeof c.promptTokens !== 'number') return 'times or token counts are missing';
  const measure = brokenMeasure(c);
  return measure ? `the measure ${measure} is not as this lab writes it` : { ...c, study: design.id };
}

const isNumbers = (list: unknown, also: null | undefined = undefined): boolean => Array.isArray(list) && list.every((v) => typeof v === 'number' || (also === null && v === null));

/** The tables read these: what is there must be whole. */
function brokenMeasure({ oracle, mrd, alignment, patching }: CellResult): string | null {
  if (oracle && !(typeof oracle.hit === 'boolean' && typeof oracle.chance === 'number' && (oracle.controlHit === null || typeof oracle.controlHit === 'boolean'))) return 'oracle';
  if (mrd && !isNumbers([mrd.question, mrd.answerSpan, mrd.layers])) return 'mrd';
  if (alignment && !isNumbers(alignment)) return 'alignment';
  if (patching && !(isNumbers(patching.layers) && Array.isArray(patching.groups) && patching.groups.every((g) => GROUPS.includes(g?.group) && isNumbers(g.effects, null) && isNumbers(g.flips)))) return 'patching';
  return null;
}

export interface Conflict {
  id: string;
  here: CellResult;
  there: CellResult;
}

export interface Merged {
  added: number;
  /** In both, and the same. */
  same: number;
  /** In both, and different: what was here stays. */
  conflicts: Conflict[];
  /** Corrections taken over where only the other side had one. */
  corrections: number;
}

/** Stores an imported study as it is; under a new id where its own is taken by other contents. */
export async function addStudy(store: StudyStore, study: ImportedStudy, newId: () => string): Promise<{ id: string; merged: Merged }> {
  const here = await store.getStudy(study.design.id);
  const id = here && incompatible(here, study.design) !== null ? newId() : study.design.id;
  if (here && id === study.design.id) return { id, merged: await mergeStudy(store, id, study) };
  await store.putStudy({ ...study.design, id });
  await putAll(store, study.cells.map((c) => ({ ...c, study: id })));
  return { id, merged: { added: study.cells.length, same: 0, conflicts: [], corrections: 0 } };
}

/** Adds the cells of `study` to the stored study `into`. Refuses designs whose answers may not stand in one table. */
export async function mergeStudy(store: StudyStore, into: string, study: ImportedStudy): Promise<Merged> {
  const design = await store.getStudy(into);
  if (!design) throw new ImportError(`no study ${into}`);
  const reason = incompatible(design, study.design);
  if (reason) throw new ImportError(`these studies cannot be put together: ${reason}`);
  const merged: Merged = { added: 0, same: 0, conflicts: [], corrections: 0 };
  const incoming = new Map(study.cells.map((c) => [c.id, { ...c, study: into }]));
  const write: CellResult[] = [];
  for await (const batch of store.batches(into)) {
    for (const here of batch) {
      const there = incoming.get(here.id);
      if (!there) continue;
      incoming.delete(here.id);
      if (here.failed && !there.failed) {
        write.push(there);
        merged.added++;
      } else if ((there.failed && !here.failed) || substance(here) === substance(there)) {
        merged.same++;
        if (here.corrected === undefined && there.corrected !== undefined) {
          write.push({ ...here, corrected: there.corrected });
          merged.corrections++;
        }
      } else merged.conflicts.push({ id: here.id, here, there });
    }
  }
  merged.added += incoming.size;
  await store.putStudy(union(design, study.design));
  await putAll(store, [...write, ...incoming.values()]);
  return merged;
}

/** In batches: one transaction of 20,000 records would hold the store for seconds. */
async function putAll(store: StudyStore, cells: readonly CellResult[]): Promise<void> {
  for (let i = 0; i < cells.length; i += 1000) await store.putCells(cells.slice(i, i + 1000));
}
