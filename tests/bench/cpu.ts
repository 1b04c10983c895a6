/**
 * Processor time of the page's worker threads, from Linux' own books: on a busy machine the wall clock measures the neighbours.
 * With one WASM thread all of a model's work is done in its worker's own thread, and only one worker works at a time.
 */
import { readFileSync, readdirSync } from 'node:fs';

/** Milliseconds since the threads began; null where the system does not tell. */
export function workerCpu(): number | null {
  try {
    let total = 0;
    let found = false;
    for (const pid of descendants(process.pid))
      for (const thread of readdirSync(`/proc/${pid}/task`)) {
        const at = `/proc/${pid}/task/${thread}`;
        if (!read(`${at}/comm`).startsWith('DedicatedWorker')) continue;
        found = true;
        total += Number(read(`${at}/schedstat`).split(' ')[0]) / 1e6;
      }
    return found ? total : null;
  } catch {
    return null;
  }
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
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
}
