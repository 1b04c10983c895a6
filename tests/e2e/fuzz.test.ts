/** Ten thousand damaged links in the real page: no exception, no blank page, no other host, nothing large fetched, no file offered. */
import { readFileSync } from 'node:fs';
import type { Browser } from 'playwright-core';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { LabClient } from '../../src/lab-client';
import { makeLink, type ProbeLink } from '../../src/share/link';
import { fuzzed } from '../fixtures/share/fuzz';
import { launch, serve, visit, type Served, type Visit } from '../harness';
import { ready } from './steps';

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

const golden = (JSON.parse(readFileSync(new URL('../fixtures/share/links.json', import.meta.url), 'utf8')) as { links: { hash: string }[] }).links.map((l) => l.hash);
const ITEM = '#/probe?v=1&set=world&item=held-out-facts-000-0&c=en&q=ru&tab=curves&l=3&g=question&p=plane&b=00112233445566778899aabbccddeeff&s=pm&z=2,-10,10&r=2-5&hide=lens';
const text = (models: ProbeLink['models']): string => {
  const made = makeLink({ version: 1, ask: { kind: 'text', context: 'Der Fluss heißt Elbe. <b>長江</b>', question: 'Где?', contextLanguage: 'de', questionLanguage: 'ru' }, models, view: { tab: 'lens', layer: 2 } });
  if (!made.ok) throw new Error(made.message);
  return made.value;
};

interface Watched extends Visit {
  large: string[];
  downloads: string[];
  dialogs: string[];
}
async function watched(options: { metered: boolean }): Promise<Watched> {
  const visited = await visit(browser, served.url, options);
  const [large, downloads, dialogs]: string[][] = [[], [], []];
  visited.context.on('request', (r) => /\.onnx(_data)?$/.test(new URL(r.url()).pathname) && large.push(r.url()));
  visited.page.on('download', (d) => downloads.push(d.url()));
  visited.page.on('dialog', (d) => (dialogs.push(d.message()), void d.dismiss()));
  return { ...visited, large, downloads, dialogs };
}
/** What a set, item or recording that is not there costs: a 404 of the page's own host. */
const real = (errors: string[]): string[] => errors.filter((e) => !/Failed to load resource/.test(e));

test('10,000 links through the page’s own way in, on a page that waits for a word before it loads a model', async () => {
  // no bundled models: those would be loaded at once, as they should
  const seeds = [...golden.filter((h) => !h.includes('bundled:')), ITEM, text([]), text([{ id: 'evil/model', revision: 'main', host: 'https://evil.example' }]), `${ITEM}&m=org/model@main:q4&m2=org/other@main`, '#/probe?v=1&rec=english-passage&l=2'];
  const hashes = fuzzed(seeds, 10_000).map((h) => `#${h.replace(/^#+/, '')}`);
  const { page, errors, foreign, large, downloads, dialogs, close } = await watched({ metered: true });
  await page.getByRole('button', { name: 'Load the model' }).waitFor({ timeout: 60_000 });
  await page.waitForFunction(() => (window as unknown as { lab?: LabClient }).lab?.opener);
  const found = await page.evaluate(async (hashes) => {
    const open = (window as unknown as { lab: LabClient }).lab.opener!;
    // a browser takes two hundred steps in ten seconds and no more; the address bar has its own test below
    history.pushState = () => undefined;
    const blank: string[] = [];
    const failed: string[] = [];
    let explained = 0;
    for (const [i, hash] of hashes.entries()) {
      // the latest counts, as when a reader is quicker than the page; what is named and not there is said, in words of the lab
      open(hash, {}).catch((e: Error & { code?: string }) => e.code && e.code !== 'internal' && e.message.length > 10 || failed.push(`${hash}: ${e.code} ${e.message}`));
      // every link is read and applied; every fifth is drawn
      if (i % 5 === 4) for (let turn = 0; turn < 4; turn++) await Promise.resolve();
      if (document.querySelector('.notice')) explained++;
      const inside = document.getElementById('inside');
      if (!inside) blank.push(hash);
      if (i % 25 !== 24) continue;
      // layout costs more than the link: now and then
      await new Promise(requestAnimationFrame);
      if (!inside?.offsetHeight) blank.push(hash);
    }
    return { blank, failed, explained, injected: document.querySelectorAll('img[src=x], .notice script').length };
  }, hashes);
  expect(found.blank).toEqual([]);
  expect(found.failed).toEqual([]);
  expect(found.injected).toBe(0);
  expect(found.explained).toBeGreaterThan(2000);
  expect([foreign, large, downloads, dialogs, real(errors)]).toEqual([[], [], [], [], []]);
  // and the page is as good as before
  await page.goto('about:blank');
  await page.goto(`${served.url}#/probe?v=1&rec=english-passage&tab=curves`);
  await page.locator('svg.chart-trajectory').waitFor({ timeout: 60_000 });
  expect(await page.getByRole('tab', { selected: true }).textContent()).toBe('Layer curves');
  await close();
});

test('150 of them by the address bar, with a model at hand that answers what can be asked', async () => {
  const seeds = [...golden, ITEM, `${ITEM}&m=bundled:passage-post:fp32`, text([]), text([{ id: 'bundled:passage-post' }])];
  const { page, errors, foreign, downloads, dialogs, close } = await watched({ metered: false });
  await ready(page);
  for (const hash of fuzzed(seeds, 150)) {
    const blank = await page.evaluate(async (hash) => {
      location.hash = hash;
      await new Promise(requestAnimationFrame);
      return !document.getElementById('inside')?.offsetHeight;
    }, hash);
    expect(blank, hash).toBe(false);
  }
  await page.evaluate((hash) => void (location.hash = hash), `${ITEM.replace('hide=lens', 'hide=')}&m=bundled:passage-post:fp32`);
  await page.getByText('Measured just now with').waitFor({ timeout: 120_000 });
  await page.locator('#panel svg.chart:visible').first().waitFor({ timeout: 60_000 }); // tabs that were opened before stay, hidden
  expect([foreign, downloads, dialogs, real(errors)]).toEqual([[], [], [], []]);
  await close();
});
