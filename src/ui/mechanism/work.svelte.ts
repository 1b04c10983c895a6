/** Relevance and patching of what is on show, in both slots: started by a click, stopped by another, kept until something else is asked. */
import type { LabClient } from '../../lab-client';
import type { Patching, PatchOptions, Relevance, RelevanceOptions } from '../../lab-mechanism';
import type { RecordedRun } from '../../share/record';
import type { Ask, Probe, Progress } from '../../types';
import { getLab, isQuiet, toTrouble, type Trouble } from '../lab-api';
import { compare } from '../state/compare.svelte';
import type { Calls } from '../../wire';
import { fromRecorded, fromRecordedPatch, toRecorded, toRecordedPatch } from './restore';

export type Slot = 'A' | 'B';

/** The lab that has the slot's model. */
export async function labOf(slot: Slot): Promise<LabClient> {
  if (slot === 'A') return getLab();
  const lab = await compare.lab();
  if (!lab) throw new Error('No model B is chosen.');
  return lab;
}

export class Work<Options, Result> {
  status: 'idle' | 'running' | 'failed' = $state('idle');
  progress: Progress | null = $state.raw(null);
  trouble: Trouble | null = $state.raw(null);
  /** The last result, and the probe it belongs to. */
  result: { of: Probe; value: Result } | null = $state.raw(null);
  /** What runs now. */
  #going: { of: Probe; options: Options } | null = $state.raw(null);
  /** The probe whose last run came to nothing: it was cancelled, or failed. */
  #ended: Probe | null = $state.raw(null);
  #turn = 0;
  #abort: AbortController | null = null;

  constructor(private readonly ask: (ask: Ask, options: Options, calls: Calls) => Promise<Result>) {}

  /** The result, if it is of this probe. */
  of(probe: Probe | null): Result | null {
    return probe !== null && this.result?.of === probe ? this.result.value : null;
  }

  /** What is being worked out for this probe. */
  going(probe: Probe | null): Options | null {
    return probe !== null && this.#going?.of === probe ? this.#going.options : null;
  }

  /** Nothing runs, and nothing was tried for this probe: it may begin by itself. What the reader cancelled does not. */
  idle(probe: Probe): boolean {
    return this.status !== 'running' && this.#ended !== probe;
  }

  async run(of: Probe, options: Options): Promise<void> {
    const turn = ++this.#turn;
    const mine = () => turn === this.#turn;
    this.#abort?.abort();
    const abort = (this.#abort = new AbortController());
    this.status = 'running';
    this.progress = null;
    this.trouble = null;
    this.#going = { of, options };
    this.#ended = null;
    try {
      const onProgress = (p: Progress) => {
        if (mine()) this.progress = p;
      };
      const value = await this.ask(of.ask, options, { signal: abort.signal, onProgress });
      if (!mine()) return;
      this.result = { of, value };
      this.status = 'idle';
    } catch (error) {
      if (!mine()) return;
      this.#ended = of;
      const trouble = toTrouble(error);
      this.status = isQuiet(trouble) ? 'idle' : 'failed';
      this.trouble = isQuiet(trouble) ? null : trouble;
    } finally {
      if (mine()) this.#going = null;
    }
  }

  /** Asks it to end; what a stopped sweep has still arrives. */
  cancel(): void {
    this.#abort?.abort();
  }

  put(of: Probe, value: Result): void {
    this.#turn++;
    this.#abort?.abort();
    this.status = 'idle';
    this.trouble = null;
    this.#going = null;
    this.result = { of, value };
  }
}

const relevanceOf = (slot: Slot) =>
  new Work<RelevanceOptions, Relevance>(async (ask, options, calls) => (await labOf(slot)).relevance(ask, options, calls));
const patchingOf = (slot: Slot) =>
  new Work<PatchOptions, Patching>(async (ask, options, calls) => (await labOf(slot)).patch(ask, { ...options, partial: true }, calls));
export const relevance: Record<Slot, Work<RelevanceOptions, Relevance>> = { A: relevanceOf('A'), B: relevanceOf('B') };
export const patching: Record<Slot, Work<PatchOptions, Patching>> = { A: patchingOf('A'), B: patchingOf('B') };

/** What of both belongs into a record of this probe. */
export function recorded(probe: Probe, slot: Slot = 'A'): Pick<RecordedRun, 'relevance' | 'patch'> {
  const r = relevance[slot].of(probe);
  const p = patching[slot].of(probe);
  return { ...(r ? { relevance: toRecorded(r) } : {}), ...(p ? { patch: toRecordedPatch(p) } : {}) };
}

/** And back: a record's maps and sweeps are on show without a model. */
export function restore({ slot, probe, relevance: r, patch: p }: RecordedRun): void {
  const map = r && fromRecorded(probe, r);
  if (map) relevance[slot].put(probe, map);
  const sweep = p && fromRecordedPatch(probe, p);
  if (sweep) patching[slot].put(probe, sweep);
}
