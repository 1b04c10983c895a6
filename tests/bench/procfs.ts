/**
 * What Linux' own books say of the page's process: processor time of its worker threads (on a busy machine the wall clock measures
 * the neighbours) and its peak memory. With one WASM thread all of a model's work is done in its worker's own thread, and only
 * one worker works at a time. Everything is null where the system does not tell.
 */
import { readFileSync, readdirSync, writeFileSync } from 'node:fs';

/** Milliseconds since the threads began. */
export function workerCpu(): number | null {
  try {
    const threads = workers();
    if (threads.length === 0) return null;
    return threads.reduce((sum, at) => sum + Number(read(`${at}/schedstat`).split(' ')[0]) / 1e6, 0);
  } catch {
    return null;
  }
}

/** Bytes that the process which the workers live in has in memory now. */
export const residentMemory = (): number | null => attempt(() => field(`${workers()[0].split('/task/')[0]}/status`, 'VmRSS'));

/** How far `work` raises the peak memory of the process that the workers live in, over what it holds before. */
export async function peakMemory<T>(work: () => Promise<T>): Promise<{ result: T; bytes: number | null }> {
  const process = attempt(() => workers()[0].split('/task/')[0]);
  // Linux forgets a peak on request.
  const before = attempt(() => {
    writeFileSync(`${process}/clear_refs`, '5');
    return field(`${process}/status`, 'VmHWM');
  });
  const result = await work();
  const after = attempt(() => field(`${process}/status`, 'VmHWM'));
  return { result, bytes: before === null || after === null ? null : Math.max(0, after - before) };
}

function field(path: string, name: string): number {
  return Number(new RegExp(`^${name}:\\s+(\\d+) kB`, 'm').exec(readFileSync(path, 'utf8'))?.[1]) * 1024;
}

function attempt<T>(work: () => T): T | null {
  try {
    return work();
  } catch {
    return null;
  }
}

/** `/proc/<process>/task/<thread>` of every worker in a browser that this process has started. */
function workers(): string[] {
  return descendants(process.pid).flatMap((pid) =>
    readdirSync(`/proc/${pid}/task`)
      .map((thread) => `/proc/${pid}/task/${thread}`)
      .filter((at) => read(`${at}/comm`).startsWith('DedicatedWorker')),
  );
}

function descendants(root: number): number[] {
  const children = new Map<number, number[]>();
  for (const pid of readdirSync('/proc').map(Number).filter(Boolean)) {
    // The name may hold spaces and brackets; what follows it may not.
    const parent = Number(/\) \S (\d+)/.exec(read(`/proc/${pid}/stat`))?.[1] ?? 0);
    children.set(parent, [...(children.get(parent) ?? []), pid]);
  }
  const all = [root];
  for (const pid of all) all.push(...(children.get(pid) ?? []));
  return all;
}

/** Threads and processes end while they are looked at. */
function read(path: string): string {
  return attempt(() => readFileSync(path, 'utf8')) ?? '';
}
