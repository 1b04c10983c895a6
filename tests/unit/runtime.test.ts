import { describe, expect, test } from 'vitest';
import { LabError, toLabError } from '../../src/runtime/errors';
import { Lanes } from '../../src/runtime/lanes';
import { Meter } from '../../src/runtime/progress';
import type { Progress } from '../../src/types';

describe('Meter', () => {
  test('done never falls, total never changes, the end is the total', () => {
    const seen: Progress[] = [];
    const meter = new Meter((p) => seen.push(p));
    meter.phase('download', 100);
    for (let i = 0; i < 12; i++) meter.add(10);
    meter.total(50);
    meter.finish();
    expect(seen.every((p, i) => i === 0 || p.done >= seen[i - 1].done)).toBe(true);
    expect(new Set(seen.map((p) => p.total))).toEqual(new Set([100]));
    expect(seen.at(-1)?.done).toBe(100);
  });

  test('an unknown total becomes known once', () => {
    const seen: Progress[] = [];
    const meter = new Meter((p) => seen.push(p));
    meter.phase('download');
    meter.add(30);
    meter.total(20);
    meter.total(99);
    meter.finish();
    expect(seen.at(-1)).toMatchObject({ done: 30, total: 30 });
  });
});

describe('Lanes', () => {
  const gate = (): { promise: Promise<void>; open: () => void } => {
    let open = (): void => undefined;
    const promise = new Promise<void>((resolve) => (open = resolve));
    return { promise, open };
  };

  test('one at a time, in order', async () => {
    const lanes = new Lanes();
    const log: string[] = [];
    const first = gate();
    const a = lanes.run(null, undefined, async () => {
      log.push('a');
      await first.promise;
      log.push('a done');
    });
    const b = lanes.run(null, undefined, async () => void log.push('b'));
    first.open();
    await Promise.all([a, b]);
    expect(log).toEqual(['a', 'a done', 'b']);
  });

  test('the latest call of a lane wins, running or waiting; other lanes are left alone', async () => {
    const lanes = new Lanes();
    const run = (lane: string | null, name: string): Promise<string> =>
      lanes.run(lane, undefined, async (signal) => {
        await new Promise((resolve) => setTimeout(resolve, 5));
        if (signal.aborted) throw signal.reason;
        return name;
      });
    const results = await Promise.allSettled([run('x', 'first'), run('y', 'other'), run('x', 'second'), run(null, 'study'), run('x', 'third')]);
    expect(results.map((r) => (r.status === 'fulfilled' ? r.value : (r.reason as LabError).code))).toEqual(['superseded', 'other', 'superseded', 'study', 'third']);
  });

  test('a failed call does not block the next', async () => {
    const lanes = new Lanes();
    await expect(lanes.run('x', undefined, async () => Promise.reject(new Error('no')))).rejects.toThrow('no');
    await expect(lanes.run('x', undefined, async () => 1)).resolves.toBe(1);
  });

  test('the caller’s own signal cancels', async () => {
    const lanes = new Lanes();
    const controller = new AbortController();
    const call = lanes.run('x', controller.signal, (signal) => new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason))));
    await Promise.resolve();
    controller.abort();
    await expect(call).rejects.toMatchObject({ code: 'cancelled' });
  });
});

describe('errors', () => {
  test.each([
    [new Error('Device was lost: driver reset'), 'device-lost'],
    [new Error('std::bad_alloc'), 'out-of-memory'],
    [new RangeError('Array buffer allocation failed'), 'out-of-memory'],
    [12345678, 'out-of-memory'],
    [new Error('something else'), 'internal'],
    [new LabError('gated', 'x'), 'gated'],
  ])('%s', (error, code) => {
    expect(toLabError(error).code).toBe(code);
  });

  test('an error survives being a plain record', () => {
    const error = new LabError('too-long', 'message', 'hint');
    expect(LabError.from(structuredClone(error.toJSON()))).toMatchObject({ code: 'too-long', message: 'message', hint: 'hint' });
  });
});
