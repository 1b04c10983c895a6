/** Links, records and history, in the built page. */
import { readFile } from 'node:fs/promises';
import type { Browser, Page } from 'playwright-core';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { launch, serve, visit, type Served } from '../harness';
import { ask, axe, questionIn, ready } from './steps';

let served: Served;
let browser: Browser;
beforeAll(async () => {
  served = await serve();
  browser = await launch({ webgpu: 'off' });
});
afterAll(async () => {
  await browser?.close();
  await served?.close();
});

/** The trajectory's picture, numbers to one place. */
const picture = async (page: Page): Promise<string> =>
  (await page.locator('svg.chart-trajectory').innerHTML()).replace(/-?\d+\.\d+/g, (n) => Number(n).toFixed(1)).replace(/ is-lit/g, '');

const openShare = (page: Page) => page.getByRole('button', { name: 'Share, save, open' }).click();

test('a link reopens the same picture in another browser profile; back and forward walk named steps', async () => {
  const first = await visit(browser, served.url);
  const { page } = first;
  await ready(page);
  await questionIn(page).selectOption('hi');
  await ask(page);
  await page.getByRole('slider', { name: /^Layer/ }).fill('3');
  await page.getByRole('tab', { name: 'Two phases' }).click();
  await page.locator('svg.chart-trajectory [data-language=en]').first().waitFor({ timeout: 60_000 });
  await openShare(page);
  const link = await page.getByLabel(/^Link/).inputValue();
  expect(link).toMatch(/#\/probe\?v=1&set=world&item=/);
  expect(link.length).toBeLessThanOrEqual(2000);
  await page.locator('.qr svg').waitFor();
  expect(await axe(page)).toEqual([]);
  await page.keyboard.press('Escape');
  const drawn = await picture(page);

  await page.goBack();
  expect(await page.getByRole('tab', { selected: true }).textContent()).toBe('Prompt');
  await page.goForward();
  expect(await page.getByRole('tab', { selected: true }).textContent()).toBe('Two phases');
  await first.close();

  const second = await visit(browser, link);
  await second.page.getByText('Your numbers equal those of the link').waitFor({ timeout: 120_000 });
  await second.page.locator('svg.chart-trajectory [data-language=en]').first().waitFor({ timeout: 60_000 });
  expect(await second.page.getByRole('slider', { name: /^Layer/ }).inputValue()).toBe('3');
  expect(await picture(second.page)).toBe(drawn);
  expect(second.foreign).toEqual([]);
  await second.close();
});

test('a record saved as a file opens as the same view, without a model', async () => {
  const { page, close } = await visit(browser, served.url);
  await ready(page);
  await questionIn(page).selectOption('ru');
  await ask(page);
  await page.locator('svg.chart-trajectory [data-language=en]').first().waitFor({ timeout: 60_000 });
  const drawn = await picture(page);
  await openShare(page);
  const [download] = await Promise.all([page.waitForEvent('download'), page.getByRole('button', { name: 'Save record' }).click()]);
  const bytes = await readFile(await download.path());
  await close();

  const other = await visit(browser, 'about:blank');
  await other.page.addInitScript(() => Object.defineProperty(navigator, 'connection', { value: { saveData: true } }));
  await other.page.goto(served.url);
  await openShare(other.page);
  await other.page.locator('dialog input[type=file]').setInputFiles({ name: 'r.zip', mimeType: 'application/zip', buffer: bytes });
  await other.page.getByText('Recorded with').waitFor();
  expect(await picture(other.page)).toBe(drawn);
  expect(await questionIn(other.page).inputValue()).toBe('ru');
  await other.close();
});

test('broken, foreign and hostile links are explained; nothing is fetched from where they point', async () => {
  for (const [hash, says] of [
    ['#/probe?v=99', /newer lab/],
    ['#/probe?set=world', /version number/],
    ['#/nowhere?v=1', /does not have/],
    ['#/probe?v=1&c=en&q=de&x=AAAA', /damaged/],
    ['#/probe?v=1&set=world&item=none-such', /no item/],
    ['#/probe?v=1&c=en&q=en&m=evil/model@main&h=https://evil.example&set=world&item=held-out-facts-000-0', /https:\/\/evil\.example/],
    ['#/probe?v=1&tab=<img src=x onerror=alert(1)>&l=1e99&p=nope&set=world&item=held-out-facts-000-0', /not known|brought to|not a name/],
  ] as const) {
    const { page, foreign, close } = await visit(browser, served.url + hash);
    await page.locator('.notice').filter({ hasText: says }).waitFor({ timeout: 60_000 });
    await page.getByRole('button', { name: 'Next item' }).waitFor();
    // what a link would fetch can be declined
    const stay = page.getByRole('button', { name: 'Stay with this model' });
    if (hash.includes('evil.example')) {
      await stay.click();
      expect(await page.locator('.notice').count()).toBe(0);
      await ready(page);
      await ask(page);
      await page.getByText('Measured just now with Passage post-trained').waitFor();
    } else expect(await stay.count(), hash).toBe(0);
    expect(foreign, hash).toEqual([]);
    await close();
  }
});

test('an embedded view leaves out what it is told to', async () => {
  const { page, close } = await visit(browser, `${served.url}#/probe?v=1&set=world&item=held-out-facts-000-0&c=en&q=de&hide=frame,controls,views`);
  await page.locator('svg.chart-trajectory').waitFor({ timeout: 120_000 });
  expect(await page.getByRole('tablist').count()).toBe(0);
  expect(await page.getByRole('form').count()).toBe(0);
  expect(await page.getByText('Inside, layer by layer').count()).toBe(0);
  // by itself the picture fits the window it is given
  await page.setViewportSize({ width: 960, height: 640 });
  await page.goto('about:blank');
  await page.goto(`${served.url}#/probe?v=1&set=world&item=held-out-facts-000-0&c=en&q=de&hide=frame,controls,reading,lens,views`);
  await page.locator('svg.chart-trajectory [data-language=de]').first().waitFor({ timeout: 120_000 });
  // once the link's own question is asked, nothing is left to say above it
  await page.locator('#inside .status').waitFor({ state: 'detached', timeout: 120_000 });
  expect(await page.evaluate(() => document.documentElement.scrollHeight)).toBeLessThanOrEqual(640);
  await close();
});
