/** Steps a reader takes, shared by the e2e tests. */
import { readFile } from 'node:fs/promises';
import { resolve } from 'node:path';
import type { Locator, Page } from 'playwright-core';

const ROOT = resolve(import.meta.dirname, '../..');

/** Until the bundled model has been loaded and has passed its own test. */
export async function ready(page: Page): Promise<void> {
  await page.getByText('✓ tested').waitFor({ state: 'attached', timeout: 120_000 });
}

/** Presses Ask and waits for the pictures of that run. */
export async function ask(page: Page): Promise<void> {
  await page.getByRole('button', { name: 'Ask', exact: true }).click();
  await page.getByText('Measured just now with').waitFor({ timeout: 120_000 });
  await page.getByRole('button', { name: 'Ask', exact: true }).waitFor({ timeout: 120_000 });
}

/** Until every picture on show is drawn, of now, and none is moving. */
export const still = async (page: Page): Promise<void> => {
  await page.waitForFunction(() => ![...document.querySelectorAll('.plot[aria-busy=true], [data-moving]')].some((el) => el.checkVisibility()));
  await page.evaluate(() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done))));
};
export const openShare = (page: Page): Promise<void> => page.getByRole('button', { name: 'Share, save, open' }).click();

/** The address that the share dialog hands out. */
export async function linkOf(page: Page): Promise<string> {
  await openShare(page);
  const url = await page.getByLabel(/^Link/).inputValue();
  await page.keyboard.press('Escape');
  return url;
}

export async function savedRecord(page: Page): Promise<Buffer> {
  await openShare(page);
  const [download] = await Promise.all([page.waitForEvent('download'), page.getByRole('button', { name: 'Save record' }).click()]);
  await page.keyboard.press('Escape');
  return readFile(await download.path());
}

/** Picks a record file, and waits until it is on show: then the dialog closes, and the picture of before is gone before that of the record is there. */
export async function openRecord(page: Page, buffer: Buffer): Promise<void> {
  await openShare(page);
  await page.getByLabel('Open a record').setInputFiles({ name: 'r.zip', mimeType: 'application/zip', buffer });
  await page.locator('dialog[open]').waitFor({ state: 'detached' });
  await page.waitForFunction(() => document.querySelector('.pair svg.chart') && !document.querySelector('.pair .plot[aria-busy=true]'));
}

/** Types an end of the layers that stand out. */
export async function chooseLayer(field: Locator, layer: string): Promise<void> {
  await field.fill(layer);
  await field.press('Enter');
}

export const questionIn = (page: Page): Locator => page.getByRole('combobox', { name: 'Question in' });

/** What axe finds wrong, one line each. */
export async function axe(page: Page): Promise<string[]> {
  if (!(await page.evaluate(() => 'axe' in window))) {
    await page.evaluate(await readFile(resolve(ROOT, 'node_modules/axe-core/axe.min.js'), 'utf8'));
  }
  // a picture is drawn once its width is known, and its buttons wake up with it; colours in motion are judged at rest
  await page.waitForFunction(() => ![...document.querySelectorAll('.plot[aria-busy=true]')].some((plot) => plot.checkVisibility()));
  // so do those that ask, once what a view reads for itself is there
  await page.waitForFunction(() => !/Asking in the other languages…|Reading the lens at every question token…/.test(document.body.innerText));
  await page.evaluate(() => Promise.all(document.getAnimations().filter((a) => a.effect?.getTiming().iterations !== Infinity).map((a) => a.finished)));
  return page.evaluate(async () => {
    const { axe } = window as unknown as { axe: { run(o: object): Promise<{ violations: { id: string; nodes: { target: string[]; failureSummary: string }[] }[] }> } };
    const { violations } = await axe.run({ resultTypes: ['violations'] });
    return violations.flatMap((v) => v.nodes.map((n) => `${v.id}: ${n.target.join(' ')}: ${n.failureSummary.split('\n').slice(1, 2).join('').trim()}`));
  });
}

/** Tab, until what has the focus has this accessible text; fails after `most` presses. */
export async function tabTo(page: Page, text: RegExp, most = 60): Promise<void> {
  const seen: string[] = [];
  for (let i = 0; i < most; i++) {
    await page.keyboard.press('Tab');
    const name = await page.evaluate(() => {
      const el = document.activeElement as HTMLElement | null;
      const labelled = el?.getAttribute('aria-label') ?? (el as HTMLInputElement | null)?.labels?.[0]?.textContent ?? el?.textContent ?? '';
      return labelled.replace(/\s+/g, ' ').trim();
    });
    seen.push(name.slice(0, 40));
    if (text.test(name)) return;
  }
  throw new Error(`Tab never reached ${text}; it passed ${seen.join(' | ')}`);
}

/** Nothing may be wider than the window. */
export const overflow = (page: Page): Promise<number> => page.evaluate(() => document.documentElement.scrollWidth - window.innerWidth);
