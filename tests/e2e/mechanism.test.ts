/** Relevance and patching as a reader runs them: by a click, with pictures, tables and nothing for axe to find. */
import type { Browser, Page } from 'playwright-core';
import { readFile } from 'node:fs/promises';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { launch, serve, visit, type Served } from '../harness';
import { ask, axe, openRecord, overflow, questionIn, ready } from './steps';

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
  await page.locator('#panel svg.chart-phase-strip:visible').waitFor();
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

const value = (page: Page, name: string): Promise<string> => page.getByRole('combobox', { name, exact: true }).inputValue();
/** What the heatmap says of itself, which names the largest values. */
const finding = (page: Page): Promise<string | null> => page.getByRole('figure', { name: /Where the answer’s logit comes from/ }).locator('.finding').textContent();

test('a link reopens the same map, a record shows it without a model', async () => {
  const first = await visit(browser, served.url);
  await ready(first.page);
  await questionIn(first.page).selectOption('es');
  await ask(first.page);
  await first.page.getByRole('tab', { name: 'Relevance' }).click();
  await first.page.getByRole('combobox', { name: 'Rule' }).selectOption('cp-lrp');
  // the difference between two words of the reader's own choice
  await first.page.getByRole('combobox', { name: 'What is attributed' }).selectOption('difference');
  const [a, b] = [first.page.getByLabel('logit of', { exact: true }), first.page.getByLabel('minus logit of')];
  expect(await a.inputValue()).not.toBe('');
  expect(await b.inputValue()).not.toBe(await a.inputValue());
  await first.page.getByLabel('MRD threshold, %').fill('80');
  await first.page.getByRole('button', { name: 'Compute relevance' }).click();
  await first.page.locator('#panel svg.chart-relevance').waitFor({ timeout: 60_000 });
  const said = await finding(first.page);
  await first.page.waitForFunction(() => /rr=cp-lrp&rt=diff&ra=/.test(location.hash));
  const address = first.page.url();
  await first.page.getByRole('button', { name: 'Share, save, open' }).click();
  const download = first.page.waitForEvent('download');
  await first.page.getByRole('button', { name: 'Save record' }).click();
  // the context takes its downloads with it
  const file = await readFile(await (await download).path());
  expect(first.errors).toEqual([]);
  await first.close();

  const second = await visit(browser, address);
  await second.page.locator('#panel svg.chart-relevance').waitFor({ timeout: 120_000 });
  expect(await finding(second.page)).toBe(said);
  expect(await value(second.page, 'Rule')).toBe('cp-lrp');
  expect(await value(second.page, 'What is attributed')).toBe('difference');
  expect(await second.page.getByLabel('MRD threshold, %').inputValue()).toBe('80');
  expect(second.errors).toEqual([]);
  await second.close();

  // no model is loaded on a metered connection: what the record holds is all there is
  const third = await visit(browser, served.url, { metered: true });
  await openRecord(third.page, file);
  await third.page.getByRole('tab', { name: 'Relevance' }).click();
  await third.page.locator('#panel svg.chart-relevance').waitFor();
  expect(await finding(third.page)).toBe(said);
  expect(await third.page.getByRole('button', { name: 'Compute relevance' }).isDisabled()).toBe(true);
  await third.close();
});

test('what was taken over many items is taken again from a link', async () => {
  const first = await visit(browser, served.url);
  await ready(first.page);
  const strip = (page: Page) => page.getByRole('figure', { name: 'Two phases over 20 items' });
  const again = (page: Page) => page.getByRole('button', { name: 'Relevance over 20 items' });
  await ask(first.page);
  await first.page.getByRole('tab', { name: 'Relevance' }).click();
  await first.page.getByRole('combobox', { name: 'Rule' }).selectOption('cp-lrp');
  await first.page.getByRole('combobox', { name: 'Languages asked' }).selectOption('all');
  await again(first.page).click();
  await strip(first.page).waitFor();
  await again(first.page).waitFor({ timeout: 120_000 }); // the button is back: all of them
  const said = await strip(first.page).locator('.note').first().textContent();
  expect(said).toMatch(/of 20 items|no item/);
  await first.page.waitForFunction(() => /rs=20,all/.test(location.hash));
  const address = first.page.url();
  await first.close();

  const second = await visit(browser, address);
  await strip(second.page).waitFor({ timeout: 120_000 });
  await second.page.getByRole('button', { name: 'All 20 maps as JSON' }).waitFor({ timeout: 120_000 });
  await again(second.page).waitFor();
  expect(await value(second.page, 'Languages asked')).toBe('all');
  expect(await value(second.page, 'Rule')).toBe('cp-lrp');
  expect(await strip(second.page).locator('.note').first().textContent()).toBe(said);
  expect(second.errors).toEqual([]);
  await second.close();
});

test('base stands beside post-trained, and both are taken over many items', async () => {
  const { page, errors, close } = await visit(browser, served.url);
  await ready(page);
  await questionIn(page).selectOption('de');
  await ask(page);
  await page.getByRole('tab', { name: 'Relevance' }).click();
  const second = page.getByRole('combobox', { name: 'Beside it, as model B' });
  await second.selectOption('bundled:passage-base');
  await page.getByRole('button', { name: 'Compute relevance' }).click();
  await page.locator('#panel svg.chart-relevance').first().waitFor({ timeout: 60_000 });
  // B may still be on its way when the button is pressed: it follows by itself
  await page.locator('#panel svg.chart-relevance').nth(1).waitFor({ timeout: 120_000 });
  await page.getByRole('figure', { name: /^B, .*Where the answer’s logit comes from/ }).waitFor();

  await page.getByRole('button', { name: /^Relevance over 20 items$/ }).click();
  await page.getByRole('figure', { name: /^B, .*Two phases over 20 items/ }).waitFor({ timeout: 240_000 });
  await page.getByRole('figure', { name: /^A, .*Two phases over 20 items/ }).locator('svg .spread').first().waitFor({ state: 'attached' });
  await page.getByRole('button', { name: /^Relevance over 20 items$/ }).waitFor({ timeout: 240_000 });
  const json = page.waitForEvent('download');
  await page.getByRole('button', { name: 'All 20 maps, A as JSON' }).click();
  const set = JSON.parse(await readFile(await (await json).path(), 'utf8')) as { kind: string; items: { groups: { question: number[] } }[] };
  expect(set.kind).toBe('relevance-set');
  expect(set.items).toHaveLength(20);
  expect(set.items[0].groups.question).toHaveLength(9);
  expect(await axe(page)).toEqual([]);
  expect(await overflow(page)).toBeLessThanOrEqual(0);
  await shot(page, 'relevance-two');

  // a set that is stopped keeps what it has, and goes on from there
  await page.getByRole('tab', { name: 'Patching' }).click();
  await second.selectOption('');
  await page.getByRole('button', { name: /^Patch \d+ pairs$/ }).click();
  await page.getByRole('figure', { name: /Effect of patching, mean over [1-9]/ }).waitFor({ timeout: 120_000 });
  await page.getByRole('button', { name: 'Stop', exact: true }).click();
  await page.getByText('What is finished is shown; the rest can go on').waitFor({ timeout: 60_000 });
  const kept = await page.getByRole('button', { name: /All \d+ sweeps as JSON/ }).textContent();
  await page.getByRole('button', { name: 'Go on' }).click();
  await page.getByRole('button', { name: /All 20 sweeps as JSON/ }).waitFor({ timeout: 240_000 });
  expect(Number(/\d+/.exec(kept ?? '')?.[0])).toBeLessThan(20);
  await page.getByText('Answers turned, where most were').waitFor();
  expect(await axe(page)).toEqual([]);
  await shot(page, 'patching-set');

  // a record takes the sets along: elsewhere they are there without a model
  const told = async (at: Page): Promise<(string | null)[]> => {
    const note = (figure: RegExp) => at.getByRole('figure', { name: figure }).locator('.note').last().textContent();
    await at.getByRole('tab', { name: 'Patching' }).click();
    const patched = await note(/Effect of patching, mean over 20/);
    await at.getByRole('tab', { name: 'Relevance' }).click();
    return [patched, await note(/^A, .*Two phases over 20 items/), await note(/^B, .*Two phases over 20 items/)];
  };
  const here = await told(page);
  await page.getByRole('button', { name: 'Share, save, open' }).click();
  const download = page.waitForEvent('download');
  await page.getByRole('button', { name: 'Save record' }).click();
  const file = await readFile(await (await download).path());
  expect(errors).toEqual([]);
  await close();

  const there = await visit(browser, served.url, { metered: true });
  await openRecord(there.page, file);
  expect(await told(there.page)).toEqual(here);
  expect(here[2]).toMatch(/Phasing stability \d/);
  expect(there.errors).toEqual([]);
  await there.close();
}, 600_000);
