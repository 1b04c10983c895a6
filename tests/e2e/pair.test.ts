/** The bundled series in the comparison, with one of its files missing and another one ill. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Browser, Locator, Page } from 'playwright-core';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { TokenizerJson } from '../../src/models/pieces';
import { TextTokenizer } from '../../src/models/tokenizer';
import { launch, serve, visit, type Served } from '../harness';
import { poisoned } from '../scatter';
import { ask, axe, ready } from './steps';

const PUBLIC = join(import.meta.dirname, '../../public');
const read = (path: string): Buffer => readFileSync(join(PUBLIC, path));
/** The self-test's own text ends in it, and no question of the English and German items has it. */
const RARE = '河';

let served: Served;
let browser: Browser;
beforeAll(async () => {
  const tokenizer = await TextTokenizer.create({ tokenizer: JSON.parse(read('models/passage-base/tokenizer.json').toString()) as TokenizerJson, config: {}, template: null });
  const ill = poisoned(read('models/passage-base/onnx/model_q4.onnx'), tokenizer.encode(`Which river? ${RARE}`, false).at(-1) ?? -1);
  // Without its files’ lengths and hashes, which would give the changed file away.
  const list = (JSON.parse(read('models/index.json').toString()) as { ref: { id: string }; files?: unknown }[]).map(({ files, ...card }) => ({ ...card, ...(card.ref.id === 'bundled:passage-base' ? {} : { files }) }));
  served = await serve({
    intercept: (request, response) => {
      const { pathname } = new URL(request.url ?? '/', 'http://x');
      if (/passage-post-2\/onnx\//.test(pathname)) response.writeHead(404).end('not found');
      else if (pathname.endsWith('models/index.json')) response.writeHead(200, { 'Content-Type': 'application/json' }).end(JSON.stringify(list));
      else if (pathname.endsWith('passage-base/onnx/model_q4.onnx')) response.writeHead(200, { 'Content-Type': 'application/octet-stream' }).end(ill);
      else return false;
      return true;
    },
  });
  browser = await launch({ webgpu: 'off' });
});
afterAll(async () => {
  await browser?.close();
  await served?.close();
});

test('a missing checkpoint is named, the others stay usable', async () => {
  const { page, close } = await visit(browser, served.url);
  await ready(page);
  await ask(page);
  await page.getByRole('tab', { name: 'Compare models' }).click();
  const second = page.getByRole('combobox', { name: 'as model B' });
  await second.selectOption('bundled:passage-post-2');
  const said = page.locator('#panel').getByRole('alert');
  await said.waitFor({ timeout: 60_000 });
  expect(await said.innerText()).toMatch(/^model_q4\.onnx is not at .*\/passage-post-2\/onnx\//);
  await second.selectOption('bundled:passage-post-3');
  await page.locator('#panel table').getByRole('rowheader', { name: 'Passage, checkpoint 3' }).waitFor({ timeout: 60_000 });
  expect(await said.count()).toBe(0);
  await close();
});

/** The text of a figure as it is saved. */
async function saved(page: Page, figure: Locator): Promise<string> {
  const [file] = await Promise.all([page.waitForEvent('download'), figure.getByRole('button', { name: 'SVG' }).click()]);
  return readFileSync(await file.path(), 'utf8');
}

test('a model that fails its self-test is labelled wherever it is shown, and so are the pictures that are saved of it', async () => {
  const { page, close } = await visit(browser, served.url);
  const CAUTION = /Passage base\b.* failed its self-test/;
  await ready(page);
  await ask(page);
  const main = page.locator('figure', { has: page.locator('svg.chart-trajectory') }).first();
  expect(await saved(page, main)).not.toContain('self-test');
  // as B, beside one that passed
  await page.getByRole('tab', { name: 'Compare models' }).click();
  await page.getByRole('combobox', { name: 'as model B' }).selectOption('bundled:passage-base');
  const rows = page.locator('#panel table').getByRole('rowheader');
  await rows.filter({ hasText: 'Passage base' }).waitFor({ timeout: 60_000 });
  expect(await rows.filter({ hasText: 'failed its self-test' }).count()).toBe(1);
  const side = page.locator('#panel figure', { hasText: 'Side by side' });
  expect(await side.locator('.caution').textContent()).toMatch(CAUTION);
  expect(await saved(page, side)).toMatch(CAUTION);
  // and as the model itself
  await page.getByRole('tab', { name: 'Models and storage' }).click();
  await page.getByRole('button', { name: 'Load Passage base' }).click();
  await page.locator('details.chip summary', { hasText: 'Passage base' }).getByText('✗ failed its test').waitFor({ state: 'attached', timeout: 60_000 });
  await page.getByRole('button', { name: /^← Back/ }).click();
  await ask(page);
  await page.locator('#inside .note', { hasText: 'self-test failed' }).waitFor({ timeout: 60_000 });
  expect(await main.locator('.caution').textContent()).toMatch(CAUTION);
  expect(await saved(page, main)).toMatch(CAUTION);
  expect(await axe(page)).toEqual([]);
  await close();
});

test('an answer stays its own model’s when another is loaded, and nobody is told of a recording they did not open', async () => {
  const { page, close } = await visit(browser, served.url);
  const label = page.locator('.answer .label');
  const status = page.locator('#inside .status');
  await page.getByText('Recorded with').waitFor({ timeout: 60_000 });
  expect(await label.textContent()).toBe('Answer of Passage post-trained, recorded');
  await ready(page);
  await ask(page);
  expect(await label.textContent()).toBe('Answer of Passage post-trained');
  expect(await status.textContent()).not.toMatch(/Your numbers/);
  await page.getByRole('tab', { name: 'Models and storage' }).click();
  await page.getByRole('button', { name: 'Load Passage, checkpoint 1' }).click();
  await page.locator('.chip summary', { hasText: 'Passage, checkpoint 1' }).getByText('✓ tested').waitFor({ state: 'attached', timeout: 60_000 });
  await page.getByRole('button', { name: /^← Back/ }).click();
  expect(await label.textContent()).toBe('Answer of Passage post-trained');
  expect(await page.locator('.answer dl').textContent()).toMatch(/F1 100/);
  expect((await status.textContent())?.trim()).toBe('These pictures and this answer are of Passage post-trained. Press Ask to ask Passage, checkpoint 1.');
  await ask(page);
  expect(await label.textContent()).toBe('Answer of Passage, checkpoint 1');
  expect(await status.textContent()).toMatch(/^\s*Measured just now with Passage, checkpoint 1/);

  // one that was opened is compared with, until something else is asked
  await page.getByRole('list', { name: 'Recorded here' }).getByRole('button', { name: 'English passage, Arabic question' }).click();
  await page.getByText('These pictures and this answer are of Passage post-trained.').waitFor();
  await page.getByRole('tab', { name: 'Models and storage' }).click();
  await page.getByRole('button', { name: 'Load Passage post-trained' }).click();
  await page.locator('.chip summary', { hasText: 'Passage post-trained' }).getByText('✓ tested').waitFor({ state: 'attached', timeout: 60_000 });
  await page.getByRole('button', { name: /^← Back/ }).click();
  await ask(page);
  await page.getByText('Your numbers equal those recorded.').waitFor();
  await page.getByRole('button', { name: 'Next item' }).click();
  expect(await status.textContent()).not.toMatch(/Your numbers/);
  await close();
});
