/** What looking costs: a probe of every layer and position, with the lens at the readout, over a prefill that looks at nothing. */
import type { Driver } from '../driver';
import { median, ms, pairedRatio, row, times, type Row } from '../table';
import { promptText } from '../texts';

export async function measureProbe(driver: Driver, repetitions: number): Promise<Row[]> {
  const { device, refused } = driver;
  const text = promptText();
  const ids = await driver.prompt(text);
  const ask = { context: '', question: '', prompt: { kind: 'chat', text } };
  const probe = async (): Promise<number> => (await driver.time('probe', ask, { generate: false, lane: null })) as number;
  const wall: Record<'plain' | 'probed' | 'untouched', number[]> = { plain: [], probed: [], untouched: [] };
  const cpu: typeof wall = { plain: [], probed: [], untouched: [] };
  const timed = async (kind: keyof typeof wall, work: () => Promise<number>): Promise<void> => {
    const start = driver.cpu();
    wall[kind].push(await work());
    const end = driver.cpu();
    if (start !== null && end !== null) cpu[kind].push(end - start);
  };
  await probe();
  for (let i = 0; i < repetitions; i++) {
    await timed('plain', async () => (await driver.first('lab', text, ids)).prefillMs);
    await timed('probed', probe);
    if (!refused) await timed('untouched', async () => (await driver.first('transformers', text, ids)).prefillMs);
  }
  const judged = (ratio: number): Partial<Row> => ({ ratio: times(ratio), target: '≤ ×1.10', reached: device === 'wasm' ? ratio <= 1.1 : null });
  const rows = [
    row('probe', device, `full probe of ${ids.length} tokens as the page waits for it, over the lab's own prefill`, {
      lab: ms(median(wall.probed)),
      other: `prefill ${ms(median(wall.plain))}`,
      ...judged(pairedRatio(wall.probed, wall.plain)),
    }),
  ];
  if (cpu.plain.length === repetitions)
    rows.push(
      row('probe', device, 'the same in processor time of the worker', {
        lab: ms(median(cpu.probed)),
        other: `prefill ${ms(median(cpu.plain))}`,
        ...judged(pairedRatio(cpu.probed, cpu.plain)),
      }),
    );
  if (wall.untouched.length)
    rows.push(
      row('probe', device, 'over transformers.js’ prefill of the untouched file', {
        lab: ms(median(wall.probed)),
        other: `prefill ${ms(median(wall.untouched))}`,
        ratio: times(pairedRatio(wall.probed, wall.untouched)),
      }),
    );
  return rows;
}
