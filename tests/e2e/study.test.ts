/** A study from design to export, as a reader does it on the built page with a bundled model. */
import { readFile } from 'node:fs/promises';
import { strFromU8, unzipSync } from 'fflate';
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
  const files = Object.fromEntries(Object.entries(unzipSync(zip)).map(([name, bytes]) => [name, strFromU8(bytes)]));
  // What a paper needs: tables, a paragraph with versions and definitions, samples as an evaluation harness logs them, pictures.
  const lines = files['samples.jsonl'].trim().split('\n').map((l) => JSON.parse(l) as Record<string, unknown>);
  expect(lines).toHaveLength(cells.length);
  expect(lines[0]).toMatchObject({ doc_id: expect.any(String), doc: { context_language: expect.any(String), question_language: expect.any(String) }, target: expect.any(String), resps: [[expect.any(String)]], filtered_resps: [expect.any(String)], filter: 'none', metrics: ['f1', 'exact_match'] });
  const summary = JSON.parse(files['summary.json']) as { cells: number; rows: unknown[] };
  expect(summary.cells).toBe(cells.length);
  expect(files['summary.csv'].trim().split('\r\n')).toHaveLength(1 + summary.rows.length);
  expect(files['methods.md']).toMatch(/We evaluated Passage base \(bundled:passage-base.*3 questions of world \(CC0-1\.0[^]*SQuAD v1\.1[^]*Passage Lab \d+\.\d+\.\d+, ONNX Runtime Web \d+\.\d+\.\d+, WASM\./);
  // the same paragraph by a click
  await page.context().grantPermissions(['clipboard-read', 'clipboard-write']);
  await page.getByRole('button', { name: 'Copy methods text' }).click();
  await page.getByText('Copied', { exact: true }).waitFor();
  expect(await page.evaluate(() => navigator.clipboard.readText())).toBe(files['methods.md'].trim());
  const figures = Object.entries(files).filter(([name]) => name.startsWith('figures/'));
  expect(figures.map(([name]) => name)).toEqual(expect.arrayContaining(['figures/en-x-f1.svg', 'figures/en-x-languageAwareF1.svg', 'figures/en-x-errors-Passage-base.svg', 'figures/en-x-pair-Passage-base-Passage-post-trained.svg']));
  const wrong = await page.evaluate(
    (svgs) => svgs.filter(([, svg]) => svg.includes('NaN') || svg.includes('var(--') || new DOMParser().parseFromString(svg, 'image/svg+xml').documentElement.localName !== 'svg').map(([name]) => name),
    figures,
  );
  expect(wrong).toEqual([]);
  expect(foreign).toEqual([]);
  expect(errors.filter((e) => !e.includes('404'))).toEqual([]);
  await close();
}, 600_000);
