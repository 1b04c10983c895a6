/**
 * What the page costs a reader's hand at the largest case it promises to keep fluid: a record of twelve languages × 36 layers × 600 tokens,
 * opened in the built page by its own import; then layers, hovers, projections and tabs, each as a reader does it. Counted is the main
 * thread's work per interaction (scripts, style, layout, paint), by the browser's own counters of thread time, not the clock's:
 * what a shared machine's neighbours do does not count, what a worker does meanwhile does not either.
 */
import type { Browser, CDPSession, Page } from 'playwright-core';
import { visit } from '../../harness';
import { ms, row, type Row } from '../table';
import { largeRecord } from '../record';

const BUDGET = 16;

/** @param url of the built page */
export async function measureView(browser: Browser, url: string, repetitions: number): Promise<Row[]> {
  const { page, errors, close } = await visit(browser, url, { metered: true });
  try {
    await page.setViewportSize({ width: 1440, height: 900 });
    await page.getByRole('button', { name: 'Share, save, open' }).click();
    await page.locator('dialog input[type=file]').setInputFiles({ name: 'large.zip', mimeType: 'application/zip', buffer: Buffer.from(largeRecord()) });
    await page.getByText('Recorded with Benchmark fixture').waitFor({ timeout: 60_000 });
    await page.locator('svg.chart-trajectory [data-language=tr]').first().waitFor({ timeout: 60_000 });
    const cdp = await page.context().newCDPSession(page);
    await cdp.send('Performance.enable', { timeDomain: 'threadTicks' });
    const rows: Row[] = [];
    for (const [what, act] of interactions(page)) {
      const costs: number[] = [];
      for (let i = 0; i < repetitions + 2; i++) {
        const cost = await costOf(cdp, page, () => act(i));
        // the first two warm what later ones reuse
        if (i >= 2) costs.push(cost);
      }
      costs.sort((a, b) => a - b);
      const p95 = costs[Math.min(costs.length - 1, Math.floor(costs.length * 0.95))];
      rows.push(row('page', 'page', what, { lab: `p95 ${ms(p95)}`, other: `median ${ms(costs[costs.length >> 1])}`, target: `≤ ${BUDGET} ms`, reached: p95 <= BUDGET }));
    }
    if (errors.length) throw new Error(errors[0]);
    return rows;
  } finally {
    await close();
  }
}

/** Thread time of the page's main thread from before an interaction until it has come to rest. */
async function costOf(cdp: CDPSession, page: Page, act: () => Promise<void>): Promise<number> {
  const before = await busy(cdp);
  await act();
  await rest(page);
  return (await busy(cdp)) - before;
}

async function busy(cdp: CDPSession): Promise<number> {
  const { metrics } = await cdp.send('Performance.getMetrics');
  return 1000 * (metrics.find((m) => m.name === 'TaskDuration')?.value ?? NaN);
}

/** Two frames with nothing drawn anew in between. */
const rest = (page: Page): Promise<void> =>
  page.evaluate(
    () =>
      new Promise<void>((done) => {
        let quiet = 0;
        const seen = new MutationObserver(() => (quiet = 0));
        seen.observe(document.body, { subtree: true, childList: true });
        const frame = (): void => {
          if (++quiet < 3) return void requestAnimationFrame(frame);
          seen.disconnect();
          done();
        };
        requestAnimationFrame(frame);
      }),
  );

function interactions(page: Page): [string, (i: number) => Promise<void>][] {
  const slider = page.getByRole('slider', { name: /^Layer/ });
  const hover = async (selector: string, i: number): Promise<void> => {
    const box = await page.locator(selector).first().boundingBox();
    if (!box) throw new Error(`${selector} is not on show`);
    await page.mouse.move(box.x + box.width * (0.1 + 0.8 * ((i * 0.37) % 1)), Math.max(box.y, 0) + Math.min(box.height, 400) * (0.1 + 0.8 * ((i * 0.61) % 1)));
  };
  const tab = async (name: string): Promise<void> => page.evaluate((name) => [...document.querySelectorAll<HTMLElement>('[role=tab]')].find((t) => t.textContent === name)?.click(), name);
  const projection = (kind: string): Promise<void> =>
    page.evaluate((kind) => {
      const select = [...document.querySelectorAll('select')].find((s) => s.querySelector('option[value=layer-pca]'));
      if (!select) throw new Error('no choice of projection');
      select.value = kind;
      select.dispatchEvent(new Event('change', { bubbles: true }));
    }, kind);
  return [
    ['nothing at all (what measuring itself costs)', async () => undefined],
    ['layer slider, one step', async (i) => (i === 0 ? slider.focus() : page.keyboard.press(i % 37 < 18 ? 'ArrowLeft' : 'ArrowRight'))],
    ['hover over 36 paths × 37 layers', (i) => hover('svg.chart-trajectory', i)],
    ['hover over the lens', (i) => hover('svg.chart-lens-column', i)],
    ['projection change (fit in a worker), 36 paths', (i) => projection(['layer-pca', 'plane', 'joint-pca'][i % 3])],
    ['tab: layer curves of 12 languages', async (i) => (i % 2 ? tab('Layer curves') : tab('Two phases'))],
    ['tab: prompt of 600 tokens', async (i) => (i % 2 ? tab('Prompt') : tab('Two phases'))],
    ['tab: lens grid', async (i) => (i % 2 ? tab('Logit lens') : tab('Two phases'))],
  ];
}
