/**
 * A study as a page runs it: one tab at a time, the queue here, the model in a worker of its own. Killing the page at any moment
 * loses at most the cell under way.
 */
import { LabError } from '../runtime/errors';
import type { Device, Item, LoadOptions, LoadedModel, ModelRef } from '../types';
import { cellRequest, type CellRequest } from './cell';
import type { StudyDesign, StudyModel } from './design';
import { runStudy, type CellRunner, type StudyHandle, type StudyOptions, type StudyProgress } from './engine';
import type { CellOutcome } from './result';
import { summaryOf, type StudyStore } from './store';
import type { Summary } from './aggregate';

/** What a study needs of a lab. */
export interface CellLab {
  load(ref: ModelRef, options: LoadOptions & { signal?: AbortSignal }): Promise<LoadedModel>;
  cell(request: CellRequest, calls: { signal?: AbortSignal }): Promise<CellOutcome>;
  /** Ends the worker and gives its memory back. */
  terminate(): void;
}

/** What works through a study's results: in a worker in a page, at hand in a test. */
export interface StudyOffice {
  summary(id: string): Promise<Summary>;
  pack(id: string, figures?: Record<string, string>): Promise<Blob>;
}

export interface SessionOptions extends Pick<StudyOptions, 'signal' | 'onProgress' | 'retryFailed'> {
  items: readonly Item[];
  /** Default: the best this browser has. */
  device?: Device;
  /** Keep the screen on while cells run, where the browser lets a page ask. */
  awake?: boolean;
  office?: StudyOffice;
  /** false: no shared prefixes, for comparing. */
  reuse?: boolean;
}

export interface StudyRun extends StudyHandle {
  readonly design: StudyDesign;
  /** What is there so far. */
  results(): Promise<Summary>;
  /** The whole study as one zip. */
  export(figures?: Record<string, string>): Promise<Blob>;
  /** Whether the screen stays on; returns what could be had. */
  keepAwake(on: boolean): Promise<boolean>;
}

/** Troubles that a freshly loaded model may not have. */
const MENDED_BY_LOADING = new Set(['worker-lost', 'device-lost', 'no-model']);

/** Cells answered by a lab; a worker or device that is lost is brought back once per cell before the study pauses. */
export function labRunner(lab: CellLab, items: readonly Item[], options: { device?: Device; reuse?: boolean; precise?: boolean } = {}): CellRunner {
  const paragraphs = new Map<string, Item[]>();
  for (const item of items) {
    const list = paragraphs.get(item.paragraph);
    if (list) list.push(item);
    else paragraphs.set(item.paragraph, [item]);
  }
  let current: StudyModel | null = null;
  let selfTestFailed = false;
  const load = async (model: StudyModel, signal: AbortSignal): Promise<void> => {
    current = null;
    const loaded = await lab.load(model.ref, { signal, ...(options.device ? { device: options.device } : {}), ...(options.precise ? { precise: true } : {}) });
    current = model;
    selfTestFailed = loaded.selfTest?.passed === false;
  };
  const ask = async (request: CellRequest, signal: AbortSignal): Promise<CellOutcome> => {
    const outcome = await lab.cell(request, { signal });
    return selfTestFailed ? { ...outcome, selfTestFailed } : outcome;
  };
  return {
    model: load,
    async run(cell, design, signal) {
      const request = { ...cellRequest(cell, paragraphs.get(cell.item.paragraph) ?? [], design), ...(options.reuse === false ? { reuse: false } : {}) };
      try {
        return await ask(request, signal);
      } catch (error) {
        if (signal.aborted || !current || !(error instanceof LabError) || !MENDED_BY_LOADING.has(error.code)) throw error;
        await load(current, signal);
        return ask(request, signal);
      }
    },
  };
}

/** The lock that a running study holds, so that a second tab can tell. */
export const lockName = (id: string): string => `passage-lab-study-${id}`;

/** @throws LabError 'bad-input' where another tab runs this study */
export async function openSession(design: StudyDesign, lab: CellLab, store: StudyStore, options: SessionOptions): Promise<StudyRun> {
  const release = await holdLock(design);
  const awake = new Awake();
  let handle: StudyHandle;
  try {
    handle = runStudy(design, labRunner(lab, options.items, { ...options, precise: design.precise }), store, {
      items: options.items,
      signal: options.signal,
      retryFailed: options.retryFailed,
      onProgress: (progress) => {
        awake.during(progress.state === 'running');
        options.onProgress?.(progress);
      },
    });
  } catch (error) {
    release();
    lab.terminate();
    throw new LabError('bad-input', error instanceof Error ? error.message : String(error), 'Change the design of the study.');
  }
  if (options.awake) void awake.want(true);
  const finished = handle.finished.finally(() => {
    awake.during(false);
    release();
    lab.terminate();
  });
  return {
    design,
    get progress(): StudyProgress {
      return handle.progress;
    },
    pause: () => handle.pause(),
    resume: () => handle.resume(),
    cancel: () => handle.cancel(),
    finished,
    results: () => (options.office ? options.office.summary(design.id) : summaryOf(store, design.id)),
    export: (figures) =>
      options.office ? options.office.pack(design.id, figures) : Promise.reject(new LabError('internal', 'Nothing here can pack a study.')),
    keepAwake: (on) => awake.want(on),
  };
}

async function holdLock(design: StudyDesign): Promise<() => void> {
  const locks = (globalThis as { navigator?: { locks?: LockManager } }).navigator?.locks;
  if (!locks) return () => undefined;
  return new Promise((resolve, reject) => {
    void locks
      .request(lockName(design.id), { ifAvailable: true }, (lock) => {
        if (!lock) {
          reject(new LabError('bad-input', 'This study is running in another tab.', 'Go on there, or pause and close that tab first.'));
          return undefined;
        }
        return new Promise<void>((release) => resolve(() => release()));
      })
      .catch(reject);
  });
}

/** The screen wake lock: a browser takes it back whenever the tab is hidden, so it is asked for again. */
class Awake {
  private wanted = false;
  private busy = true;
  private lock: WakeLockSentinel | null = null;
  private readonly back = (): void => void this.update();

  async want(on: boolean): Promise<boolean> {
    this.wanted = on;
    if (typeof document !== 'undefined') {
      document.removeEventListener('visibilitychange', this.back);
      if (on) document.addEventListener('visibilitychange', this.back);
    }
    await this.update();
    return this.lock !== null;
  }

  during(busy: boolean): void {
    if (this.busy === busy) return;
    this.busy = busy;
    void this.update();
  }

  private async update(): Promise<void> {
    const wakeLock = (globalThis as { navigator?: { wakeLock?: WakeLock } }).navigator?.wakeLock;
    if (!wakeLock) return;
    if (this.wanted && this.busy && document.visibilityState === 'visible') {
      if (!this.lock || this.lock.released) this.lock = await wakeLock.request('screen').catch(() => null);
    } else {
      await this.lock?.release().catch(() => undefined);
      this.lock = null;
    }
  }
}
