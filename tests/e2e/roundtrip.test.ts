/** View → link → view, record → file → view, one device → another, and all of it from the console. */
import { readFile } from 'node:fs/promises';
import type { Browser, Page } from 'playwright-core';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { LabClient } from '../../src/lab-client';
import { launch, serve, visit, type Served, type Visit } from '../harness';
import { ask, questionIn, ready } from './steps';

let served: Served;
let plain: Browser;
let gpu: Browser;
beforeAll(async () => {
  served = await serve();
  [plain, gpu] = await Promise.all([launch({ webgpu: 'off' }), launch()]);
});
afterAll(async () => {
  await plain?.close();
  await gpu?.close();
  await served?.close();
});

/** A picture's markup, numbers to one place. */
const picture = async (page: Page, selector = 'svg.chart-trajectory'): Promise<string> =>
  (await page.locator(selector).first().innerHTML()).replace(/-?\d+\.\d+/g, (n) => Number(n).toFixed(1)).replace(/-0\.0/g, '0.0').replace(/ is-lit/g, '');
const english = (page: Page) => page.locator('svg.chart-trajectory [data-language=en]').first().waitFor({ timeout: 120_000 });
const openShare = (page: Page) => page.getByRole('button', { name: 'Share, save, open' }).click();

async function link(page: Page): Promise<string> {
  await openShare(page);
  const url = await page.getByLabel(/^Link/).inputValue();
  await page.keyboard.press('Escape');
  return url;
}
async function savedRecord(page: Page): Promise<Buffer> {
  await openShare(page);
  const [download] = await Promise.all([page.waitForEvent('download'), page.getByRole('button', { name: 'Save record' }).click()]);
  await page.keyboard.press('Escape');
  return readFile(await download.path());
}
async function open(page: Page, buffer: Buffer): Promise<void> {
  await openShare(page);
  await page.locator('dialog input[type=file]').setInputFiles({ name: 'r.zip', mimeType: 'application/zip', buffer });
  await page.getByText('Recorded with').waitFor();
  // the picture of before is gone before that of the record is there
  await page.waitForFunction(() => document.querySelector('svg.chart-trajectory') && !document.querySelector('.plot[aria-busy=true]'));
}
/** A page that loads no model by itself. */
const quiet = (browser: Browser): Promise<Visit> => visit(browser, served.url, { metered: true });

/** A view with everything a link can say: a second model, a projection, mirrored, a range of layers, a zoom, a layer. */
async function rich(page: Page): Promise<void> {
  await ready(page);
  await questionIn(page).selectOption('ru');
  await ask(page);
  await english(page);
  await page.getByLabel('Projection').selectOption('layer-pca');
  const across = async (): Promise<number[]> => (await points(page)).filter((_, i) => i % 2 === 0);
  const before = await across();
  await page.getByRole('button', { name: 'Mirror left and right' }).click();
  const mirrored = await across();
  // what was far left is far right: the points and their mirror images lie about one line
  const sums = mirrored.map((x, i) => x + before[i]);
  expect(Math.max(...sums) - Math.min(...sums)).toBeLessThan(0.1);
  await page.getByLabel('From layer').first().selectOption('2');
  await page.getByLabel('To layer').first().selectOption('6');
  await page.getByRole('button', { name: 'Zoom in' }).first().click();
  await page.getByRole('slider', { name: /^Layer/ }).fill('4');
  await page.getByRole('tab', { name: 'Compare models' }).click();
  await page.getByRole('combobox', { name: /as model B/ }).selectOption('bundled:passage-base');
  await page.locator('#panel svg.chart').first().waitFor({ timeout: 120_000 });
}
/** What A minus B shows, in words: of the question alignment too, which needs both models' English question. */
const parting = async (page: Page): Promise<string> => (await page.getByRole('figure', { name: 'Where they part: A minus B' }).locator('.finding').textContent()) ?? '';
const both = async (page: Page): Promise<string[]> => [await picture(page), await picture(page, '#panel svg.chart')];

test('view → link → view, with a second model, a range, a projection and a zoom; the same link comes out again', async () => {
  const first = await visit(plain, served.url);
  await rich(first.page);
  const url = await link(first.page);
  for (const field of ['m2=bundled:passage-base@', 'tab=compare', 'l=4', 'p=layer-pca', 'b=', 's=', 'z=', 'r=2-6']) expect(url).toContain(field);
  expect(url.length).toBeLessThanOrEqual(2000);
  const drawn = await both(first.page);
  await first.close();

  const second = await visit(plain, url);
  await second.page.getByText('Your numbers equal those of the link').waitFor({ timeout: 120_000 });
  await english(second.page);
  await second.page.locator('#panel svg.chart').first().waitFor({ timeout: 120_000 });
  expect(await both(second.page)).toEqual(drawn);
  expect(await link(second.page)).toBe(url);
  expect(second.foreign).toEqual([]);
  expect(second.errors).toEqual([]);
  await second.close();
});

test('record → file → import is the same view, both models, without one being loaded', async () => {
  const first = await visit(plain, served.url);
  await rich(first.page);
  const drawn = await both(first.page);
  const parted = await parting(first.page);
  expect(parted).toContain('question alignment differs most at layer');
  const file = await savedRecord(first.page);
  await first.close();
  const second = await quiet(plain);
  await open(second.page, file);
  expect(await both(second.page)).toEqual(drawn);
  expect(await parting(second.page)).toBe(parted);
  expect(await second.page.getByRole('slider', { name: /^Layer/ }).inputValue()).toBe('4');
  expect(second.errors).toEqual([]);
  await second.close();
});

/** Every number of the paths' lines. */
const points = (page: Page): Promise<number[]> =>
  page.locator('svg.chart-trajectory path.line').evaluateAll((lines) => lines.flatMap((l) => [...(l.getAttribute('d') ?? '').matchAll(/-?[\d.]+/g)].map((m) => Number(m[0]))));

test('WASM against WebGPU: the plane travels with the record, paths agree within a hundredth of the plot, and the difference is said', async () => {
  const first = await visit(plain, served.url);
  await ready(first.page);
  await questionIn(first.page).selectOption('ar');
  await ask(first.page);
  await english(first.page);
  const file = await savedRecord(first.page);
  const url = await link(first.page);
  await first.close();

  const second = await quiet(gpu);
  const { page } = second;
  await open(page, file);
  const width = (await page.locator('svg.chart-trajectory').boundingBox())?.width ?? 0;
  const there = await points(page);
  await page.evaluate(() => (window as unknown as { lab: LabClient }).lab.capabilities());
  await page.locator('.chip summary').click();
  await page.getByRole('radio', { name: 'WebGPU' }).check();
  await page.keyboard.press('Escape');
  await page.getByRole('button', { name: 'Load the model' }).click();
  await ready(page);
  await ask(page);
  await english(page);
  await page.getByText(/In one plane its paths lie within [\d.e-]+ % of the plot/).waitFor();
  expect(await page.locator('#inside .status').textContent()).toMatch(/device: wasm there, webgpu here/);
  const here = await points(page);
  expect(here).toHaveLength(there.length);
  expect(Math.max(...here.map((v, i) => Math.abs(v - there[i])))).toBeLessThan(width / 100);

  // a link has no room for the plane: it is fitted anew, its axes run as in the link
  await page.goto('about:blank');
  await page.goto(`${url}&d=webgpu`);
  await page.getByText(/Your numbers (equal|differ from) those of the link/).waitFor({ timeout: 120_000 });
  await english(page);
  const linked = await points(page);
  expect(linked).toHaveLength(there.length);
  expect(Math.max(...linked.map((v, i) => Math.abs(v - there[i])))).toBeLessThan(width / 100);
  await second.close();
});

test('from the console: compare, link, open, export', async () => {
  const { page, errors, close } = await visit(plain, served.url);
  await ready(page);
  const done = await page.evaluate(async () => {
    const { lab } = window as unknown as { lab: LabClient };
    const asked = { item: 'held-out-facts-000-0', set: 'world', contextLanguage: 'en', questionLanguage: 'th' } as const;
    const probe = await lab.probe(asked);
    const url = await lab.link(probe);
    const pair = await lab.compare('bundled:passage-post', { model: 'bundled:passage-base', device: 'wasm' }, asked);
    const opened = await lab.open(url);
    const far = await lab.open('#/probe?v=1&set=world&item=held-out-facts-000-0&m=evil/model@main&h=https://evil.example');
    const file = await lab.export(pair, 'zip');
    const csv = await (await lab.export(probe, 'csv')).text();
    const refused = await lab.open('#/probe?v=99').then(
      () => null,
      (e: { code: string; message: string }) => ({ code: e.code, message: e.message }),
    );
    return {
      url,
      pair: pair.runs.map((r) => [r.slot, r.probe.model.card.ref.id]),
      curves: pair.curves.map((c) => [c.name, c.group, c.values.length]),
      opened: { answer: opened.record?.runs[0].probe.answer.text, same: opened.comparison?.sameTokens, cos: opened.comparison?.cos, view: opened.record?.view.basis },
      answer: probe.answer.text,
      far: { record: far.record, needs: far.needs.map((n) => n.host) },
      file: [file.name, file.type, file.size > 1000],
      csv: csv.split('\r\n')[0],
      refused,
      layers: probe.layers.length,
    };
  });
  expect(done.url).toMatch(/^http.*#\/probe\?v=1&set=world&item=held-out-facts-000-0&c=en&q=th&m=bundled:passage-post@/);
  expect(done.pair).toEqual([
    ['A', 'bundled:passage-post'],
    ['B', 'bundled:passage-base'],
  ]);
  expect(done.curves).toContainEqual(['cosine, A to B', 'readout', done.layers]);
  expect(done.opened).toMatchObject({ answer: done.answer, same: true });
  expect(done.opened.cos).toBeGreaterThan(0.9999);
  expect(done.opened.view).toMatch(/^[0-9a-f]{16}$/);
  expect(done.far).toEqual({ record: null, needs: ['https://evil.example'] });
  expect(done.file).toEqual(['passage-record.zip', 'application/zip', true]);
  expect(done.csv).toBe('slot,model,passage in,question in,layer,measure,of,value');
  expect(done.refused).toMatchObject({ code: 'bad-input', message: expect.stringContaining('newer lab') });
  expect(await page.getByText('a host this link chose').count()).toBe(1);
  expect(errors).toEqual([]);
  await close();
});
