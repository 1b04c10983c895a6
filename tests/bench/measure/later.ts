/** Measurements of methods that not every tree has: each is taken where the method is there, and said to be missing where not. */
import type { Driver } from '../driver';
import { median, ms, pairedRatio, row, skipped, times, type Row } from '../table';
import { promptText } from '../texts';

const chat = (text: string): unknown => ({ context: '', question: '', prompt: { kind: 'chat', text } });

interface Held {
  what: string;
  method: string;
  args: unknown[];
  /** The most that one call may cost, in prefills. */
  prefills: number;
  repetitions: number;
}

/** One relevance map of the prompt, over a prefill of it. */
export function measureRelevance(driver: Driver, repetitions: number): Promise<Row[]> {
  const text = promptText();
  return overPrefill(driver, 'relevance', text, { what: 'one relevance map', method: 'relevance', args: [chat(text), {}], prefills: 3.5, repetitions });
}

/** All layers × three groups, another run's states in place of this one's; held to 60 % of one prefill for each. */
export async function measurePatch(driver: Driver, repetitions: number): Promise<Row[]> {
  const text = promptText();
  const layers = driver.layers;
  const options = { clean: chat(promptText(150, 1)), positions: ['context', 'question', 'readout'] };
  const what = `patch sweep, ${layers} layers × 3 groups`;
  return overPrefill(driver, 'patch', text, { what, method: 'patch', args: [chat(text), options], prefills: layers * 3 * 0.6, repetitions });
}

async function overPrefill(driver: Driver, part: string, text: string, held: Held): Promise<Row[]> {
  const ids = await driver.prompt(text);
  const took: number[] = [];
  const prefill: number[] = [];
  // The first call builds what later ones reuse.
  for (let i = 0; i <= held.repetitions; i++) {
    const plain = (await driver.first('lab', text, ids)).prefillMs;
    let time: number | null;
    try {
      time = await driver.time(held.method, ...held.args);
    } catch (error) {
      return [skipped(part, driver.device, held.what, error instanceof Error ? error.message.split('\n')[0] : String(error))];
    }
    if (time === null) return [skipped(part, driver.device, held.what, `this tree has no lab.${held.method} yet`)];
    if (i === 0) continue;
    took.push(time);
    prefill.push(plain);
  }
  const ratio = pairedRatio(took, prefill);
  return [
    row(part, driver.device, `${held.what}, ${ids.length} tokens`, {
      lab: ms(median(took)),
      other: `prefill ${ms(median(prefill))}`,
      ratio: times(ratio),
      target: `≤ ${times(held.prefills)}`,
      reached: driver.device === 'wasm' ? ratio <= held.prefills : null,
    }),
  ];
}
