/**
 * What the page costs a reader's hand at the largest case it promises to keep fluid: a record of twelve languages × 36 layers × 600 tokens,
 * opened in the built page by its own import; then layers, hovers, projections and tabs, each as a reader does it. Counted are the main
 * thread's tasks (scripts, style, layout, paint) in the browser's own trace, by thread time and not by the clock. Judged are all tasks of
 * an interaction together, over as many frames as it takes; the longest one, during which the page does not answer, stands beside. Views
 * not opened yet are drawn while the page has nothing else to do: what that costs is told apart, and so is a tab opened before it.
 */
import type { Browser, Page } from 'playwright-core';
import { visit } from '../../harness';
import { ms, row, type Row } from '../table';
import { largeRecord } from '../record';

const BUDGET = 16;

/** @param url of the built page */
export async function measureView(browser: Browser, url: string, repetitions: number): Promise<Row[]> {
  const { page, errors, close } = await visit(browser, url, { metered: true });
  try {
    await page.setViewportSize({ width: 1440, height: 900 });
    const file = { name: 'large.zip', mimeType: 'application/zip', buffer: Buffer.from(largeRecord()) };
    const open = async (): Promise<void> => {
      await page.getByRole('button', { name: 'Share, save, open' }).click();
      await page.locator('dialog input[type=file]').setInputFiles(file);
      await page.locator('dialog[open]').waitFor({ state: 'detached', timeout: 60_000 });
      await page.getByText('Recorded with Benchmark fixture').waitFor({ timeout: 60_000 });
      await page.locator('svg.chart-trajectory [data-language=tr]').first().waitFor({ timeout: 60_000 });
      await rest(page);
    };
    await open();
    const rows: Row[] = [];
    for (const { what, act, before, told } of interactions(page, open)) {
      await browser.startTracing(page, { categories: ['toplevel', 'blink.user_timing', '__metadata'] });
      for (let i = 0; i < repetitions + 2; i++) {
        await before?.(i);
        await mark(page, `begin ${i}`);
        await act(i);
        await rest(page);
        await mark(page, `end ${i}`);
      }
      // the first two warm what later ones reuse
      const costs = costsOf(JSON.parse((await browser.stopTracing()).toString()) as Trace).slice(2);
      const [longest, all] = [p95(costs.map((c) => c.longest)), p95(costs.map((c) => c.all))];
      rows.push(row('page', 'page', what, { lab: `all of it ${ms(all)}`, other: `longest task ${ms(longest)}`, ratio: 'p95', ...(told ? {} : { target: `≤ ${BUDGET} ms`, reached: all <= BUDGET }) }));
    }
    if (errors.length) throw new Error(errors[0]);
    return rows;
  } finally {
    await close();
  }
}

interface Trace {
  traceEvents: { name: string; ph: string; pid: number; tid: number; ts: number; tdur?: number }[];
}

const p95 = (values: number[]): number => [...values].sort((a, b) => a - b)[Math.min(values.length - 1, Math.floor(values.length * 0.95))];
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

/** Until so many frames, or moments in which the page leaves time over, follow each other with nothing drawn anew in between. */
const settled = (page: Page, by: 'frame' | 'idle', turns: number): Promise<void> =>
  page.evaluate(
    ({ by, turns }) =>
      new Promise<void>((done) => {
        let quiet = 0;
        const seen = new MutationObserver(() => (quiet = 0));
        seen.observe(document.body, { subtree: true, childList: true });
        const next = (): unknown => (by === 'frame' ? requestAnimationFrame(turn) : requestIdleCallback(turn));
        const turn = (): void => {
          if (++quiet < turns) return void next();
          seen.disconnect();
          done();
        };
        next();
      }),
    { by, turns },
  );
const rest = (page: Page): Promise<void> => settled(page, 'frame', 3);
const idle = (page: Page): Promise<void> => settled(page, 'idle', 4);

interface Interaction {
  what: string;
  act: (i: number) => Promise<void>;
  /** Done each time before it, and not counted. */
  before?: (i: number) => Promise<void>;
  /** Told, not judged: no hand is waiting for it, or only one that is quicker than the page. */
  told?: true;
}

/** @param open the record anew: nothing of it is drawn but what is on show */
function interactions(page: Page, open: () => Promise<void>): Interaction[] {
  const slider = page.getByRole('slider', { name: /^Layer/ });
  const hover = async (selector: string, i: number): Promise<void> => {
    const box = await page.locator(selector).first().boundingBox();
    if (!box) throw new Error(`${selector} is not on show`);
    await page.mouse.move(box.x + box.width * (0.1 + 0.8 * ((i * 0.37) % 1)), Math.max(box.y, 0) + Math.min(box.height, 400) * (0.1 + 0.8 * ((i * 0.61) % 1)));
  };
  const tab = async (name: string): Promise<void> => page.evaluate((name) => [...document.querySelectorAll<HTMLElement>('[role=tab]')].find((t) => t.textContent === name)?.click(), name);
  const toTabs = (): Promise<void> => page.evaluate(() => document.querySelector('[role=tablist]')?.scrollIntoView());
  const tabs = ['Layer curves', 'Prompt', 'Logit lens'].flatMap((name): Interaction[] => [
    { what: `tab: ${name}, for the first time`, before: () => open().then(() => idle(page)).then(toTabs).then(() => rest(page)), act: () => tab(name) },
    { what: `tab: ${name}, at once after the record`, before: () => open().then(toTabs).then(() => rest(page)), act: () => tab(name), told: true },
    { what: `tab: ${name}, and back`, before: toTabs, act: (i) => tab(i % 2 ? 'Two phases' : name) },
  ]);
  /** Until the new picture stands, which a worker is asked for first. */
  const projection = (kind: string): Promise<void> =>
    page.evaluate(async (kind) => {
      const select = [...document.querySelectorAll('select')].find((s) => s.querySelector('option[value=layer-pca]'));
      const picture = document.querySelector('svg.chart-trajectory')?.parentElement;
      if (!select || !picture) throw new Error('no choice of projection');
      const drawn = new Promise<void>((done) => new MutationObserver((_, seen) => (seen.disconnect(), done())).observe(picture, { childList: true }));
      select.value = kind;
      select.dispatchEvent(new Event('change', { bubbles: true }));
      await drawn;
    }, kind);
  return [
    { what: 'nothing at all (what measuring itself costs)', act: async () => undefined },
    { what: 'layer slider, one step', act: async (i) => (i === 0 ? slider.focus() : page.keyboard.press(i % 37 < 18 ? 'ArrowLeft' : 'ArrowRight')) },
    { what: 'hover over 36 paths × 37 layers', act: (i) => hover('svg.chart-trajectory', i) },
    { what: 'hover over the lens', act: (i) => hover('svg.chart-lens-column', i) },
    { what: 'projection change (fit in a worker), 36 paths', act: (i) => projection(['layer-pca', 'plane', 'joint-pca'][i % 3]) },
    { what: 'three views drawn ahead, while nothing else is asked', before: open, act: () => idle(page), told: true },
    ...tabs,
  ];
}
