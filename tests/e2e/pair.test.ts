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
