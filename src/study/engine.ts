/**
 * The queue of a study: one cell after the other, each stored the moment it is finished. Stopping it, in whatever way, loses at
 * most the cell under way; starting it again goes on with what is missing and recomputes nothing.
 *
 * It knows no model: the runner is given. So it is tested without one.
 */
import type { Item } from '../types';
import { cells as enumerate, designProblems, type Cell, type StudyDesign, type StudyModel } from './design';
import { failedCell, scoreCell, type CellOutcome } from './result';
import type { StudyStore } from './store';

export interface CellRunner {
  /** Called before the first cell of a model; loads it and may free the one before. */
  model(model: StudyModel, signal: AbortSignal): Promise<void>;
  /** Called before the first of consecutive cells that share a context: a chance to fill the prefix cache. Optional. */
  prefix?(cell: Cell, signal: AbortSignal): Promise<void>;
  run(cell: Cell, design: StudyDesign, signal: AbortSignal): Promise<CellOutcome>;
}

export type StudyState = 'running' | 'paused' | 'done' | 'cancelled';

export interface StudyProgress {
  state: StudyState;
  /** Finished cells, those of earlier sessions included; never falls. */
  done: number;
  total: number;
  failed: number;
  /** Cells per second over the last cells of this session, pauses not counted; null before the first. */
  rate: number | null;
  remainingSeconds: number | null;
  /** The cell under way, or the last one. */
  cell: Pick<Cell, 'id' | 'scenario' | 'contextLanguage' | 'questionLanguage'> | null;
  /** Why it pauses, when nobody asked it to. */
  message: string | null;
}

export interface StudyOptions {
  items: readonly Item[];
  signal?: AbortSignal;
  onProgress?: (progress: StudyProgress) => void;
  /** Try again what failed in an earlier session. */
  retryFailed?: boolean;
  /** Milliseconds; for tests. */
  now?: () => number;
}

export interface StudyHandle {
  readonly progress: StudyProgress;
  /** After the cell under way. */
  pause(): void;
  resume(): void;
  /** At once; the cell under way is dropped. */
  cancel(): void;
  /** Resolves when all cells are finished or the study is cancelled; never rejects for a trouble that pausing can mend. */
  readonly finished: Promise<StudyProgress>;
}

/** Troubles of one cell that running it again would only repeat: they are recorded and the queue goes on. */
const OF_THE_CELL = new Set(['too-long', 'bad-input', 'empty-question', 'unsupported-graph']);
const WINDOW = 50;

export function runStudy(design: StudyDesign, runner: CellRunner, store: StudyStore, options: StudyOptions): StudyHandle {
  const problems = designProblems(design);
  if (problems.length > 0) throw new Error(problems.join('; '));
  const all = enumerate(design, options.items);
  const now = options.now ?? (() => performance.now());
  const abort = new AbortController();
  const recent: number[] = [];
  let wanted: 'run' | 'pause' = 'run';
  let wake: (() => void) | null = null;
  let progress: StudyProgress = { state: 'running', done: 0, total: all.length, failed: 0, rate: null, remainingSeconds: null, cell: null, message: null };

  function report(change: Partial<StudyProgress>): void {
    progress = { ...progress, ...change };
    options.onProgress?.(progress);
  }
  function pauseWith(message: string | null): void {
    wanted = 'pause';
    report({ state: 'paused', message });
  }
  /** Returns when the queue may go on; false when it is cancelled. */
  async function ready(): Promise<boolean> {
    while (wanted === 'pause' && !abort.signal.aborted) {
      if (progress.state !== 'paused') report({ state: 'paused' });
      await new Promise<void>((resolve) => (wake = resolve));
      wake = null;
    }
    return !abort.signal.aborted;
  }
  /** Does `work`, pausing with the reason and trying again after a resume as often as needed. `undefined`: cancelled. */
  async function insist<T>(work: () => Promise<T>): Promise<T | undefined> {
    while (await ready()) {
      try {
        return await work();
      } catch (error) {
        if (abort.signal.aborted) return undefined;
        pauseWith(sayError(error));
      }
    }
    return undefined;
  }
  function tick(ms: number): void {
    recent.push(ms);
    if (recent.length > WINDOW) recent.shift();
    const each = recent.reduce((a, b) => a + b, 0) / recent.length / 1000;
    const done = progress.done + 1;
    report({ done, rate: each > 0 ? 1 / each : null, remainingSeconds: (progress.total - done) * each });
  }

  async function work(): Promise<StudyProgress> {
    const finished = await insist(async () => {
      await store.putStudy(design);
      return store.doneIds(design.id);
    });
    if (finished && options.retryFailed) {
      for await (const batch of store.batches(design.id)) for (const r of batch) if (r.failed) finished.delete(r.id);
    }
    const todo = finished ? all.filter((c) => !finished.has(c.id)) : [];
    report({ done: all.length - todo.length });
    let model = -1;
    let prefix = '';
    for (const cell of todo) {
      if (!(await ready())) break;
      const started = now();
      // The model is loaded anew after any trouble: a lost device or worker took it along.
      const result = await insist(async () => {
        try {
          if (cell.model !== model) {
            await runner.model(design.models[cell.model], abort.signal);
            model = cell.model;
            prefix = '';
          }
          const own = `${cell.model}|${cell.contextLanguage}|${cell.item.paragraph}`;
          if (own !== prefix) {
            await runner.prefix?.(cell, abort.signal);
            prefix = own;
          }
          report({ state: 'running', message: null, cell: { id: cell.id, scenario: cell.scenario, contextLanguage: cell.contextLanguage, questionLanguage: cell.questionLanguage } });
          const outcome = await runner.run(cell, design, abort.signal);
          abort.signal.throwIfAborted();
          return scoreCell(design, cell, outcome, new Date().toISOString());
        } catch (error) {
          const code = codeOf(error);
          if (!abort.signal.aborted && code !== null && OF_THE_CELL.has(code)) return failedCell(design, cell, { code, message: sayError(error) }, new Date().toISOString());
          model = -1;
          throw error;
        }
      });
      if (!result) break;
      // The result is kept in hand until it is stored: a full disk pauses the study and loses nothing.
      const stored = await insist(async () => {
        await store.putCell(result);
        return true;
      });
      if (!stored) break;
      if (result.failed) progress = { ...progress, failed: progress.failed + 1 };
      tick(now() - started);
    }
    report({ state: abort.signal.aborted ? 'cancelled' : 'done', message: null, cell: abort.signal.aborted ? progress.cell : null });
    return progress;
  }

  function cancel(): void {
    abort.abort(new DOMException('The study was cancelled', 'AbortError'));
    wake?.();
  }
  if (options.signal?.aborted) cancel();
  options.signal?.addEventListener('abort', cancel, { once: true });
  const finished = work();
  return {
    get progress() {
      return progress;
    },
    pause() {
      wanted = 'pause';
    },
    resume() {
      wanted = 'run';
      if (progress.state === 'paused') report({ state: 'running', message: null });
      wake?.();
    },
    cancel,
    finished,
  };
}

function codeOf(error: unknown): string | null {
  return typeof error === 'object' && error !== null && 'code' in error && typeof error.code === 'string' ? error.code : null;
}

function sayError(error: unknown): string {
  const message = error instanceof Error ? error.message : String(error);
  const hint = typeof error === 'object' && error !== null && 'hint' in error && typeof error.hint === 'string' ? ` ${error.hint}` : '';
  return (message + hint).trim();
}
