/** Links, records and history, in the built page. */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { strFromU8, strToU8, unzipSync, zipSync } from 'fflate';
import type { Browser, Page } from 'playwright-core';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { LabClient } from '../../src/lab-client';
import { launch, serve, visit, type Served } from '../harness';
import { startHub } from '../hub';
import { ask, axe, openRecord, openShare, questionIn, ready, savedRecord } from './steps';

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

const LONG = { timeout: 120_000 };
/** The trajectory's picture, numbers to one place. */
const picture = async (page: Page): Promise<string> =>
  (await page.locator('svg.chart-trajectory').innerHTML()).replace(/-?\d+\.\d+/g, (n) => Number(n).toFixed(1)).replace(/ is-lit/g, '');
const drawn = (page: Page, language: string): Promise<void> => page.locator(`svg.chart-trajectory [data-language=${language}]`).first().waitFor(LONG);
const hash = (page: Page): string => new URL(page.url()).hash;
const hashSays = (page: Page, ...parts: string[]): Promise<unknown> => page.waitForFunction((parts) => parts.every((p) => location.hash.includes(p)), parts);
const tab = (page: Page): Promise<string | null> => page.getByRole('tab', { selected: true }).textContent();
const layer = (page: Page) => page.getByRole('slider', { name: /^Layer/ });
const recording = (id: string): Buffer => readFileSync(join(import.meta.dirname, `../../public/recordings/${id}.zip`));

test('a link reopens the same picture in another browser profile; it is copied, and shown as large as the room needs', async () => {
  const first = await visit(browser, served.url);
  const { page } = first;
  await first.context.grantPermissions(['clipboard-read', 'clipboard-write']);
  await ready(page);
  await questionIn(page).selectOption('hi');
  await ask(page);
  await layer(page).fill('3');
  await page.getByRole('tab', { name: 'Two phases' }).click();
  await drawn(page, 'en');
  await openShare(page);
  const link = await page.getByLabel(/^Link/).inputValue();
  expect(link).toMatch(/#\/probe\?v=1&set=world&item=.*&m=bundled:passage-post@[0-9a-f]{12}:/);
  expect(link.length).toBeLessThanOrEqual(2000);
  await page.getByRole('button', { name: 'Copy link' }).click();
  await page.getByText('Link copied').waitFor();
  expect(await page.evaluate(() => navigator.clipboard.readText())).toBe(link);
  const enlarge = page.getByRole('button', { name: 'Enlarge' });
  await enlarge.focus();
  expect(await axe(page)).toEqual([]);
  await page.keyboard.press('Enter');
  const large = page.getByRole('dialog', { name: /^QR code/ });
  const code = await large.locator('.code').boundingBox();
  expect(Math.min(code?.width ?? 0, code?.height ?? 0)).toBeGreaterThan(0.7 * (page.viewportSize()?.height ?? Infinity));
  expect(await axe(page)).toEqual([]);
  await page.keyboard.press('Escape');
  await large.waitFor({ state: 'hidden' });
  expect(await enlarge.evaluate((e) => e === document.activeElement)).toBe(true);
  const [png] = await Promise.all([page.waitForEvent('download'), page.getByRole('button', { name: 'PNG of the QR code' }).click()]);
  expect([...readFileSync(await png.path()).subarray(1, 4)]).toEqual([...Buffer.from('PNG')]);
  await page.keyboard.press('Escape');
  const seen = await picture(page);

  await page.goBack();
  expect(await tab(page)).toBe('Prompt');
  await page.goForward();
  expect(await tab(page)).toBe('Two phases');
  await first.close();

  const second = await visit(browser, link);
  await second.page.getByText('Your numbers equal those of the link').waitFor(LONG);
  await drawn(second.page, 'en');
  expect(await layer(second.page).inputValue()).toBe('3');
  expect(await picture(second.page)).toBe(seen);
  expect(second.foreign).toEqual([]);
  await second.close();
});

test('back returns to the question asked before, and at last to what the page began with', async () => {
  const { page, errors, close } = await visit(browser, served.url);
  await drawn(page, 'de');
  await ready(page);
  expect(hash(page)).toBe('');
  for (const l of ['hi', 'ar', 'ru']) {
    await questionIn(page).selectOption(l);
    await ask(page);
    expect(hash(page)).toContain(`&q=${l}`);
  }
  // what is chosen for the next question is not on show yet
  await questionIn(page).selectOption('th');
  await layer(page).fill('3');
  await hashSays(page, '&l=3');
  expect(hash(page)).toContain('&q=ru&');
  for (const l of ['ar', 'hi']) {
    await page.goBack();
    await drawn(page, l);
    await drawn(page, 'en');
    expect(await questionIn(page).inputValue()).toBe(l);
    await page.getByText('Your numbers equal those of the link').waitFor(LONG);
  }
  // a link over the same question names another file, and another training
  await page.evaluate(() => (location.hash = location.hash.replace(/@[0-9a-f]{12}:fp32/, '@0123456789ab:q4')));
  await page.getByText('Measured just now with Passage post-trained, q4').waitFor(LONG);
  await page.locator('.notice').filter({ hasText: /another training of bundled:passage-post \(0123456789ab\)/ }).waitFor(LONG);
  await page.goBack();
  await page.getByText('Measured just now with Passage post-trained, fp32').waitFor(LONG);
  await page.goBack();
  await page.getByText('Recorded with').waitFor(LONG);
  await drawn(page, 'de');
  expect(hash(page)).toBe('');
  expect(errors).toEqual([]);
  await close();
});

test('recordings are addressed, walked back and forth in, found again after a reload, and open in under a second; what is dropped has its place too', async () => {
  const { page, errors, context, close } = await visit(browser, served.url, { metered: true });
  await drawn(page, 'de');
  await page.getByRole('tab', { name: 'Layer curves' }).click();
  await layer(page).fill('3');
  await hashSays(page, 'rec=english-passage', 'tab=curves', 'l=3');
  expect(hash(page)).not.toMatch(/[?&](m|set|t)=/);
  await page.goBack();
  expect(await tab(page)).toBe('Prompt');
  await page.goForward();
  expect(await tab(page)).toBe('Layer curves');

  // from when its bytes are there until it is drawn: the rest is the network's and the page's own start
  await context.addInitScript(() => {
    new MutationObserver((_, observer) => {
      if (!document.querySelector('svg.chart-trajectory .path')) return;
      observer.disconnect();
      performance.mark('drawn');
    }).observe(document, { subtree: true, childList: true });
  });
  await page.reload();
  await drawn(page, 'de');
  const [came, there] = await page.evaluate(() => {
    const files = performance.getEntriesByType('resource') as PerformanceResourceTiming[];
    return [files.find((e) => e.name.endsWith('recordings/english-passage.zip'))?.responseEnd ?? NaN, performance.getEntriesByName('drawn')[0].startTime];
  });
  console.log(`the recording is drawn ${Math.round(there)} ms after the navigation, ${Math.round(there - came)} ms after its bytes came`);
  expect(there).toBeGreaterThan(came);
  expect(there - came).toBeLessThan(1000);
  expect(await tab(page)).toBe('Layer curves');
  expect(await layer(page).inputValue()).toBe('3');
  await page.getByText('Recorded with').waitFor();

  // a file dropped anywhere on the page; back from it to the recording
  const drop = async (bytes: Buffer): Promise<void> => {
    const transfer = await page.evaluateHandle((data) => {
      const held = new DataTransfer();
      held.items.add(new File([Uint8Array.from(atob(data), (c) => c.charCodeAt(0))], 'passage-record.zip'));
      return held;
    }, bytes.toString('base64'));
    await page.dispatchEvent('body', 'drop', { dataTransfer: transfer });
  };
  await drop(recording('arabic-question'));
  await drawn(page, 'ar');
  expect(await questionIn(page).inputValue()).toBe('ar');
  await hashSays(page, 'set=world&item=held-out-facts-011-1', '&q=ar');
  await page.getByRole('tab', { name: 'Two phases' }).click();
  await page.goBack();
  expect(await tab(page)).toBe('Prompt');
  await drawn(page, 'ar');
  await page.goBack();
  await drawn(page, 'de');
  expect(await tab(page)).toBe('Layer curves');

  // one that was made to exhaust the page is refused, and nothing else happens
  const files = unzipSync(recording('arabic-question'));
  const deep = strFromU8(files['record.json']).replace(/^\{/, `{"future":${'['.repeat(20_000)}${']'.repeat(20_000)},`);
  await drop(Buffer.from(zipSync({ ...files, 'record.json': strToU8(deep) })));
  await page.locator('.notice').filter({ hasText: 'nests more than' }).waitFor();
  await drawn(page, 'de');
  expect(errors).toEqual([]);
  await close();
});

test('a recording that a link or the reader names stays, however slow another one is', async () => {
  const asked: string[] = [];
  let release = (): void => undefined;
  const held = new Promise<void>((done) => (release = done));
  const slow = await serve({
    intercept: (request) => {
      const name = /recordings\/([\w-]+)\.zip/.exec(request.url ?? '')?.[1];
      if (name) asked.push(name);
      return false;
    },
  });
  for (const named of ['rec=arabic-question', 'set=world&item=held-out-facts-011-1&c=en&q=ar&rec=arabic-question']) {
    const { page, close } = await visit(browser, `${slow.url}#/probe?v=1&${named}`, { metered: true, withoutOffline: true });
    await drawn(page, 'ar');
    await page.getByRole('button', { name: 'Load the model' }).waitFor();
    expect(asked.splice(0)).toEqual(['arabic-question']);
    await close();
  }
  const { page, context, close } = await visit(browser, slow.url, { metered: true, withoutOffline: true });
  await drawn(page, 'de');
  await context.route('**/russian-passage.zip', async (route) => {
    await held;
    await route.continue();
  });
  const open = (title: string): Promise<void> => page.getByRole('list', { name: 'Recorded here' }).getByRole('button', { name: title }).click();
  await open('Russian passage, Spanish question');
  await open('English passage, Arabic question');
  await drawn(page, 'ar');
  const late = page.waitForResponse('**/russian-passage.zip');
  release();
  await (await late).finished();
  await hashSays(page, 'rec=arabic-question');
  await drawn(page, 'ar');
  expect(await questionIn(page).inputValue()).toBe('ar');
  await close();
  await slow.close();
});

/** Clicks in the very moment in which the page says something, quicker than any hand. */
const clickAt = (page: Page, said: string, button: string): Promise<void> =>
  page.evaluate(
    ({ said, button }) =>
      new Promise<void>((done) => {
        const look = (): boolean => {
          const found = document.querySelector(said) && [...document.querySelectorAll<HTMLElement>('button')].find((b) => b.textContent === button);
          if (found) found.click();
          return !!found;
        };
        const seen = new MutationObserver(() => look() && (seen.disconnect(), done()));
        seen.observe(document, { subtree: true, childList: true, characterData: true, attributes: true });
        if (look()) seen.disconnect(), done();
      }),
    { said, button },
  );

test('a quick hand: what is opened before the address has followed has its place, and what is looked at while a link runs stays', async () => {
  const first = await visit(browser, served.url, { metered: true });
  await clickAt(first.page, 'svg.chart-trajectory [data-language=de]', 'English passage, Arabic question');
  await hashSays(first.page, 'rec=arabic-question');
  await first.page.goBack();
  await drawn(first.page, 'de');
  expect(hash(first.page)).toBe('');
  await first.close();

  const { page, close } = await visit(browser, `${served.url}#/probe?v=1&set=world&item=held-out-facts-011-1&c=en&q=ar&l=3&tab=phases`);
  await clickAt(page, 'svg.chart-trajectory [data-language=ar]', 'Layer curves');
  await drawn(page, 'en');
  await hashSays(page, 'tab=curves', 'l=3');
  expect(await tab(page)).toBe('Layer curves');
  await close();
});

test('a record saved as a file opens as the same view, without a model', async () => {
  const { page, close } = await visit(browser, served.url);
  await ready(page);
  await questionIn(page).selectOption('ru');
  await ask(page);
  await drawn(page, 'en');
  const seen = await picture(page);
  const bytes = await savedRecord(page);
  await close();

  const other = await visit(browser, served.url, { metered: true });
  await openRecord(other.page, bytes);
  expect(await picture(other.page)).toBe(seen);
  expect(await questionIn(other.page).inputValue()).toBe('ru');
  await other.close();
});

test('broken, foreign and hostile links are explained; nothing is fetched from where they point', async () => {
  for (const [hash, says] of [
    ['#/probe?v=99', /newer lab/],
    ['#/probe?set=world', /version number/],
    ['#/nowhere?v=1', /does not have/],
    ['#/probe?v=1&c=en&q=de&x=AAAA', /damaged/],
    ['#/probe?v=1&set=world&item=none-such', /no item/],
    ['#/probe?v=1&set=nowhere&item=x', /“nowhere” is neither part of this page nor kept/],
    ['#/probe?v=1&c=en&q=en&m=evil/model@main&h=https://evil.example&set=world&item=held-out-facts-000-0', /https:\/\/evil\.example/],
    ['#/probe?v=1&tab=<img src=x onerror=alert(1)>&l=1e99&p=nope&set=world&item=held-out-facts-000-0', /not known|brought to|not a name/],
  ] as const) {
    const { page, foreign, close } = await visit(browser, served.url + hash);
    await page.locator('.notice').filter({ hasText: says }).waitFor({ timeout: 60_000 });
    await page.getByRole('button', { name: 'Next item' }).waitFor();
    // what a link would fetch can be declined
    const stay = page.getByRole('button', { name: 'Stay with this model' });
    if (hash.includes('evil.example')) {
      await stay.click();
      expect(await page.locator('.notice').count()).toBe(0);
      await ready(page);
      await ask(page);
      await page.getByText('Measured just now with Passage post-trained').waitFor();
    } else expect(await stay.count(), hash).toBe(0);
    expect(foreign, hash).toEqual([]);
    await close();
  }
});

test('an embedded view leaves out what it is told to, and a plain link after it nothing', async () => {
  const { page, close } = await visit(browser, `${served.url}#/probe?v=1&set=world&item=held-out-facts-000-0&c=en&q=de&hide=frame,controls,views,lens`);
  await page.locator('svg.chart-trajectory').waitFor(LONG);
  expect(await page.getByRole('tablist').count()).toBe(0);
  expect(await page.getByRole('form').count()).toBe(0);
  expect(await page.getByText('Inside, layer by layer').count()).toBe(0);
  // by itself the picture fits the window it is given
  await page.setViewportSize({ width: 960, height: 640 });
  await page.goto('about:blank');
  await page.goto(`${served.url}#/probe?v=1&set=world&item=held-out-facts-000-0&c=en&q=de&hide=frame,controls,reading,lens,views`);
  await page.locator('svg.chart-trajectory [data-language=de]').first().waitFor(LONG);
  // once the link's own question is asked, nothing is left to say above it
  await page.locator('#inside .status').waitFor({ state: 'detached', ...LONG });
  expect(await page.evaluate(() => document.documentElement.scrollHeight)).toBeLessThanOrEqual(640);
  await page.evaluate(() => (location.hash = '#/probe?v=1&rec=arabic-question&tab=lens'));
  await page.getByRole('button', { name: 'Share, save, open' }).waitFor();
  await page.locator('svg.chart-lens-column').waitFor();
  expect(await tab(page)).toBe('Logit lens');
  await page.evaluate(() => (location.hash = '#/probe?v=1&rec=arabic-question'));
  await page.getByRole('tab', { name: 'Prompt', selected: true }).waitFor();
  await close();
});

test('a model of a hub: how much it is, is asked for on a click; agreed to once, back and forward ask no more', async () => {
  const hub = await startHub(join(import.meta.dirname, '../fixtures/models'));
  const { page, errors, close } = await visit(browser, served.url, { metered: true });
  await page.getByRole('button', { name: 'Your own' }).click();
  await page.evaluate((host) => (location.hash = `#/probe?v=1&c=en&q=en&m=tiny/llama@main:fp32&h=${encodeURIComponent(host)}&x=q1ZKzs8rSa0oUbJSCslIVXDNSUpVSMvJLy_WU9JRKixNLS7JzM8DSoZnZCZnKBRllqUW2SvVAgA`), hub.host);
  const consent = page.locator('.notice').filter({ hasText: 'Running this downloads' });
  await consent.waitFor();
  expect(await consent.textContent()).toMatch(/tiny\/llama@main:fp32 from http.*only that host can tell/);
  expect(hub.log).toEqual([]);
  await consent.getByRole('button', { name: 'Ask how much' }).click();
  await consent.filter({ hasText: /a host this link chose, 0\.5 MB/ }).waitFor(LONG);
  expect(hub.log.filter((l) => /\.onnx/.test(l))).toEqual([]);
  await consent.getByRole('button', { name: 'Run it here' }).click();
  await page.getByText('Measured just now with tiny/llama').waitFor(LONG);

  await page.getByRole('tab', { name: 'Two phases' }).click();
  await page.getByRole('tab', { name: 'Layer curves' }).click();
  await page.goBack();
  await page.getByRole('tab', { name: 'Two phases', selected: true }).waitFor();
  expect(await page.locator('.notice').filter({ hasText: /download/ }).count()).toBe(0);
  // another question, and back over it: asked again of the model that is here
  await page.getByLabel('Question', { exact: true }).fill('Which town?');
  await ask(page);
  await hashSays(page, 'm=tiny/llama@');
  await page.goBack();
  await page.waitForFunction(() => document.querySelector<HTMLTextAreaElement>('.asked textarea')?.value !== 'Which town?');
  await page.getByText('Your numbers equal those of the link').waitFor(LONG);
  expect(await consent.count()).toBe(0);
  expect(errors).toEqual([]);
  await close();
  await hub.close();
});

const XQUAD = process.env['XQUAD_DIR'] ?? join(import.meta.dirname, '../../../shared/data/xquad');
const missing = !existsSync(join(XQUAD, 'xquad.en.json'));
if (missing) console.warn(`skipped: ${XQUAD} is not here, so no link to XQuAD is opened in the page`);
test.skipIf(missing)('a link to an XQuAD item says what it fetches, fetches it on a click, and finds it again', async () => {
  const { page, context, foreign, close } = await visit(browser, 'about:blank', { withoutOffline: true });
  await context.route('https://raw.githubusercontent.com/**', (route) =>
    route.fulfill({ body: readFileSync(join(XQUAD, route.request().url().split('/').pop() ?? '')), headers: { 'access-control-allow-origin': '*' } }),
  );
  const from = (): string[] => foreign.filter((url) => !url.startsWith(served.origin));
  await page.goto(`${served.url}#/probe?v=1&set=xquad&item=56beb4343aeaaa14008c925c&c=en&q=th`);
  const consent = page.locator('.notice').filter({ hasText: /“xquad”.*https:\/\/raw\.githubusercontent\.com, 14\.0 MB/ });
  await consent.waitFor({ timeout: 60_000 });
  await page.getByText('The passages of “xquad” are not here').waitFor();
  await ready(page);
  const refused = await page.evaluate(async () => {
    const { record, needs } = await (window as unknown as { lab: LabClient }).lab.open(location.hash);
    return { record, needs: needs.map((n) => n.kind) };
  });
  expect(refused).toEqual({ record: null, needs: ['set'] });
  expect(from()).toEqual([]);
  await consent.getByRole('button', { name: 'Run it here' }).click();
  await page.locator('.context.text').filter({ hasText: 'Panthers defense' }).waitFor(LONG);
  expect(from()).toHaveLength(12);
  // too much for the bundled model, or not: either way it was asked
  await page.getByText('Measured just now with').or(page.locator('.answer [role=alert]')).first().waitFor(LONG);
  expect(await page.getByRole('button', { name: / of 1190$/ }).count()).toBe(1);
  await page.reload();
  await page.locator('.context.text').filter({ hasText: 'Panthers defense' }).waitFor(LONG);
  expect(await page.locator('.notice').filter({ hasText: 'xquad' }).count()).toBe(0);
  expect(from()).toHaveLength(12);
  await close();
});
