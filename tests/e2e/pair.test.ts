/** The bundled series in the comparison, with one of its files missing. */
import type { Browser } from 'playwright-core';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { launch, serve, visit, type Served } from '../harness';
import { ask, ready } from './steps';

let served: Served;
let browser: Browser;
beforeAll(async () => {
  served = await serve({
    intercept: (request, response) => {
      if (!/passage-post-2\/onnx\//.test(request.url ?? '')) return false;
      response.writeHead(404).end('not found');
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
  await page.getByRole('button', { name: 'Load Passage base' }).click();
  await page.locator('.chip summary', { hasText: 'Passage base' }).getByText('✓ tested').waitFor({ timeout: 60_000 });
  await page.getByRole('button', { name: /^← Back/ }).click();
  expect(await label.textContent()).toBe('Answer of Passage post-trained');
  expect(await page.locator('.answer dl').textContent()).toMatch(/F1 100/);
  expect((await status.textContent())?.trim()).toBe('These pictures and this answer are of Passage post-trained. Press Ask to ask Passage base.');
  await ask(page);
  expect(await label.textContent()).toBe('Answer of Passage base');
  expect(await status.textContent()).toMatch(/^\s*Measured just now with Passage base/);

  // one that was opened is compared with, until something else is asked
  await page.getByRole('list', { name: 'Recorded here' }).getByRole('button', { name: 'English passage, Arabic question' }).click();
  await page.getByText('These pictures and this answer are of Passage post-trained.').waitFor();
  await page.getByRole('tab', { name: 'Models and storage' }).click();
  await page.getByRole('button', { name: 'Load Passage post-trained' }).click();
  await page.locator('.chip summary', { hasText: 'Passage post-trained' }).getByText('✓ tested').waitFor({ timeout: 60_000 });
  await page.getByRole('button', { name: /^← Back/ }).click();
  await ask(page);
  await page.getByText('Your numbers equal those recorded.').waitFor();
  await page.getByRole('button', { name: 'Next item' }).click();
  expect(await status.textContent()).not.toMatch(/Your numbers/);
  await close();
});
