/** The built page from a sub-path, used as a reader uses it. */
import { readFile } from 'node:fs/promises';
import { resolve } from 'node:path';
import type { Browser } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { loadFile } from '../../src/xmrc/items';
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

describe('a first visit', () => {
  test('loads by itself, answers, scores and draws; no other host is asked', async () => {
    const { page, foreign, errors, close } = await visit(browser, served.url);
    await ready(page);
    await questionIn(page).selectOption('de');
    await ask(page);
    const answer = page.locator('.answer [role=status]');
    expect((await answer.textContent())?.trim()).not.toBe('');
    expect(await page.locator('.answer dl').textContent()).toMatch(/Gold.*F1 \d+ · EM \d+/);
    await page.locator('svg.chart-trajectory').waitFor();
    await page.locator('svg.chart-lens-column').waitFor();
    expect(await page.locator('svg.chart-trajectory [data-language=en]').count()).toBeGreaterThan(0);

    // one slider lights the same layer in both pictures
    await page.getByRole('slider').fill('2');
    for (const chart of ['trajectory', 'lens-column'])
      expect(await page.locator(`svg.chart-${chart} .is-lit[data-layer="2"]`).count(), chart).toBeGreaterThan(0);

    expect(foreign).toEqual([]);
    expect(errors).toEqual([]);
    await close();
  });

  test('another item and other languages change what is read', async () => {
    const { page, close } = await visit(browser, served.url);
    await ready(page);
    const passage = page.locator('.context.text');
    const before = await passage.textContent();
    for (let i = 0; i < 8; i++) await page.getByRole('button', { name: 'Next item' }).click();
    await page.getByRole('combobox', { name: 'Passage in' }).selectOption('ar');
    expect(await passage.textContent()).not.toBe(before);
    expect(await passage.getAttribute('lang')).toBe('ar');
    expect(await passage.evaluate((el) => getComputedStyle(el).direction)).toBe('rtl');
    expect(await page.locator('.scenario').textContent()).toMatch(/^x-y/);
    await page.getByRole('button', { name: / of \d+/ }).click();
    await page.getByLabel('Search items').fill('zzzz');
    await page.getByText('Nothing found').waitFor();
    await page.keyboard.press('Escape');
    await close();
  });

  test('own text: an empty question cannot be asked, strange words are named', async () => {
    const { page, close } = await visit(browser, served.url);
    await ready(page);
    await page.getByRole('button', { name: 'Your own' }).click();
    expect(await page.getByRole('button', { name: 'Ask', exact: true }).isDisabled()).toBe(true);
    await page.getByLabel('Passage', { exact: true }).fill('Zeppelins cruise above Uzbekistan. Carlo lives in Brno.');
    await page.getByLabel('Question', { exact: true }).fill('Where does Carlo live?');
    expect(await page.locator('.out').textContent()).toMatch(/Zeppelins.*Uzbekistan/s);
    await ask(page);
    await page.locator('svg.chart-trajectory').waitFor();
    await close();
  });

  test('own text has what an item has: the question in English beside it, and an answer, its own or the model’s, where it stands', async () => {
    const { page, close } = await visit(browser, served.url);
    await ready(page);
    const { items } = loadFile(await readFile(resolve(import.meta.dirname, '../../public/items/world.json'), 'utf8'), 'world.json');
    const item = items.find((i) => i.answer.en && i.context.en?.split(i.answer.en.text).length === 2)!;
    await page.getByRole('button', { name: 'Your own' }).click();
    const question = page.getByLabel('Question', { exact: true });
    const size = (): Promise<number> => question.evaluate((el) => Number.parseFloat(getComputedStyle(el).fontSize));
    const latin = await size();
    await questionIn(page).selectOption('ar');
    // Arabic is set larger than Latin, here as everywhere
    expect((await size()) / latin).toBeCloseTo(1.06, 2);
    await page.getByLabel('Passage', { exact: true }).fill(item.context.en!);
    await question.fill(item.question.ar!);
    await page.getByRole('tab', { name: 'Layer curves' }).click();
    await ask(page);
    const panel = page.getByRole('tabpanel');
    await panel.getByText('give the same question in English, and ask').waitFor();
    await page.getByLabel('The same question in English').fill(item.question.en!);
    await page.getByText('Press Ask for the question above.').waitFor();
    await ask(page);
    // no gold is named: the span is the model's own answer, and nothing is scored
    const own = (await page.locator('.answer [role=status]').textContent())?.trim() ?? '';
    expect(own).toBe(item.answer.en!.text);
    await page.getByText(`Taken now: the model’s own answer, “${own}”`).waitFor();
    expect(await page.locator('.answer dl').textContent()).not.toMatch(/F1/);
    await page.getByText('No gold answer is named: the answer span is where the model’s own answer stands').waitFor();
    for (const title of ['Where the question’s languages meet', 'Where the readout turns to the answer', 'Where the answer appears', 'How the states grow']) await panel.getByRole('figure', { name: title }).waitFor();
    await page.getByRole('tab', { name: 'Two phases' }).click();
    await panel.getByText('probability of the answer token').first().waitFor();

    const answer = page.getByRole('textbox', { name: 'The answer, as it stands in the passage' });
    await answer.fill('nowhere in it');
    await page.getByText('These words do not stand in the passage').waitFor();
    await answer.fill(own);
    await ask(page);
    expect(await page.locator('.answer dl').textContent()).toMatch(/F1 100 · EM 100/);
    await panel.getByText('probability of the gold token').first().waitFor();
    // both travel in the link
    await page.getByRole('button', { name: 'Share, save, open' }).click();
    const link = await page.getByLabel(/^Link/).inputValue();
    await close();
    const second = await visit(browser, link);
    await second.page.getByText('Your numbers equal those of the link').waitFor({ timeout: 120_000 });
    expect(await second.page.getByLabel('The same question in English').inputValue()).toBe(item.question.en);
    expect(await second.page.getByRole('textbox', { name: 'The answer, as it stands in the passage' }).inputValue()).toBe(own);
    await second.close();
  });

  test('a text longer than the model’s window is refused with the limit named; the page stays usable', async () => {
    const { page, close } = await visit(browser, served.url);
    await ready(page);
    await page.getByRole('button', { name: 'Your own' }).click();
    await page.getByLabel('Passage', { exact: true }).fill('Carlo lives in Brno. '.repeat(2000));
    await page.getByLabel('Question', { exact: true }).fill('Where?');
    await page.getByRole('button', { name: 'Ask', exact: true }).click();
    const alert = page.locator('.answer [role=alert]');
    await alert.waitFor({ timeout: 60_000 });
    expect(await alert.textContent()).toMatch(/\d+/);
    await page.getByRole('button', { name: 'Prepared' }).click();
    await ask(page);
    await close();
  });
});

describe('when something is in the way', () => {
  test('the worker dies: the page says so, and the next question brings the model back', async () => {
    const { page, close } = await visit(browser, served.url);
    await ready(page);
    await page.evaluate(() => (window as unknown as { lab: { worker: Worker } }).lab.worker.terminate());
    await page.getByRole('alert').filter({ hasText: 'worker' }).waitFor({ timeout: 30_000 });
    await page.getByRole('button', { name: 'Load again' }).click();
    await ready(page);
    await ask(page);
    await close();
  });

  test('on a metered connection nothing large is fetched before the reader says so', async () => {
    const { page, close } = await visit(browser, 'about:blank');
    await page.addInitScript(() => Object.defineProperty(navigator, 'connection', { value: { saveData: true } }));
    const large: string[] = [];
    const sizes = new Map<string, number>();
    page.on('request', (r) => /\.(onnx|wasm)(_data)?$/.test(new URL(r.url()).pathname) && large.push(r.url()));
    page.on('response', (r) => /\/models\/passage-post\/|\/ort-wasm/.test(r.url()) && sizes.set(r.url(), Number(r.headers()['content-length'])));
    await page.goto(served.url);
    const load = page.getByRole('button', { name: 'Load the model' });
    await load.waitFor({ timeout: 30_000 });
    const said = /at most ([\d.]+) MB would be downloaded, the fp32 file ([\d.]+) MB and the runtime ([\d.]+) MB/;
    await page.getByText(said).waitFor({ timeout: 30_000 });
    const [, all, file, runtime] = said.exec(await page.locator('main').innerText())?.map(Number) ?? [];
    expect(file + runtime).toBeCloseTo(all, 0);
    expect(large).toEqual([]);
    await load.click();
    await ready(page);
    expect(large.length).toBeGreaterThan(0);
    // and what is fetched is what was said
    expect([...sizes.values()].reduce((a, b) => a + b, 0) / 1e6).toBeCloseTo(all, 1);
    await close();
  });

  test('a model file that is missing: named, with a way to try again', async () => {
    const broken = await serve({
      intercept: (request, response) => {
        if (!/\.onnx/.test(request.url ?? '')) return false;
        response.writeHead(404).end('not found');
        return true;
      },
    });
    const { page, close } = await visit(browser, broken.url);
    const alert = page.getByRole('alert').filter({ hasText: 'The model is not available' });
    await alert.waitFor({ timeout: 60_000 });
    await page.getByRole('button', { name: 'Load again' }).waitFor();
    await page.getByRole('button', { name: 'Next item' }).click();
    await close();
    await broken.close();
  });
});

test('with the keyboard alone: from the first page to an exported file', async () => {
  const { page, close } = await visit(browser, served.url);
  await ready(page);
  await tabTo(page, /^Question in/);
  await page.keyboard.press('ArrowDown');
  await tabTo(page, /^Ask$/);
  await page.keyboard.press('Enter');
  await page.getByText('Measured just now with').waitFor({ timeout: 120_000 });
  await tabTo(page, /^Layer/);
  const slider = page.getByRole('slider');
  const top = Number(await slider.inputValue());
  await page.keyboard.press('ArrowLeft');
  expect(Number(await slider.inputValue())).toBe(top - 1);
  await tabTo(page, /^Picture/);
  await page.keyboard.press('ArrowLeft');
  expect(Number(await slider.inputValue())).toBe(top - 2);
  await tabTo(page, /^CSV$/);
  const [download] = await Promise.all([page.waitForEvent('download'), page.keyboard.press('Enter')]);
  expect(download.suggestedFilename()).toMatch(/\.csv$/);
  expect(await readFile(await download.path(), 'utf8')).toMatch(/layer/i);
  await tabTo(page, /^Prompt$/);
  await page.keyboard.press('ArrowRight');
  expect(await page.getByRole('tab', { selected: true }).textContent()).not.toBe('Prompt');
  await close();
});

describe('every screen', () => {
  for (const [width, scheme] of [
    [1440, 'light'],
    [390, 'dark'],
  ] as const) {
    test(`has no axe violation and is not wider than its window: ${width} px, ${scheme}`, async () => {
      const { page, close } = await visit(browser, served.url);
      await page.setViewportSize({ width, height: 844 });
      await page.emulateMedia({ colorScheme: scheme, reducedMotion: 'reduce' });
      await page.reload();
      await page.locator('.pair .plot').first().waitFor();
      expect(await axe(page), 'before anything is asked').toEqual([]);
      await ready(page);
      await ask(page);
      for (const tab of await page.getByRole('tab').all()) {
        await tab.click();
        expect(await axe(page), (await tab.textContent()) ?? '').toEqual([]);
        expect(await overflow(page)).toBeLessThanOrEqual(0);
      }
      await page.locator('.chip summary').click();
      expect(await axe(page), 'model panel').toEqual([]);
      await page.keyboard.press('Escape');
      // the last views fold what is asked away
      await page.getByRole('tab', { name: 'Prompt' }).click();
      await page.getByRole('button', { name: / of \d+/ }).click();
      expect(await axe(page), 'item dialog').toEqual([]);
      await page.keyboard.press('Escape');
      await page.getByRole('button', { name: 'Your own' }).click();
      expect(await axe(page), 'own text').toEqual([]);
      expect(await overflow(page)).toBeLessThanOrEqual(0);
      await close();
    });
  }
});

test('JavaScript on the main thread before a model is asked for: at most 150 kB gzipped', async () => {
  const { gzipSync } = await import('node:zlib');
  const dist = process.env['LAB_DIST'] ?? resolve(import.meta.dirname, '../../dist');
  const { page, close } = await visit(browser, served.url);
  await page.waitForLoadState('networkidle');
  // what the page itself has loaded as script, without the workers'
  const names = await page.evaluate(() =>
    performance
      .getEntriesByType('resource')
      .map((e) => e.name)
      .filter((n) => /\.m?js$/.test(new URL(n).pathname)),
  );
  let total = 0;
  for (const name of new Set(names)) {
    if (/\.worker-/.test(name)) continue;
    total += gzipSync(await readFile(resolve(dist, new URL(name).pathname.replace('/lab/', '')))).length;
  }
  expect(total).toBeGreaterThan(10_000);
  expect(total).toBeLessThanOrEqual(150_000);
  await close();
});
