/** Decoding speed: the lab's answers against transformers.js' `generate`, same file, same prompt, taking turns. */
import type { Driver } from '../driver';
import type { Generation, Side } from '../page/protocol';
import { median, ms, pairedRatio, perSecond, row, skipped, times, type Row } from '../table';
import { promptText } from '../texts';

export interface DecodeOptions {
  tokens: number;
  repetitions: number;
  /** The least ratio; null on devices where emulation swamps the time. */
  target: number | null;
}

interface Taken extends Generation {
  /** Processor time per token in milliseconds, where it can be told. */
  cpu: number | null;
}

export async function measureDecode(driver: Driver, { tokens, repetitions, target }: DecodeOptions): Promise<Row[]> {
  const { device, refused, threads, folder } = driver;
  const what = `decode, ${folder.title}, ${threads} thread${threads > 1 ? 's' : ''}`;
  if (refused) return [skipped('decode', device, what, `transformers.js: ${refused}`)];
  const text = promptText();
  const ids = await driver.prompt(text);
  const lab: Taken[] = [];
  const other: Taken[] = [];
  await driver.generate('lab', text, ids, 4);
  await driver.generate('transformers', text, ids, 4);
  for (let i = 0; i < repetitions; i++) {
    // Who goes first changes, so that a machine that slows down favours nobody.
    for (const side of i % 2 ? (['transformers', 'lab'] as const) : (['lab', 'transformers'] as const))
      (side === 'lab' ? lab : other).push(await take(driver, side, text, ids, tokens));
  }
  const judged = (ratio: number): Partial<Row> => ({
    ratio: times(ratio),
    ...(target === null ? {} : { target: `≥ ${times(target)}`, reached: ratio >= target }),
  });
  const same = lab.every((l, i) => other[i].ids.every((id, t) => t >= l.ids.length || l.ids[t] === id));
  const rows = [
    row('decode', device, `${what}, prompt of ${ids.length}${same ? '' : ' (answers differ)'}`, {
      lab: perSecond(median(lab.map(rate))),
      other: `transformers.js ${perSecond(median(other.map(rate)))}`,
      ...judged(pairedRatio(lab.map(rate), other.map(rate))),
    }),
  ];
  const cpu = (list: readonly Taken[]): number[] => list.flatMap((t) => (t.cpu === null ? [] : [t.cpu]));
  if (cpu(lab).length === repetitions)
    rows.push(
      row('decode', device, 'processor time per token', {
        lab: ms(median(cpu(lab))),
        other: `transformers.js ${ms(median(cpu(other)))}`,
        ...judged(pairedRatio(cpu(other), cpu(lab))),
      }),
    );
  const prefill = (list: readonly Taken[]): number[] => list.map((t) => t.prefillMs);
  rows.push(
    row('decode', device, 'prefill', {
      lab: ms(median(prefill(lab))),
      other: `transformers.js ${ms(median(prefill(other)))}`,
      ratio: times(pairedRatio(prefill(other), prefill(lab))),
    }),
  );
  return rows;
}

/** One answer as long as asked for; where processor time counts, a short one before it, so that the prefill falls out. */
async function take(driver: Driver, side: Side, text: string, ids: number[], tokens: number): Promise<Taken> {
  const start = driver.cpu();
  const short = start === null ? null : await driver.first(side, text, ids);
  const middle = driver.cpu();
  const long = await driver.generate(side, text, ids, tokens);
  const end = driver.cpu();
  const cpu = short && start !== null && middle !== null && end !== null ? (end - middle - (middle - start)) / (long.ids.length - short.ids.length) : null;
  return { ...long, cpu };
}

/** The first token is the prefill's. */
const rate = (g: Generation): number => ((g.ids.length - 1) / g.decodeMs) * 1000;
