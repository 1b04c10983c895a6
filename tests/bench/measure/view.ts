/**
 * What the page costs a reader's hand at the largest case it promises to keep fluid: twelve languages × 36 layers × 600 tokens, as a record
 * opened in the built page by its own import, and as live runs, where the address follows too; and a question in two languages. Then layers,
 * hovers, zooms, projections and tabs, each as a reader does it. Counted are the main thread's tasks (scripts, style, layout, paint, garbage
 * collection) in the browser's own trace, by thread time and not by the clock. Judged are all tasks of an interaction together, over as many
 * frames as it takes and until nothing is left to be drawn; the longest one, during which the page does not answer, stands beside.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Browser, Page } from 'playwright-core';
import { build } from 'vite';
import { serve, visit, type Visit } from '../../harness';
import { largeRecord } from '../record';
import { ms, row, skipped, type Row } from '../table';
import { explorations, projections, rest, tabs, unsettled, type Interaction } from './view-interactions';

const BUDGET = 16;
/** What an interaction sets going is counted for so long, and longer where it takes longer. Nothing is asked of the page meanwhile: that would be counted. */
const WATCHED_MS = 250;
/** An address follows what is explored when it has rested for a while. */
const FOLLOWED_MS = 400;

export async function measureView(browser: Browser, temp: string, repetitions: number): Promise<Row[]> {
  const standIn = await standInFor(temp);
  const served = await serve();
  const live = await serve({ intercept: (request, response) => /\/lab\.worker-[\w-]+\.js$/.test(request.url ?? '') && !!response.writeHead(200, { 'Content-Type': 'text/javascript' }).end(standIn) });
  try {
    const rows: Row[] = [];
    for (const [part, work] of [['record', () => recorded(browser, served.url, repetitions)], ['live', () => lively(browser, live.url, repetitions)]] as const) rows.push(...(await work().catch((error: Error) => [skipped('page', part, part, error.message.split('\n')[0])])));
    return rows;
  } finally {
    await served.close();
    await live.close();
  }
}

/** As one file, served in the place of the page's own worker. */
async function standInFor(temp: string): Promise<string> {
  const lib = { entry: join(import.meta.dirname, '../page/stand-in.worker.ts'), formats: ['es' as const], fileName: () => 'stand-in.js' };
  await build({ configFile: false, publicDir: false, logLevel: 'error', build: { outDir: join(temp, 'stand-in'), lib } });
  return readFileSync(join(temp, 'stand-in/stand-in.js'), 'utf8');
}

async function recorded(browser: Browser, url: string, repetitions: number): Promise<Row[]> {
  return within(await visit(browser, url, { metered: true }), async (page) => {
    const file = { name: 'large.zip', mimeType: 'application/zip', buffer: Buffer.from(largeRecord()) };
    const open = async (): Promise<void> => {
      await page.getByRole('button', { name: 'Share, save, open' }).click();
      await page.locator('dialog input[type=file]').setInputFiles(file);
      await page.locator('dialog[open]').waitFor({ state: 'detached', timeout: 60_000 });
      await page.getByText('Recorded with Benchmark fixture').waitFor({ timeout: 60_000 });
      await drawn(page, 36);
    };
    await open();
    // each of these opens the record anew
    const fewer = Math.ceil(repetitions / 3);
    return [...(await measure(browser, page, 'record', explorations(page), repetitions)), ...(await measure(browser, page, 'record', tabs(page, open), fewer))];
  });
}

async function lively(browser: Browser, url: string, repetitions: number): Promise<Row[]> {
  return within(await visit(browser, `${url}#/probe?v=1&set=world&item=bench&c=en&q=de&g=question,readout,answerSpan`, { withoutOffline: true }), async (page) => {
    await page.getByText('Measured just now with Benchmark fixture').waitFor({ timeout: 60_000 });
    await drawn(page, 6);
    const two = await measure(browser, page, 'two languages', projections(page), repetitions, FOLLOWED_MS);
    await page.getByRole('button', { name: 'Ask in every language' }).first().click();
    await drawn(page, 36);
    return [...two, ...(await measure(browser, page, 'live', explorations(page), repetitions, FOLLOWED_MS))];
  });
}

async function within(visited: Visit, work: (page: Page) => Promise<Row[]>): Promise<Row[]> {
  const { page, errors, close } = visited;
  try {
    await page.setViewportSize({ width: 1440, height: 900 });
    const rows = await work(page);
    if (errors.length) throw new Error(errors[0]);
    return rows;
  } finally {
    await close();
  }
}

async function drawn(page: Page, paths: number): Promise<void> {
  await page.locator('svg.chart-trajectory .path').nth(paths - 1).waitFor({ state: 'attached', timeout: 60_000 });
  await rest(page);
}

/** @param after what else an interaction sets going is waited for so much longer, and counted */
async function measure(browser: Browser, page: Page, part: string, interactions: Interaction[], repetitions: number, after = 0): Promise<Row[]> {
  const rows: Row[] = [];
  for (const interaction of interactions) {
    const { what, before, first, told } = interaction;
    if (process.env['BENCH_VERBOSE']) console.error(`bench: ${part}: ${what}`);
    await first?.();
    await browser.startTracing(page, { categories: ['toplevel', 'blink.user_timing', '__metadata'] });
    for (let i = 0; i < repetitions + 2; i++) {
      await before?.(i);
      await rest(page);
      if ('input' in interaction) {
        await mark(page, `begin ${i}`);
        await interaction.input(i);
      } else
        await (await interaction.click(i)).evaluate((go, name) => {
          const turn = (): void => {
            performance.mark(name);
            go();
          };
          setTimeout(turn, 30);
        }, `bench begin ${i}`);
      do await new Promise((done) => setTimeout(done, WATCHED_MS + after));
      while (await unsettled(page));
      await mark(page, `end ${i}`);
    }
    // the first two warm what later ones reuse
    const costs = costsOf(JSON.parse((await browser.stopTracing()).toString()) as Trace).slice(2);
    const [longest, all] = [p95(costs.map((c) => c.longest)), p95(costs.map((c) => c.all))];
    rows.push(row('page', part, what, { lab: `all of it ${ms(all)}`, other: `longest task ${ms(longest)}`, ratio: 'p95', ...(told ? {} : { target: `≤ ${BUDGET} ms`, reached: all <= BUDGET }) }));
  }
  return rows;
}

interface Trace {
  traceEvents: { name: string; ph: string; pid: number; tid: number; ts: number; tdur?: number }[];
}

/** The least value that 95 in a hundred do not exceed. */
const p95 = (values: number[]): number => [...values].sort((a, b) => a - b)[Math.max(0, Math.ceil(values.length * 0.95) - 1)];
const mark = (page: Page, name: string): Promise<void> => page.evaluate((name) => void performance.mark(`bench ${name}`), name);

/** The main thread's tasks from each mark to the next, in milliseconds of thread time. */
function costsOf({ traceEvents }: Trace): { longest: number; all: number }[] {
  const marks = traceEvents.filter((e) => e.name.startsWith('bench ')).sort((a, b) => a.ts - b.ts);
  const [first] = marks;
  if (!first) throw new Error('the trace has no marks');
  const tasks = traceEvents.filter((e) => e.pid === first.pid && e.tid === first.tid && e.ph === 'X' && e.tdur !== undefined && /RunTask$/.test(e.name));
  return marks
    .filter((m) => m.name.startsWith('bench begin'))
    .map((begin) => {
      const end = marks.find((m) => m.ts > begin.ts && m.name === begin.name.replace('begin', 'end'));
      const inside = tasks.filter((t) => end && t.ts > begin.ts && t.ts < end.ts).map((t) => (t.tdur ?? 0) / 1000);
      return { longest: Math.max(0, ...inside), all: inside.reduce((a, b) => a + b, 0) };
    });
}
