/** How long a study will take, from a few of its own cells run on this machine and thrown away. */
import type { Item, LoadedModel } from '../types';
import { cells as enumerate, type Cell, type StudyDesign } from './design';
import { labRunner, type CellLab } from './session';
import type { Device } from '../types';

export interface ModelEstimate {
  title: string;
  device: Device;
  loadSeconds: number;
  /** Of one cell whose context is known. */
  cellMs: number;
  /** What the first cell on a context costs more. */
  contextMs: number;
  seconds: number;
  /** The weights, and the cache of one long prompt; null where the files' sizes are unknown. */
  bytes: number | null;
  /** Why a measure of the design cannot be taken on it. */
  opaque: string | null;
}

export interface StudyEstimate {
  cells: number;
  contexts: number;
  seconds: number;
  models: ModelEstimate[];
}

/** Cells timed per model on one context, after one that only warms up. */
const TIMED = 3;

/** Cells grouped by the context they share, per model. */
export function contexts(all: readonly Cell[], model: number): Cell[][] {
  const groups = new Map<string, Cell[]>();
  for (const cell of all) {
    if (cell.model !== model) continue;
    const key = `${cell.contextLanguage}|${cell.item.paragraph}`;
    const list = groups.get(key);
    if (list) list.push(cell);
    else groups.set(key, [cell]);
  }
  return [...groups.values()];
}

/** Seconds of `cells` cells on `groups` contexts, from the times of consecutive cells on one. */
export function extrapolate(ms: readonly number[], cells: number, groups: number): { cellMs: number; contextMs: number; seconds: number } {
  const [first = 0, ...rest] = ms;
  const cellMs = rest.length > 0 ? rest.reduce((a, b) => a + b, 0) / rest.length : first;
  const contextMs = Math.max(0, first - cellMs);
  return { cellMs, contextMs, seconds: (cellMs * cells + contextMs * groups) / 1000 };
}

export async function calibrate(
  design: StudyDesign,
  items: readonly Item[],
  lab: CellLab,
  options: { signal: AbortSignal; device?: Device; onStep?: (text: string) => void },
): Promise<StudyEstimate> {
  const all = enumerate(design, items);
  const { signal } = options;
  const models: ModelEstimate[] = [];
  let known: LoadedModel | null = null;
  const watched: CellLab = { load: async (...a) => (known = await lab.load(...a)), cell: (...a) => lab.cell(...a), terminate: () => lab.terminate() };
  const runner = labRunner(watched, items, { ...options, precise: design.precise });
  for (const [m, model] of design.models.entries()) {
    options.onStep?.(`Loading ${model.title}`);
    const before = performance.now();
    await runner.model(model, signal);
    const loadSeconds = (performance.now() - before) / 1000;
    const groups = contexts(all, m);
    if (groups.length === 0) continue;
    options.onStep?.(`Timing ${model.title}`);
    const ms: number[] = [];
    await runner.run(groups[0][0], design, signal);
    // Another context where there is one: the warm-up has filled the first one's cache.
    for (const cell of groups[groups.length > 1 ? Math.floor(groups.length / 2) : 0].slice(0, TIMED)) {
      const start = performance.now();
      await runner.run(cell, design, signal);
      ms.push(performance.now() - start);
    }
    const loaded = known as LoadedModel | null;
    const n = groups.reduce((sum, g) => sum + g.length, 0);
    const weights = loaded?.provenance.files.reduce((sum, f) => sum + f.bytes, 0) ?? null;
    const found = extrapolate(ms, n, groups.length);
    models.push({ title: model.title, device: loaded?.device ?? 'wasm', loadSeconds, ...found, seconds: found.seconds + loadSeconds, bytes: weights, opaque: loaded?.opaque ?? null });
  }
  return {
    cells: all.length,
    contexts: design.models.reduce((sum, _, m) => sum + contexts(all, m).length, 0),
    seconds: models.reduce((sum, m) => sum + m.seconds, 0),
    models,
  };
}
