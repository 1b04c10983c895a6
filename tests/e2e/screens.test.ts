/** Axe on every screen and state, light and dark, wide and narrow; and the whole way to a saved file with the keyboard alone. */
import { readFile } from 'node:fs/promises';
import type { Browser, Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { unpackRecord } from '../../src/share/record';
import { launch, serve, visit, type Served } from '../harness';
import { ask, axe, overflow, questionIn, ready, tabTo } from './steps';

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

async function clean(page: Page, where: string): Promise<void> {
  expect(await axe(page), where).toEqual([]);
  expect(await overflow(page), where).toBeLessThanOrEqual(0);
}

describe('every screen', () => {
  for (const width of [1440, 390])
    for (const colorScheme of ['light', 'dark'] as const)
      test(`nothing for axe to find, nothing wider than its window: ${width} px, ${colorScheme}`, async () => {
        const { page, close } = await visit(browser, served.url);
        await page.setViewportSize({ width, height: 844 });
        await page.emulateMedia({ colorScheme, reducedMotion: 'reduce' });
        await page.reload();
        await ready(page);
        await ask(page);
        // the other two pairs of width and scheme: page.test.ts
        if ((width === 1440) === (colorScheme === 'dark'))
          for (const tab of await page.getByRole('tab').all()) {
            await tab.click();
            await clean(page, (await tab.textContent()) ?? '');
          }
        await page.getByRole('tab', { name: 'Compare models' }).click();
        await page.getByRole('combobox', { name: /as model B/ }).selectOption('bundled:passage-base');
        await page.locator('#panel svg.chart').first().waitFor({ timeout: 120_000 });
        await clean(page, 'two models');
        await page.getByRole('button', { name: 'Share, save, open' }).click();
        await page.locator('.qr svg').waitFor();
        await page.getByText('Embed in a slide or a page').click();
        await clean(page, 'sharing');
        await page.locator('dialog input[type=file]').setInputFiles({ name: 'r.zip', mimeType: 'application/zip', buffer: Buffer.from('no record') });
        await page.locator('dialog [role=alert]').waitFor();
        await clean(page, 'a file that is no record');
        await close();
      });

  for (const [width, colorScheme] of [
    [1440, 'dark'],
    [390, 'light'],
  ] as const)
    test(`states of trouble and consent: ${width} px, ${colorScheme}`, async () => {
      const broken = await serve({
        intercept: (request, response) => {
          if (!/\.onnx/.test(request.url ?? '')) return false;
          response.writeHead(404).end('not found');
          return true;
        },
      });
      const { page, close } = await visit(browser, 'about:blank');
      await page.setViewportSize({ width, height: 844 });
      await page.emulateMedia({ colorScheme, reducedMotion: 'reduce' });
      for (const [hash, says] of [
        ['', 'The model is not available'],
        ['#/probe?v=99', 'newer lab'],
        ['#/probe?v=1&c=en&q=en&m=evil/model@main&h=https://evil.example&set=world&item=held-out-facts-000-0', 'a host this link chose'],
        ['#/probe?v=1&rec=none-such', 'No recording'],
      ]) {
        await page.goto('about:blank');
        await page.goto(broken.url + hash);
        await page.getByText(says).first().waitFor({ timeout: 60_000 });
        await clean(page, says);
      }
      await close();
      await broken.close();
    });
});

test('with the keyboard alone: ask, look, choose a view, save the record', async () => {
  const { page, close } = await visit(browser, served.url);
  await ready(page);
  await tabTo(page, /^Question in/);
  // to a language that is typed, as in any list
  await page.keyboard.type('Turkish');
  expect(await questionIn(page).inputValue()).toBe('tr');
  await tabTo(page, /^Ask$/);
  await page.keyboard.press('Enter');
  await page.getByText('Measured just now with').waitFor({ timeout: 120_000 });
  await page.locator('svg.chart-trajectory [data-language=en]').first().waitFor({ timeout: 120_000 });
  await page.keyboard.press('Home');
  await tabTo(page, /^Picture/);
  await page.keyboard.press('+');
  await page.keyboard.press('ArrowLeft');
  const layer = await page.getByRole('slider', { name: /^Layer/ }).inputValue();
  await tabTo(page, /^Prompt$/);
  await page.keyboard.press('ArrowRight');
  expect(await page.getByRole('tab', { selected: true }).textContent()).toBe('Layer curves');
  // round by the page's start, as Tab goes
  await page.evaluate(() => (document.activeElement as HTMLElement).blur());
  await tabTo(page, /^Share, save, open$/, 90);
  await page.keyboard.press('Enter');
  await tabTo(page, /^Save record$/);
  const [download] = await Promise.all([page.waitForEvent('download'), page.keyboard.press('Enter')]);
  const read = unpackRecord(new Uint8Array(await readFile(await download.path())));
  expect(read.ok && read.value.view).toMatchObject({ tab: 'curves', layer: Number(layer) });
  expect(read.ok && read.value.view.zoom?.k).toBeGreaterThan(1);
  expect(read.ok && read.value.runs[0].probe.ask.questionLanguage).toBe('tr');
  await page.keyboard.press('Escape');
  // the dialog gives the focus back to where it was opened
  expect(await page.evaluate(() => document.activeElement?.textContent)).toBe('Share, save, open');
  await close();
});
