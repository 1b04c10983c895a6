/** The one table that the benchmark prints. */

export interface Row {
  part: string;
  device: string;
  what: string;
  /** The lab's figure, and what it is held against, with their units. */
  lab: string;
  other: string;
  /** As `×1.31`, empty where there is nothing to divide. */
  ratio: string;
  /** What is to be reached; empty where the figure is printed only. */
  target: string;
  /** null: not judged. */
  reached: boolean | null;
}

export const row = (part: string, device: string, what: string, rest: Partial<Row> = {}): Row => ({
  part,
  device,
  what,
  lab: '',
  other: '',
  ratio: '',
  target: '',
  reached: null,
  ...rest,
});

/** Why a row could not be measured. */
export const skipped = (part: string, device: string, what: string, reason: string): Row => row(part, device, what, { lab: `not measured: ${reason}` });

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}

/** Median of the quotients of neighbours in time: what slows the machine down for a while slows both. */
export const pairedRatio = (above: readonly number[], below: readonly number[]): number => median(above.map((value, i) => value / below[i]));

export const ms = (value: number): string => (value >= 100 ? `${value.toFixed(0)} ms` : value >= 10 ? `${value.toFixed(1)} ms` : `${value.toFixed(2)} ms`);
export const perSecond = (value: number): string => `${value >= 100 ? value.toFixed(0) : value.toFixed(1)} tok/s`;
export const times = (value: number): string => `×${value.toFixed(2)}`;
export const bytes = (value: number): string => {
  if (value >= 2 ** 20) return `${(value / 2 ** 20).toFixed(1)} MiB`;
  return value >= 4096 ? `${(value / 1024).toFixed(1)} KiB` : `${Math.round(value)} B`;
};

export function print(rows: readonly Row[]): string {
  const head: Record<keyof Row, string> = { part: 'part', device: 'device', what: 'what', lab: 'lab', other: 'against', ratio: 'ratio', target: 'target', reached: '' };
  const keys = Object.keys(head) as (keyof Row)[];
  const cells = rows.map((r) => keys.map((key) => (key === 'reached' ? (r.reached === null ? '' : r.reached ? 'yes' : 'NO') : String(r[key]))));
  // A reason may be long: it runs over the columns to its right, which are then empty.
  const widths = keys.map((key, i) => Math.max(head[key].length, ...cells.map((c) => (c[3].startsWith('not measured') && i >= 3 ? 0 : c[i].length))));
  const line = (c: readonly string[]): string => c.map((text, i) => text.padEnd(widths[i])).join('  ').trimEnd();
  return [line(keys.map((key) => head[key])), widths.map((w) => '-'.repeat(w)).join('  '), ...cells.map(line)].join('\n');
}
