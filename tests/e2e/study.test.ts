/** A study from design to export, as a reader does it on the built page with a bundled model. */
import { readFile } from 'node:fs/promises';
import type { Browser } from 'playwright-core';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { importStudy } from '../../src/study/import';
import { launch, serve, visit, type Served } from '../harness';
import { axe, overflow } from './steps';

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

test('design, run, leave, come back, read, correct, export', async () => {
  const { page, foreign, errors, close } = await visit(browser, served.url, { metered: true });
  await page.getByRole('tab', { name: 'Study' }).click();
  await page.getByText('No study yet').waitFor({ timeout: 60_000 });
  await page.getByRole('button', { name: 'New study' }).click();
  const form = page.getByRole('form', { name: 'Design of a study' });
  await form.getByText(/questions in 12 languages/).waitFor({ timeout: 60_000 });
  await form.getByLabel('How many').fill('3');
  await form.getByText(/^\s*\d+ answers/).waitFor();
  expect(await axe(page)).toEqual([]);
  for (const width of [390, 1920]) {
    await page.setViewportSize({ width, height: 900 });
    expect(await overflow(page), `at ${width}`).toBeLessThanOrEqual(0);
  }
  await page.setViewportSize({ width: 1280, height: 900 });
  await form.getByRole('button', { name: 'Start' }).click();

  // the page goes away in the middle, and the study goes on by itself when it is back
  await page.getByRole('progressbar', { name: 'Answers of the study' }).waitFor({ timeout: 60_000 });
  await page.waitForFunction(() => (document.querySelector('progress[aria-label]') as HTMLProgressElement | null)?.value! >= 2, undefined, { timeout: 120_000 });
  await page.reload();
  await page.getByRole('tab', { name: /Study/ }).click();
  await page.getByText('The study is finished.').waitFor({ timeout: 170_000 });

  await page.locator('svg.chart-matrix').waitFor();
  const table = page.getByRole('region', { name: /^Scores/ });
  await table.getByRole('button', { name: 'F1', exact: true }).click();
  expect(await table.locator('th[aria-sort=descending]').count()).toBe(1);
  await table.getByRole('button', { name: /answers of/ }).first().click();
  const type = page.getByLabel('Error type of this answer').first();
  await type.selectOption('refusal');
  await page.getByText('by hand; detector:').first().waitFor();
  expect(await axe(page)).toEqual([]);
  for (const width of [390, 768, 1920]) {
    await page.setViewportSize({ width, height: 900 });
    await page.waitForTimeout(300);
    expect(await overflow(page), `at ${width}`).toBeLessThanOrEqual(0);
  }
  const download = page.waitForEvent('download');
  await page.getByRole('button', { name: 'Export all (zip)' }).click();
  const zip = new Uint8Array(await readFile(await (await download).path()));
  const { cells } = importStudy(zip);
  expect(cells.length).toBeGreaterThan(0);
  expect(cells.filter((c) => c.corrected === 'refusal').length).toBe(1);
  expect(foreign).toEqual([]);
  expect(errors.filter((e) => !e.includes('404'))).toEqual([]);
  await close();
}, 600_000);
