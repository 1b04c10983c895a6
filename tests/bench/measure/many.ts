/** A study of 20,000 cells: opened again, packed, and what that costs the page and its memory. */
import type { Browser } from 'playwright-core';
import { visit } from '../../harness';
import type { Bench } from '../page/protocol';
import { peakMemory } from '../procfs';
import type { Site } from '../serving';
import { bytes, ms, row, type Row } from '../table';

const CELLS = 20_000;
/** Milliseconds until a study is open again. */
const TARGET = 2000;

interface Scope {
  bench: Bench;
}

export async function measureMany(browser: Browser, site: Site): Promise<Row[]> {
  const { page, close } = await visit(browser, `${site.page}page/`);
  const ready = (): Promise<unknown> => page.waitForFunction(() => 'bench' in window, undefined, { timeout: 60_000 });
  /** In a page that has just come: nothing is warm but the database. */
  const fresh = async (): Promise<void> => {
    await page.reload();
    await ready();
  };
  const open = (): ReturnType<Bench['openStudy']> => page.evaluate(() => (window as unknown as Scope).bench.openStudy('many'));
  const unsettle = (how: 'corrected' | 'never summed'): Promise<void> => page.evaluate((how) => (window as unknown as Scope).bench.unsettle('many', how), how);
  try {
    await ready();
    for (const [id, count] of [['few', CELLS / 10], ['many', CELLS]] as const) await page.evaluate(({ id, count }) => (window as unknown as Scope).bench.fillStudy(id, count), { id, count });
    const rows: Row[] = [];
    const opened = async (what: string): Promise<void> => {
      const found = await open();
      if (found.cells !== CELLS) throw new Error(`${found.cells} cells were opened`);
      rows.push(row('study', '', `${CELLS} cells opened, ${what}: ${found.rows} rows with intervals, and the answers of one`, { lab: ms(found.ms), target: `≤ ${TARGET} ms`, reached: found.ms <= TARGET }));
    };
    await fresh();
    await opened('never summed before');
    await fresh();
    await opened('as it was left');
    await unsettle('corrected');
    await fresh();
    await opened('one answer corrected since');
    await page.evaluate(() => (window as unknown as Scope).bench.openStudy('few'));
    const pack = (id: string): ReturnType<Bench['packStudy']> => page.evaluate((id) => (window as unknown as Scope).bench.packStudy(id), id);
    const few = await peakMemory(() => pack('few'));
    const many = await peakMemory(() => pack('many'));
    rows.push(
      row('study', '', `${CELLS} cells packed as a stream, ${bytes(many.result.bytes)} of zip; the page's longest silence meanwhile`, { lab: ms(many.result.ms), other: ms(many.result.longestGap) }),
      row('study', '', `peak memory while packing ${CELLS} cells, over what is held before; against a tenth of them`, {
        lab: many.bytes === null ? 'not told here' : bytes(many.bytes),
        other: few.bytes === null ? '' : bytes(few.bytes),
      }),
    );
    return rows;
  } finally {
    await close();
  }
}
