/** The views of a run, used as a reader uses them. */
import { readFile } from 'node:fs/promises';
import type { Browser, Page } from 'playwright-core';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { parseCsv } from '../../src/share/csv';
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

/** The CSV of the figure with this title, as the reader gets it. */
async function csvOf(page: Page, title: string | RegExp): Promise<string[][]> {
  const figure = page.getByRole('figure', { name: title });
  const [download] = await Promise.all([page.waitForEvent('download'), figure.getByRole('button', { name: 'CSV' }).click()]);
  return parseCsv(await readFile(await download.path(), 'utf8'));
}

test('layer curves: a band over the languages, and the alignment of a whole item set', async () => {
  const { page, errors, close } = await visit(browser, served.url);
  await ready(page);
  await questionIn(page).selectOption('th');
  await ask(page);
  await page.getByRole('tab', { name: 'Layer curves' }).click();
  const panel = page.getByRole('tabpanel');
  await panel.getByRole('button', { name: 'Ask in every language' }).click();
  await panel.getByText('12 languages have been asked').waitFor({ timeout: 120_000 });
  const curves = panel.getByRole('figure', { name: 'Where the question’s languages meet' });
  expect((await csvOf(page, 'Where the question’s languages meet'))[0]).toHaveLength(12);
  await panel.getByLabel('Draw').selectOption('range');
  await curves.locator('path.spread').waitFor();
  const rows = await csvOf(page, 'Where the question’s languages meet');
  expect(rows[0]).toEqual(['layer', 'mean of 11 languages', 'mean of 11 languages, lowest', 'mean of 11 languages, highest', 'Thai']);
  for (const [, mean, low, high, thai] of rows.slice(1).map((r) => r.map(Number))) {
    expect(low).toBeLessThanOrEqual(mean);
    expect(mean).toBeLessThanOrEqual(high);
    expect(thai).toBeGreaterThanOrEqual(low);
    expect(thai).toBeLessThanOrEqual(high);
  }

  // two languages over twenty items; a cancelled run leaves nothing behind
  for (const l of ['Spanish', 'Vietnamese', 'Chinese', 'Hindi', 'Arabic', 'Greek', 'Romanian', 'Russian', 'Turkish'])
    await panel.getByRole('checkbox', { name: l, exact: true }).uncheck();
  const measure = panel.getByRole('button', { name: 'Measure over the set' });
  await panel.getByLabel('Items of').selectOption({ label: '100 items' });
  await measure.click();
  await panel.getByText(/of 300 questions/).waitFor({ timeout: 60_000 });
  await panel.getByRole('button', { name: 'Cancel' }).click();
  await measure.waitFor();
  expect(await panel.getByRole('figure', { name: /^Where the languages meet, over/ }).count()).toBe(0);
  await panel.getByLabel('Items of').selectOption({ label: '20 items' });
  await measure.click();
  const figure = panel.getByRole('figure', { name: 'Where the languages meet, over 20 questions' });
  await figure.waitFor({ timeout: 120_000 });
  await panel.getByLabel('Draw').selectOption('each');
  const set = await csvOf(page, /^Where the languages meet, over 20/);
  expect(set[0]).toEqual(['layer', 'German', 'Thai']);
  expect(set).toHaveLength(10);
  // shares of twenty; over the layers the bundled model does better than chance
  for (const row of set.slice(1)) for (const share of row.slice(1)) expect(Number(share) * 20).toBeCloseTo(Math.round(Number(share) * 20), 9);
  expect(Math.max(...set.slice(1).map((r) => Number(r[1])))).toBeGreaterThan(0.2);
  await figure.getByLabel('Measure over the set').selectOption('centred');
  expect(await figure.locator('.axis-name').first().textContent()).toMatch(/^centred cosine/);
  expect(await axe(page)).toEqual([]);
  expect(await overflow(page)).toBeLessThanOrEqual(0);
  expect(errors).toEqual([]);
  await close();
});
