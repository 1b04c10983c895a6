/**
 * Who may run, and who gives way. Calls run one after another (a model has one device to run on); a call takes the place of
 * an earlier one in its own lane, running or waiting: "latest call wins". A call without a lane gives way to nobody.
 */
import { LabError, abortReason, throwIfAborted } from './errors';

export class Lanes {
  private readonly running = new Map<string, AbortController>();
  private readonly all = new Set<AbortController>();
  private turn: Promise<unknown> = Promise.resolve();

  /**
   * @param outer the caller's own signal
   * @throws LabError 'superseded' when a later call in the same lane came, 'cancelled' by `outer`
   */
  async run<T>(lane: string | null, outer: AbortSignal | undefined, work: (signal: AbortSignal) => Promise<T>): Promise<T> {
    const controller = new AbortController();
    const cancel = (): void => controller.abort(outer ? abortReason(outer) : undefined);
    throwIfAborted(outer);
    outer?.addEventListener('abort', cancel, { once: true });
    if (lane !== null) {
      this.running.get(lane)?.abort(new LabError('superseded', 'A newer request took the place of this one.'));
      this.running.set(lane, controller);
    }
    this.all.add(controller);
    const before = this.turn;
    let release = (): void => undefined;
    this.turn = new Promise<void>((resolve) => (release = resolve));
    try {
      await before;
      throwIfAborted(controller.signal);
      return await work(controller.signal);
    } finally {
      release();
      outer?.removeEventListener('abort', cancel);
      this.all.delete(controller);
      if (lane !== null && this.running.get(lane) === controller) this.running.delete(lane);
    }
  }

  abortAll(reason: LabError): void {
    for (const controller of this.all) controller.abort(reason);
  }
}
