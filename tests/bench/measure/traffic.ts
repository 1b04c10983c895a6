/** What each generated token costs on the way to and from a WebGPU device; these carry over from an emulated GPU to a real one. */
import type { Driver } from '../driver';
import type { Counts } from '../page/counter';
import type { Side } from '../page/protocol';
import { bytes, row, skipped, type Row } from '../table';
import { promptText } from '../texts';

const SHORT = 3;
const LONG = 11;

export async function measureTraffic(driver: Driver): Promise<Row[]> {
  if (driver.device !== 'webgpu') return [];
  const text = promptText(100);
  const ids = await driver.prompt(text);
  const lab = await perToken(driver, 'lab', text, ids);
  if (driver.refused) return [skipped('traffic', 'webgpu', 'dispatches per token', `transformers.js: ${driver.refused}`)];
  const other = await perToken(driver, 'transformers', text, ids);
  const one = (what: string, key: keyof Counts, show: (n: number) => string, target = '', reached: boolean | null = null): Row =>
    row('traffic', 'webgpu', `${what} per token`, { lab: show(lab[key]), other: `transformers.js ${show(other[key])}`, target, reached });
  const count = (n: number): string => n.toFixed(n % 1 ? 2 : 0);
  return [
    one('bytes read back', 'bytesRead', bytes, '≤ 64 B', lab.bytesRead <= 64),
    one('maps for reading', 'maps', count, '1', lab.maps <= 1),
    one('dispatches', 'dispatches', count, 'no more', lab.dispatches <= other.dispatches),
    one('submits', 'submits', count),
    one('bytes written', 'bytesWritten', bytes),
  ];
}

/** Of two answers of different lengths, what the longer took more, so that the prefill falls out. */
async function perToken(driver: Driver, side: Side, text: string, ids: number[]): Promise<Counts> {
  const spend = async (tokens: number): Promise<{ made: number; counts: Counts }> => {
    const before = await driver.counts(side);
    const made = (await driver.generate(side, text, ids, tokens)).ids.length;
    const after = await driver.counts(side);
    return { made, counts: combine(after, before, (a, b) => a - b) };
  };
  await spend(SHORT - 1);
  const short = await spend(SHORT);
  const long = await spend(LONG);
  return combine(long.counts, short.counts, (a, b) => (a - b) / (long.made - short.made));
}

function combine(a: Counts, b: Counts, by: (a: number, b: number) => number): Counts {
  const out = { ...a };
  for (const key of Object.keys(out) as (keyof Counts)[]) out[key] = by(a[key], b[key]);
  return out;
}
