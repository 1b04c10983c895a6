/** Relevance and patching over a prefill of the same prompt, where the tree has them. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { relevanceBytes, type ModelShape } from '../../../src/probe/relevance';
import type { Driver } from '../driver';
import { peakMemory } from '../procfs';
import { bytes, median, ms, pairedRatio, row, skipped, times, type Row } from '../table';
import { promptAsk, promptText } from '../texts';

const SPARE = 64 * 2 ** 20;

interface Held {
  part: string;
  what: string;
  method: string;
  args: unknown[];
  /** The most that one call may cost, in prefills. */
  prefills: number;
  repetitions: number;
}

/** How many characters of the shipped passages make at least so many tokens. */
export async function charactersFor(driver: Driver, tokens: number): Promise<number> {
  const most = 50_000;
  for (let characters = 500; characters < most; characters += 100) if ((await driver.prompt(promptText(characters))).length >= tokens) return characters;
  throw new Error(`the passages have no ${tokens} tokens`);
}

/** One map of a prompt of about `characters`. The answer it asks for is known after the first time. */
export async function measureRelevance(driver: Driver, repetitions: number, characters?: number): Promise<Row[]> {
  const text = promptText(characters);
  const ids = await driver.prompt(text);
  const args = [promptAsk(0, characters), { maxTokens: 1, lane: null }];
  // The first map builds the backward session: its memory is the question, its time is not.
  const first = await peakMemory(() => driver.time('relevance', ...args)).catch((error: Error) => error);
  if (first instanceof Error) return [skipped('relevance', driver.device, 'one relevance map', first.message.split('\n')[0])];
  const held: Held = { part: 'relevance', what: 'one relevance map', method: 'relevance', args, prefills: 3.5, repetitions };
  const rows = await overPrefill(driver, held, text, ids);
  if (first.result !== null && first.bytes !== null && driver.device === 'wasm') {
    const bound = relevanceBytes(shapeOf(driver), ids.length) + SPARE;
    rows.push(
      row('relevance', driver.device, 'peak memory of the first map beyond the loaded model', {
        lab: bytes(first.bytes),
        other: `formula + 64 MiB: ${bytes(bound)}`,
        target: '≤ that',
        reached: first.bytes <= bound,
      }),
    );
  }
  return rows;
}

/** All layers × three groups, another question's states in place of this one's; held to 60 % of one prefill for each block and group. */
export async function measurePatch(driver: Driver, repetitions: number): Promise<Row[]> {
  const text = promptText();
  const args = [promptAsk(0), { clean: promptAsk(1), lane: null }];
  const what = `patch sweep, ${driver.layers + 1} layers × 3 groups`;
  return overPrefill(driver, { part: 'patch', what, method: 'patch', args, prefills: driver.layers * 3 * 0.6, repetitions }, text, await driver.prompt(text));
}

async function overPrefill(driver: Driver, held: Held, text: string, ids: number[]): Promise<Row[]> {
  const { part, what, method, args } = held;
  const wall: Record<'took' | 'prefill', number[]> = { took: [], prefill: [] };
  const cpu: typeof wall = { took: [], prefill: [] };
  // The first call builds what later ones reuse.
  for (let i = 0; i <= held.repetitions; i++) {
    const start = driver.cpu();
    const prefill = (await driver.first('lab', text, ids)).prefillMs;
    const middle = driver.cpu();
    let took: number | null;
    try {
      took = await driver.time(method, ...args);
    } catch (error) {
      return [skipped(part, driver.device, what, error instanceof Error ? error.message.split('\n')[0] : String(error))];
    }
    if (took === null) return [skipped(part, driver.device, what, `this tree has no lab.${method} yet`)];
    const end = driver.cpu();
    if (i === 0) continue;
    wall.took.push(took);
    wall.prefill.push(prefill);
    if (start === null || middle === null || end === null) continue;
    cpu.took.push(end - middle);
    cpu.prefill.push(middle - start);
  }
  const line = (label: string, { took, prefill }: typeof wall): Row => {
    const ratio = pairedRatio(took, prefill);
    return row(part, driver.device, label, {
      lab: ms(median(took)),
      other: `prefill ${ms(median(prefill))}`,
      ratio: times(ratio),
      target: `≤ ${times(held.prefills)}`,
      reached: driver.device === 'wasm' ? ratio <= held.prefills : null,
    });
  };
  const rows = [line(`${what}, ${ids.length} tokens`, wall)];
  if (cpu.took.length === held.repetitions) rows.push(line('the same in processor time of the worker', cpu));
  return rows;
}

function shapeOf({ folder }: Driver): ModelShape {
  const c = JSON.parse(readFileSync(join(folder.path, 'config.json'), 'utf8')) as Record<string, number>;
  return {
    layers: c['num_hidden_layers'],
    width: c['hidden_size'],
    heads: c['num_attention_heads'],
    kvHeads: c['num_key_value_heads'],
    headDim: c['head_dim'] ?? c['hidden_size'] / c['num_attention_heads'],
    inner: c['intermediate_size'],
    quantised: folder.dtype === 'q4',
  };
}
