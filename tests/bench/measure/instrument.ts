/** Time and memory to put the lab's instruments into a graph, weights inside the file: the main model, and one of 400 MB. */
import { execFileSync } from 'node:child_process';
import { statSync } from 'node:fs';
import { join } from 'node:path';
import type { Driver } from '../driver';
import { randomModel, type Folder } from '../folder';
import { FOUR_HUNDRED } from '../graph';
import type { Site } from '../serving';
import { bytes, median, ms, row, type Row } from '../table';

/** What a process of its own finds. */
interface Alone {
  peak: number;
  made: number;
  /** Processor milliseconds of the first time, compiling included. */
  cpu: number;
}

/** @param temp holds onnx.mjs */
export async function measureInstrument(driver: Driver, site: Site, temp: string): Promise<Row[]> {
  const big = randomModel('four-hundred', FOUR_HUNDRED, 'fp32', temp, 'a single file');
  site.add(big);
  return [...(await measureFile(driver, site, driver.folder, temp, false)), ...(await measureFile(driver, site, big, temp, true))];
}

async function measureFile(driver: Driver, site: Site, folder: Folder, temp: string, judged: boolean): Promise<Row[]> {
  const path = `onnx/${folder.dtype === 'q4' ? 'model_q4.onnx' : 'model.onnx'}`;
  const file = join(folder.path, path);
  const what = `${folder.title}, ${bytes(statSync(file).size)}`;
  const took = await driver.instrument(`${site.origin}/fixtures/models/${folder.name}/${path}`, 5);
  const script = join(import.meta.dirname, 'instrument-alone.mjs');
  const alone = JSON.parse(execFileSync(process.execPath, ['--expose-gc', script, join(temp, 'onnx.mjs'), file], { encoding: 'utf8' })) as Alone;
  const within = (value: number, most: number, target: string): Partial<Row> => (judged ? { target, reached: value <= most } : {});
  return [
    row('instrument', '', `${what}: time in the page, the first of five`, {
      lab: ms(took[0]),
      other: `later ${ms(median(took.slice(1)))}`,
      ...within(took[0], 150, '≤ 150 ms'),
    }),
    row('instrument', '', `${what}: processor time, first time in a new process`, { lab: ms(alone.cpu), ...within(alone.cpu, 150, '≤ 150 ms') }),
    row('instrument', '', `${what}: peak memory beyond the file`, {
      lab: bytes(Math.max(0, alone.peak)),
      other: `new graph ${bytes(alone.made)}`,
      ...within(alone.peak, 16 * 2 ** 20, '≤ 16 MiB'),
    }),
  ];
}
