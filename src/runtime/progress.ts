/**
 * One monotone meter per load. Invariants (tested): `done` never falls within a phase, `total` does not change once known,
 * and a finished phase that had a total ends on it.
 */
import type { Phase, Progress } from '../types';

export type OnProgress = (progress: Progress) => void;

const REPORT_EVERY_MS = 100;
/** The rate is that of the last few seconds: a resumed download should not look as fast as its cache. */
const WINDOW_MS = 3000;

export class Meter {
  private current: Progress = { phase: 'resolve', done: 0, total: null, rate: null };
  private reportedAt = 0;
  private samples: { at: number; done: number }[] = [];

  constructor(private readonly report: OnProgress | undefined) {}

  phase(phase: Phase, total: number | null = null, note?: string): void {
    this.samples = [];
    this.current = { phase, done: 0, total, rate: null, ...(note ? { note } : {}) };
    this.emit(true);
  }

  /** Sets the total where it was unknown; a second value is ignored, so that the bar never jumps. */
  total(total: number): void {
    this.current.total ??= Math.max(total, this.current.done);
  }

  note(note: string): void {
    this.current.note = note;
    this.emit(true);
  }

  /** `moved` = false for bytes that did not travel (already on this device): they count, but not toward the rate. */
  add(amount: number, moved = true): void {
    const now = performance.now();
    let done = this.current.done + amount;
    // A server that sends more than it announced is caught by the length check; the bar stays within its total.
    if (this.current.total !== null) done = Math.min(done, this.current.total);
    this.current.done = done;
    if (moved) {
      this.samples.push({ at: now, done: amount });
      while (this.samples.length > 1 && now - this.samples[0].at > WINDOW_MS) this.samples.shift();
      const span = now - this.samples[0].at;
      const bytes = this.samples.slice(1).reduce((sum, s) => sum + s.done, 0);
      this.current.rate = span > 50 ? (bytes / span) * 1000 : this.current.rate;
    }
    this.emit(false);
  }

  finish(): void {
    if (this.current.total !== null) this.current.done = this.current.total;
    this.emit(true);
  }

  private emit(force: boolean): void {
    const now = performance.now();
    if (!force && now - this.reportedAt < REPORT_EVERY_MS) return;
    this.reportedAt = now;
    this.report?.({ ...this.current });
  }
}
