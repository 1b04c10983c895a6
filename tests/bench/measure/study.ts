/** A study's cells, one context shared by many questions, against the same prompts through transformers.js one by one. */
import type { Driver } from '../driver';
import type { Slice } from '../page/protocol';
import { row, skipped, times, type Row } from '../table';
import { naturalSlice } from '../texts';

/** The least the lab is faster. */
const TARGET = 5;

export async function measureStudy(driver: Driver, paragraphs: number): Promise<Row[]> {
  const slice: Slice = { ...naturalSlice(paragraphs), maxTokens: 16 };
  const what = `study, ${paragraphs} paragraph${paragraphs > 1 ? 's' : ''} of ${slice.set}, en-x in ${slice.languages.length} languages, ${driver.folder.title}`;
  if (driver.refused) return [skipped('study', driver.device, what, `transformers.js: ${driver.refused}`)];
  const prompts = await driver.studyPrompts(slice);
  const before = driver.cpu();
  const lab = await driver.study(slice);
  const between = driver.cpu();
  if (!lab) return [skipped('study', driver.device, what, 'this tree has no lab.cell yet')];
  const started = performance.now();
  const other: number[][] = [];
  for (const ids of prompts) other.push((await driver.transformers(ids, slice.maxTokens)).ids);
  const wall = performance.now() - started;
  const after = driver.cpu();
  const same = prompts.filter((_, i) => String(lab.ids[i]) === String(other[i])).length;
  const seconds = (value: number): string => `${(value / 1000).toFixed(1)} s`;
  const judged = (ratio: number): Partial<Row> => ({ ratio: times(ratio), target: `≥ ${times(TARGET)}`, reached: ratio >= TARGET });
  const lengths = prompts.map((p) => p.length);
  const rows = [
    row('study', driver.device, `${what}: ${prompts.length} cells of ${Math.min(...lengths)}–${Math.max(...lengths)} tokens, ${same} answers the same`, {
      lab: seconds(lab.ms),
      other: `transformers.js ${seconds(wall)}`,
      ...judged(wall / lab.ms),
    }),
  ];
  if (before !== null && between !== null && after !== null)
    rows.push(
      row('study', driver.device, 'the same in processor time of the workers', {
        lab: seconds(between - before),
        other: `transformers.js ${seconds(after - between)}`,
        ...judged((after - between) / (between - before)),
      }),
    );
  return rows;
}
