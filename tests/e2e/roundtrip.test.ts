/** View → link → view, record → file → view, one device → another, and all of it from the console. */
import type { Browser, Page } from 'playwright-core';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { LabClient } from '../../src/lab-client';
import { launch, serve, visit, type Served, type Visit } from '../harness';
import { ask, chooseLayer, linkOf as link, openRecord as open, questionIn, ready, savedRecord, still } from './steps';

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
  await chooseLayer(page.getByLabel('From layer').first(), '2');
  await chooseLayer(page.getByLabel('To layer').first(), '6');
  await page.getByRole('button', { name: 'Zoom in' }).first().click();
  await page.getByRole('slider', { name: /^Layer/ }).fill('4');
  await page.getByRole('tab', { name: 'Compare models' }).click();
  await page.getByRole('combobox', { name: /as model B/ }).selectOption('bundled:passage-base');
  await compared(page);
}
/** Until both models are there. */
async function compared(page: Page): Promise<void> {
  await page.getByRole('figure', { name: 'Where they part: A minus B' }).locator('svg.chart').first().waitFor({ timeout: 120_000 });
  await still(page);
}
/** What A minus B shows, in words: of the question alignment too, which needs both models' English question. */
const parting = async (page: Page): Promise<string> => (await page.getByRole('figure', { name: 'Where they part: A minus B' }).locator('.finding').textContent()) ?? '';
/** The paths, and the comparison, which stands first in its panel once it is there. */
async function both(page: Page): Promise<string[]> {
  await compared(page);
  return [await picture(page), await picture(page, '#panel svg.chart')];
}

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

/** What stands in the views below, as chosen and as drawn. Walks through their tabs. */
async function views(page: Page): Promise<unknown> {
  const panel = page.locator('#panel');
  const go = (name: string) => page.getByRole('tab', { name }).click();
  const names = (selector: string): Promise<string[]> => page.locator(selector).evaluateAll((all) => all.filter((e) => e.checkVisibility()).map((e) => (e.textContent ?? '').trim()));
  await go('Layer curves');
  const set = panel.getByRole('figure', { name: 'Where the readout turns to the answer, over 20 questions' });
  await set.locator('svg.chart').waitFor({ timeout: 120_000 });
  const curves = [await panel.getByLabel('Draw').inputValue(), await panel.locator('path.spread:visible').count(), await set.locator('.finding').textContent(), await set.locator('.axis-name').first().textContent()];
  await go('Logit lens');
  await page.locator('.follow:visible text.name').filter({ hasText: '(pinned)' }).waitFor({ timeout: 120_000 });
  const lens = {
    columns: (await names('svg.chart-lens-grid text[data-token]')).length,
    shade: await panel.getByLabel('Shade by').inputValue(),
    follow: await panel.getByRole('combobox', { name: 'Follow', exact: true }).locator('option:checked').textContent(),
    by: await panel.getByLabel('Follow by').inputValue(),
    followed: await names('.follow svg text.name'),
    pinned: await page.locator('[aria-label^=Unpin]:visible').count(),
  };
  await go('Compare models');
  const measure = panel.getByLabel('Measure', { exact: true });
  await measure.waitFor({ timeout: 120_000 });
  return { curves, lens, compared: await measure.inputValue(), token: await page.locator('svg .path[data-token]').evaluateAll((all) => all.filter((e) => e.checkVisibility()).length), panels: await page.locator('.pair figure').first().locator('svg:visible').getAttribute('class'), apart: await page.getByRole('checkbox', { name: 'apart' }).isChecked() };
}

test('all that is chosen in the views goes along, by link and by record: bands, shades, followed and pinned tokens, the chosen token’s path, small multiples, the alignment of an item set', async () => {
  const first = await visit(plain, served.url);
  const { page } = first;
  await ready(page);
  await questionIn(page).selectOption('th');
  await ask(page);
  await english(page);
  const panel = page.locator('#panel');
  await page.getByRole('tab', { name: 'Layer curves' }).click();
  await panel.getByLabel('Draw').selectOption('range');
  for (const l of ['Spanish', 'Vietnamese', 'Chinese', 'Hindi', 'Arabic', 'Greek', 'Romanian', 'Russian', 'Turkish']) await panel.getByRole('checkbox', { name: l, exact: true }).uncheck();
  await panel.getByLabel('Items of').selectOption({ label: '20 items' });
  await panel.getByLabel('Passage').selectOption('own');
  await panel.getByRole('button', { name: 'Measure over the set' }).click();
  const measured = panel.getByLabel('Measure over the set', { exact: true });
  await measured.waitFor({ timeout: 120_000 });
  await measured.selectOption('answer-centred');

  await page.getByRole('tab', { name: 'Logit lens' }).click();
  await page.getByRole('slider', { name: /^Layer/ }).fill('4');
  const heads = page.locator('svg.chart-lens-grid:visible text[data-token]');
  await heads.nth(4).waitFor({ timeout: 60_000 });
  const grid = page.locator('svg.chart-lens-grid:visible').first();
  await grid.evaluate((el) => el.scrollIntoView({ block: 'center' }));
  const column = (await heads.nth(2).boundingBox())!;
  await page.mouse.click(column.x + column.width / 2, column.y + 80);
  await page.locator('svg.chart-trajectory .path[data-token]').waitFor({ state: 'attached' });
  await page.getByRole('region', { name: 'Pin a reading' }).locator('ul').first().getByRole('button').nth(3).click();
  await page.locator('.follow:visible text.name').filter({ hasText: '(pinned)' }).waitFor({ timeout: 60_000 });
  const follow = panel.getByRole('combobox', { name: 'Follow', exact: true });
  await follow.selectOption({ index: (await follow.locator('option').count()) - 1 });
  await panel.getByLabel('Follow by').selectOption('rank');
  await panel.getByLabel('Shade by').selectOption('followed');
  await page.getByRole('tab', { name: 'Compare models' }).click();
  await page.getByRole('combobox', { name: /as model B/ }).selectOption('bundled:passage-base');
  await panel.getByLabel('Measure', { exact: true }).selectOption('retrieval', { timeout: 120_000 });
  await page.getByRole('checkbox', { name: 'apart' }).check();

  const there = await views(page);
  expect(there).toMatchObject({ curves: ['range', expect.any(Number), expect.any(String), expect.stringContaining('centred cosine')], lens: { columns: expect.any(Number), shade: 'followed', by: 'rank', pinned: 1 }, compared: 'retrieval', apart: true });
  const url = await link(page);
  for (const field of ['ap=1', 'sh=followed', 'fm=rank', 'cb=range', 'cm=retrieval', 'al=20,own,answer-centred,de,th', '&f=', '&pt=', '&i=']) expect(url).toContain(field);
  expect(url.length).toBeLessThanOrEqual(2000);
  const file = await savedRecord(page);
  expect(first.errors).toEqual([]);
  await first.close();

  const linked = await visit(plain, url);
  await linked.page.getByText('Your numbers equal those of the link').waitFor({ timeout: 120_000 });
  await linked.page.locator('.pair svg.chart [data-language=en]').first().waitFor({ timeout: 120_000 });
  expect(await views(linked.page)).toEqual(there);
  expect(await link(linked.page)).toBe(url);
  expect(linked.errors).toEqual([]);
  await linked.close();

  // no model, and none is missed
  const filed = await quiet(plain);
  await open(filed.page, file);
  expect(await views(filed.page)).toEqual(there);
  expect(filed.errors).toEqual([]);
  await filed.close();
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
    const refusal = (hash: string): Promise<{ code: string; message: string } | null> =>
      lab.open(hash).then(
        () => null,
        (e: { code: string; message: string }) => ({ code: e.code, message: e.message }),
      );
    const refused = await refusal('#/probe?v=99');
    const lost = [await refusal('#/probe?v=1&set=world&item=nonesuch-1&c=en&q=tr'), await refusal('#/probe?v=1&set=nowhere&item=x&c=en&q=tr'), await refusal('/probe?v=1&rec=nonesuch')];
    // the reader's own text keeps its gold answer
    const [item] = await lab.items('world');
    const gold = await lab.probe({ context: item.context.en ?? '', question: item.question.de ?? '', contextLanguage: 'en', questionLanguage: 'de', answer: item.answer.en });
    const again = (await lab.open(await lab.link(gold))).record?.runs[0].probe;
    const goldOf = (p: typeof gold | undefined): unknown => [p && Object.keys(p.means).sort(), p?.answer.gold, p?.answer.squad, p?.followed.map((f) => f.role)];
    const recorded = await lab.record([gold, probe]);
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
      lost,
      gold: [goldOf(gold), goldOf(again)],
      recorded: [recorded.format, recorded.runs.length, recorded.curves.length > 0],
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
  expect(done.lost).toEqual([
    { code: 'not-found', message: expect.stringContaining('no item “nonesuch-1”') },
    { code: 'not-found', message: expect.stringContaining('“nowhere”') },
    { code: 'not-found', message: expect.stringContaining('No recording “nonesuch”') },
  ]);
  expect(done.gold[1]).toEqual(done.gold[0]);
  expect(done.gold[0]).toMatchObject([expect.arrayContaining(['answerSpan']), expect.any(String), { em: expect.any(Number) }, expect.arrayContaining(['gold'])]);
  expect(done.recorded).toEqual(['passage-lab/record', 2, true]);
  expect(errors).toEqual([]);
  await close();
});
