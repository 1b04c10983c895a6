/**
 * What the page costs a reader's hand at the largest case it promises to keep fluid: twelve languages × 36 layers × 600 tokens, as a record
 * opened in the built page by its own import, and as live runs; and a question in two languages. Then layers, hovers, zooms, projections and
 * tabs, each as a reader does it. Counted are the main thread's tasks (scripts, style, layout, paint) in the browser's own trace, by thread
 * time and not by the clock, and nobody asks the page anything meanwhile. Judged are all tasks of an interaction together, over as many
 * frames as it takes and until nothing is left to be drawn, with the garbage collections that come between them as their mean over the
 * interactions; the longest task, during which the page does not answer, stands beside. The address follows when the hand has rested: by itself.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Browser, JSHandle, Page } from 'playwright-core';
import { build } from 'vite';
import { serve, visit, type Visit } from '../../harness';
import { largeRecord } from '../record';
import { ms, row, skipped, type Row } from '../table';
import { explorations, projections, rest, tabs, unsettled, type Interaction } from './view-interactions';

const BUDGET = 16;
/** What an interaction sets going is counted for so long, and longer where it takes longer. Nothing is asked of the page meanwhile: that would be counted. */
const WATCHED_MS = 250;

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
    const two = await measure(browser, page, 'two languages', projections(page), repetitions);
    await page.getByRole('button', { name: 'Ask in every language' }).first().click();
    await drawn(page, 36);
    return [...two, ...(await measure(browser, page, 'live', explorations(page), repetitions))];
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

async function measure(browser: Browser, page: Page, part: string, interactions: Interaction[], repetitions: number): Promise<Row[]> {
  const rows: Row[] = [];
  for (const interaction of interactions) {
    const { what, before, first, told, watched = WATCHED_MS } = interaction;
    if (process.env['BENCH_VERBOSE']) console.error(`bench: ${part}: ${what}`);
    await first?.();
    await browser.startTracing(page, { categories: ['toplevel', 'blink.user_timing', '__metadata', ...COLLECTORS] });
    for (let i = 0; i < repetitions + 2; i++) {
      if (before) {
        await before(i);
        // so that it is not one of a series with what comes
        await pause(200);
      }
      await rest(page);
      await mark(page, i, watched, 'click' in interaction ? await interaction.click(i) : undefined);
      await pause(50);
      if ('input' in interaction) await interaction.input(i);
      await pause(watched);
      // what is late is counted until it has come
      for (let late = await unsettled(page); late; late = await unsettled(page)) {
        await pause(WATCHED_MS);
        await page.evaluate((name) => void performance.mark(name), `bench end ${i}`);
      }
    }
    // the first two warm what later ones reuse
    const costs = costsOf(JSON.parse((await browser.stopTracing()).toString()) as Trace).slice(2);
    const collected = costs.reduce((sum, c) => sum + c.collected, 0) / costs.length;
    const [longest, all] = [p95(costs.map((c) => c.longest)), p95(costs.map((c) => c.own)) + collected];
    rows.push(row('page', part, what, { lab: `all of it ${ms(all)}`, other: `longest task ${ms(longest)}, collections ${ms(collected)}`, ratio: 'p95', ...(told ? {} : { target: `≤ ${BUDGET} ms`, reached: all <= BUDGET }) }));
  }
  return rows;
}

interface Trace {
  traceEvents: { name: string; ph: string; pid: number; tid: number; ts: number; dur?: number; tdur?: number }[];
}
/** The browser's garbage collectors: of the scripts, and of its own objects. */
const COLLECTORS = ['v8', 'blink_gc', 'cppgc'];

/** The least value that 95 in a hundred do not exceed. */
const p95 = (values: number[]): number => [...values].sort((a, b) => a - b)[Math.max(0, Math.ceil(values.length * 0.95) - 1)];
const pause = (ms: number): Promise<void> => new Promise((done) => setTimeout(done, ms));
/** Marks where an interaction begins and, by a clock of the page's own, where it is no longer watched. @param click in a task of its own after the first mark */
const mark = (page: Page, i: number, watched: number, click?: JSHandle<() => void>): Promise<void> =>
  page.evaluate(
    ({ i, watched, click }) =>
      void setTimeout(() => {
        performance.mark(`bench begin ${i}`);
        setTimeout(() => performance.mark(`bench end ${i}`), watched);
        if (click) setTimeout(click);
      }, 20),
    { i, watched, click },
  );

/**
 * The main thread's tasks from each mark to the next, in milliseconds of thread time. Tasks in which the browser only collects garbage stand
 * apart: they come when it sees fit, after many interactions and for all of them.
 */
function costsOf({ traceEvents }: Trace): { longest: number; own: number; collected: number }[] {
  const marks = traceEvents.filter((e) => e.name.startsWith('bench ')).sort((a, b) => a.ts - b.ts);
  const [first] = marks;
  if (!first) throw new Error('the trace has no marks');
  const here = traceEvents.filter((e) => e.pid === first.pid && e.tid === first.tid && e.ph === 'X' && e.tdur !== undefined).sort((a, b) => a.ts - b.ts);
  const [tasks, collections] = [here.filter((e) => /RunTask$/.test(e.name)), here.filter((e) => /GC/.test(e.name))];
  return marks
    .filter((m) => m.name.startsWith('bench begin'))
    .map((begin) => {
      const end = marks.findLast((m) => m.name === begin.name.replace('begin', 'end'));
      const cost = { longest: 0, own: 0, collected: 0 };
      for (const { ts, dur = 0, tdur = 0 } of tasks.filter((t) => end && t.ts > begin.ts && t.ts < end.ts)) {
        // one collection may lie within another
        let [until, collecting] = [-Infinity, 0];
        for (const c of collections) if (c.ts >= Math.max(ts, until) && c.ts < ts + dur) [until, collecting] = [c.ts + (c.dur ?? 0), collecting + (c.tdur ?? 0)];
        cost[collecting > tdur / 2 ? 'collected' : 'own'] += tdur / 1000;
        cost.longest = Math.max(cost.longest, tdur / 1000);
      }
      return cost;
    });
}
