/** Relevance and patching as a reader runs them: by a click, with pictures, tables and nothing for axe to find. */
import type { Browser, Page } from 'playwright-core';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { launch, serve, visit, type Served } from '../harness';
import { ask, axe, overflow, questionIn, ready } from './steps';

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

async function shot(page: Page, name: string): Promise<void> {
  const folder = process.env['LAB_SHOTS'];
  if (folder) await page.locator('#views').screenshot({ path: `${folder}/${name}.png` });
}

test('relevance is computed on a click, patching stands beside it', async () => {
  const { page, errors, foreign, close } = await visit(browser, served.url);
  await ready(page);
  await page.getByRole('tab', { name: 'Relevance' }).click();
  await page.getByText('ask the question again first').waitFor();
  expect(await page.getByRole('button', { name: 'Compute relevance' }).isDisabled()).toBe(true);

  await questionIn(page).selectOption('de');
  await ask(page);
  await page.getByText('Attribution is not causation: patching beside it is the causal check').waitFor();
  await page.getByRole('button', { name: 'Compute relevance' }).click();
  await page.locator('#panel svg.chart-relevance').waitFor({ timeout: 60_000 });
  await page.locator('#panel svg.chart-phase-strip').waitFor();
  expect(await page.locator('#panel svg.chart-relevance .group-mrd').count()).toBeGreaterThan(0);
  const mark = async (): Promise<string | null> => page.locator('#panel svg.chart-relevance .group-mrd[data-group=question]').getAttribute('data-layer');
  const before = Number(await mark());
  await page.getByLabel('MRD threshold, %').fill('50');
  expect(Number(await mark())).toBeLessThanOrEqual(before);
  await page.getByLabel('MRD threshold, %').fill('95');

  // a choice that the pictures do not show yet is said
  await page.getByRole('combobox', { name: 'Rule' }).selectOption('cp-lrp');
  await page.getByText('compute again for the choice above').waitFor();
  const figure = page.getByRole('figure', { name: 'Where the answer’s logit comes from' });
  await figure.getByText('Data table').click();
  // the table is made when it is opened
  await figure.locator('tbody tr').nth(10).waitFor();
  expect(await axe(page)).toEqual([]);
  expect(await overflow(page)).toBeLessThanOrEqual(0);
  await shot(page, 'relevance');

  await page.getByRole('tab', { name: 'Patching' }).click();
  await page.getByRole('button', { name: 'Patch every layer' }).click();
  await page.locator('#panel svg.chart-patch-curves').waitFor({ timeout: 60_000 });
  expect(await axe(page)).toEqual([]);
  expect(await overflow(page)).toBeLessThanOrEqual(0);
  await shot(page, 'patching');

  expect(errors).toEqual([]);
  expect(foreign).toEqual([]);
  await close();
});
