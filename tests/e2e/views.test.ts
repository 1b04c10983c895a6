/** The views of a run, used as a reader uses them. */
import { readFile } from 'node:fs/promises';
import type { Browser, Page } from 'playwright-core';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { parseCsv } from '../../src/share/csv';
import { launch, serve, visit, type Served } from '../harness';
import { ask, axe, chooseLayer, overflow, questionIn, ready } from './steps';

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

/** The CSV of the figure with this title, as the reader gets it. */
async function csvOf(page: Page, title: string | RegExp): Promise<string[][]> {
  const figure = page.getByRole('figure', { name: title });
  const [download] = await Promise.all([page.waitForEvent('download'), figure.getByRole('button', { name: 'CSV' }).click()]);
  return parseCsv(await readFile(await download.path(), 'utf8'));
}

test('layer curves: a band over the languages, and the alignment of a whole item set', async () => {
  const { page, errors, close } = await visit(browser, served.url);
  await ready(page);
  await questionIn(page).selectOption('th');
  await ask(page);
  await page.getByRole('tab', { name: 'Layer curves' }).click();
  const panel = page.getByRole('tabpanel');
  await panel.getByRole('button', { name: 'Ask in every language' }).click();
  await panel.getByText('12 languages have been asked').waitFor({ timeout: 120_000 });
  const curves = panel.getByRole('figure', { name: 'Where the question’s languages meet' });
  expect((await csvOf(page, 'Where the question’s languages meet'))[0]).toHaveLength(12);
  await panel.getByLabel('Draw').selectOption('range');
  await curves.locator('path.spread').waitFor();
  const rows = await csvOf(page, 'Where the question’s languages meet');
  expect(rows[0]).toEqual(['layer', 'mean of 11 languages', 'mean of 11 languages, lowest', 'mean of 11 languages, highest', 'Thai']);
  for (const [, mean, low, high, thai] of rows.slice(1).map((r) => r.map(Number))) {
    expect(low).toBeLessThanOrEqual(mean);
    expect(mean).toBeLessThanOrEqual(high);
    expect(thai).toBeGreaterThanOrEqual(low);
    expect(thai).toBeLessThanOrEqual(high);
  }

  // two languages over twenty items; a cancelled run leaves nothing behind
  for (const l of ['Spanish', 'Vietnamese', 'Chinese', 'Hindi', 'Arabic', 'Greek', 'Romanian', 'Russian', 'Turkish'])
    await panel.getByRole('checkbox', { name: l, exact: true }).uncheck();
  const measure = panel.getByRole('button', { name: 'Measure over the set' });
  await panel.getByLabel('Items of').selectOption({ label: '100 items' });
  await measure.click();
  await panel.getByText(/of 300 questions/).waitFor({ timeout: 60_000 });
  await panel.getByRole('button', { name: 'Cancel' }).click();
  await measure.waitFor();
  expect(await panel.getByRole('figure', { name: /^Where the languages meet, over/ }).count()).toBe(0);
  await panel.getByLabel('Items of').selectOption({ label: '20 items' });
  await measure.click();
  const figure = panel.getByRole('figure', { name: 'Where the languages meet, over 20 questions' });
  await figure.waitFor({ timeout: 120_000 });
  await panel.getByLabel('Draw').selectOption('each');
  const set = await csvOf(page, /^Where the languages meet, over 20/);
  expect(set[0]).toEqual(['layer', 'German', 'Thai']);
  expect(set).toHaveLength(10);
  // shares of twenty; over the layers the bundled model does better than chance
  for (const row of set.slice(1)) for (const share of row.slice(1)) expect(Number(share) * 20).toBeCloseTo(Math.round(Number(share) * 20), 9);
  expect(Math.max(...set.slice(1).map((r) => Number(r[1])))).toBeGreaterThan(0.2);
  await figure.getByLabel('Measure over the set').selectOption('centred');
  expect(await figure.locator('.axis-name').first().textContent()).toMatch(/^centred cosine/);
  expect(await axe(page)).toEqual([]);
  expect(await overflow(page)).toBeLessThanOrEqual(0);
  expect(errors).toEqual([]);
  await close();
});

test('a range of layers: by keyboard, by list and by lasso; the others step back everywhere', async () => {
  const { page, errors, close } = await visit(browser, served.url);
  await ready(page);
  await questionIn(page).selectOption('de');
  await ask(page);
  const figure = page.getByRole('figure', { name: /^From embeddings to answer/ });
  const picture = figure.getByRole('group', { name: /^Picture/ });
  await figure.locator('[data-language=en]').first().waitFor();
  const dim = (chart: string): Promise<number[]> =>
    page.evaluate((c) => [...new Set([...document.querySelectorAll<SVGElement>(`svg.chart-${c} :is(.is-dim, .is-out)[data-layer]`)].map((e) => Number(e.dataset['layer'])))].sort((a, b) => a - b), chart);
  expect(await dim('trajectory')).toEqual([]);

  // Shift and arrows from the last layer down to 5, then Escape
  await picture.focus();
  for (let i = 0; i < 3; i++) await page.keyboard.press('Shift+ArrowLeft');
  // the paths have no element per layer: their numbers, every other, are dimmed, and the line itself is drawn twice
  expect(await dim('trajectory')).toEqual([0, 2, 4]);
  expect(await dim('lens-column')).toEqual([0, 1, 2, 3, 4]);
  expect(await figure.getByLabel('From layer', { exact: true }).inputValue()).toBe('5');
  expect(await figure.locator('.finding').textContent()).toContain('From layer 5 to 8');
  await page.keyboard.press('Escape');
  expect(await dim('trajectory')).toEqual([]);

  // the fields, and a facts’ walk: Down tells of the next path at the lit layer
  await chooseLayer(figure.getByLabel('To layer', { exact: true }), '4');
  await chooseLayer(figure.getByLabel('From layer', { exact: true }), '2');
  expect(await dim('trajectory')).toEqual([0, 6]);
  // a layer that the model does not have is its last
  await chooseLayer(figure.getByLabel('To layer', { exact: true }), '99');
  expect(await figure.getByLabel('To layer', { exact: true }).inputValue()).toBe('8');
  expect(await dim('trajectory')).toEqual([0]);
  await figure.getByRole('button', { name: 'all', exact: true }).click();
  await picture.focus();
  await page.keyboard.press('Home');
  await page.keyboard.press('ArrowRight');
  const told = figure.locator('p[role=status]');
  expect(await told.textContent()).toMatch(/layer 1: \(/);
  const first = await told.textContent();
  await page.keyboard.press('ArrowDown');
  expect(await told.textContent()).toMatch(/layer 1: \(/);
  expect(await told.textContent()).not.toBe(first);

  // a box round the readout’s last marks
  await picture.scrollIntoViewIfNeeded();
  const spots = await page.locator('svg.chart-trajectory').first().evaluate((svg) => {
    const { x, y, width } = svg.getBoundingClientRect();
    const scale = width / Number(svg.getAttribute('width'));
    const line = svg.querySelector('.path.is-pinned[data-group=readout][data-language=en] > .line')?.getAttribute('d') ?? '';
    return [...line.matchAll(/[ML](-?[\d.]+),(-?[\d.]+)/g)].map((m, layer) => ({ layer, x: x + Number(m[1]) * scale, y: y + Number(m[2]) * scale }));
  });
  expect(spots).toHaveLength(9);
  const late = spots.filter((s) => s.layer >= 6);
  const [left, right, top, bottom] = [Math.min(...late.map((s) => s.x)), Math.max(...late.map((s) => s.x)), Math.min(...late.map((s) => s.y)), Math.max(...late.map((s) => s.y))];
  await page.mouse.move(left - 3, top - 3);
  await page.mouse.down();
  await page.mouse.move((left + right) / 2, (top + bottom) / 2, { steps: 3 });
  await page.mouse.move(right + 3, bottom + 3, { steps: 3 });
  expect(await figure.locator('.box').count()).toBe(1);
  await page.mouse.up();
  expect(await figure.locator('.box').count()).toBe(0);
  const [from, to] = [Number(await figure.getByLabel('From layer', { exact: true }).inputValue()), Number(await figure.getByLabel('To layer', { exact: true }).inputValue())];
  expect(to).toBe(8);
  expect(from).toBeLessThanOrEqual(6);
  expect(from).toBeGreaterThan(0);
  expect(await dim('trajectory')).toEqual(Array.from({ length: from }, (_, l) => l).filter((l) => l % 2 === 0));
  expect(errors).toEqual([]);
  await close();
});

test('two models, and two files of one, side by side and as A minus B', async () => {
  const { page, errors, close } = await visit(browser, served.url);
  await ready(page);
  await questionIn(page).selectOption('th');
  await ask(page);
  await page.locator('svg.chart-trajectory [data-language=en]').first().waitFor({ timeout: 60_000 });
  await page.getByRole('tab', { name: 'Compare models' }).click();
  const panel = page.getByRole('tabpanel');
  await panel.getByLabel(/as model B/).selectOption('bundled:passage-base');
  await panel.getByRole('figure', { name: 'Where they part: A minus B' }).waitFor({ timeout: 120_000 });
  const minus = await csvOf(page, 'Where they part: A minus B');
  expect(minus[0]).toEqual(['layer', 'question alignment', 'readout–answer similarity', 'gold token’s probability']);
  expect(minus).toHaveLength(10);
  // the same as the two lines of the picture beside it
  for (const [measure, column] of [['lens', 3], ['retrieval', 2], ['alignment', 1]] as const) {
    await panel.getByRole('combobox', { name: 'Measure', exact: true }).selectOption(measure);
    const [head, ...rows] = await csvOf(page, 'Side by side, layer by layer');
    expect(head).toEqual(['layer', 'A', 'B']);
    rows.forEach((r, l) => expect(Number(r[1]) - Number(r[2])).toBeCloseTo(Number(minus[l + 1][column]), 9));
  }
  const apartBase = (await csvOf(page, 'How far apart their states lie')).slice(1).map((r) => Number(r[1]));
  expect(Math.max(...apartBase)).toBeGreaterThan(0.01);

  // the base model has no fp32 file: that is said, and A is offered in the kind that both have
  await panel.getByText('A fp32, B q4: part of the difference is rounding.').waitFor();

  // along the training
  const slider = panel.getByRole('slider');
  await slider.fill('2');
  await panel.getByRole('rowheader', { name: /^B Passage, checkpoint 2/ }).waitFor({ timeout: 120_000 });

  // the same model from its 4-bit file: nearer than the base model is
  await panel.getByLabel(/as model B/).selectOption('bundled:passage-post');
  await panel.getByRole('rowheader', { name: 'B Passage post-trained, q4, WASM' }).waitFor({ timeout: 120_000 });
  const apartFile = (await csvOf(page, 'How far apart their states lie')).slice(1).map((r) => Number(r[1]));
  expect(Math.max(...apartFile)).toBeGreaterThan(0);
  expect(Math.max(...apartFile)).toBeLessThan(Math.max(...apartBase));

  await panel.getByLabel(/as model B/).selectOption('bundled:passage-base');
  await panel.getByRole('button', { name: 'Ask A’s q4 file instead' }).click();
  await panel.getByRole('rowheader', { name: 'A Passage post-trained, q4, WASM' }).waitFor({ timeout: 120_000 });
  await panel.getByRole('rowheader', { name: 'B Passage base, q4, WASM' }).waitFor({ timeout: 120_000 });
  expect(await panel.getByText('part of the difference is rounding').count()).toBe(0);
  expect(await axe(page)).toEqual([]);
  expect(await overflow(page)).toBeLessThanOrEqual(0);
  expect(errors).toEqual([]);
  await close();
});

test('one model on WASM and on WebGPU: the same states', async () => {
  const gpu = await launch();
  const { page, errors, close } = await visit(gpu, served.url);
  await ready(page);
  await ask(page);
  await page.getByRole('tab', { name: 'Compare models' }).click();
  const panel = page.getByRole('tabpanel');
  await panel.getByLabel(/as model B/).selectOption('bundled:passage-post');
  await panel.getByRole('rowheader', { name: /^B / }).waitFor({ timeout: 120_000 });
  await panel.getByLabel(/^File/).selectOption('fp32');
  await panel.getByRole('rowheader', { name: 'B Passage post-trained, fp32, WASM' }).waitFor({ timeout: 120_000 });
  await panel.getByLabel(/^Device/).selectOption('webgpu');
  await panel.getByRole('rowheader', { name: 'B Passage post-trained, fp32, WebGPU' }).waitFor({ timeout: 170_000 });
  for (const row of (await csvOf(page, 'How far apart their states lie')).slice(1)) for (const v of row.slice(1)) expect(Math.abs(Number(v))).toBeLessThan(1e-4);
  expect(errors).toEqual([]);
  await close();
  await gpu.close();
}, 400_000);

test('the first screen of a laptop shows the picture', async () => {
  const { page, close } = await visit(browser, 'about:blank');
  await page.setViewportSize({ width: 1440, height: 900 });
  await page.goto(served.url);
  const picture = page.locator('svg.chart-trajectory');
  await picture.waitFor({ timeout: 60_000 });
  await ready(page);
  const box = await picture.boundingBox();
  // what covers its lower edge is the list of views, all of it on the first screen too
  const list = page.getByRole('tablist', { name: 'Views' });
  const listed = await list.boundingBox();
  expect((listed?.y ?? 0) + (listed?.height ?? 900)).toBeLessThanOrEqual(900);
  const onTop = (): Promise<string[]> =>
    list.evaluate((el) => [...el.children].map((tab) => tab.getBoundingClientRect()).map(({ x, y, width, height }) => document.elementFromPoint(x + width / 2, y + height / 2)?.textContent ?? ''));
  expect(await onTop()).toEqual(await list.getByRole('tab').allTextContents());
  expect(((listed?.y ?? 0) - (box?.y ?? 900)) / (box?.height ?? 1)).toBeGreaterThan(0.55);
  expect(await page.getByText('question encoding', { exact: true }).isVisible()).toBe(true);

  // to ask moves nothing
  await ask(page);
  await page.locator('svg.chart-trajectory [data-language=en]').first().waitFor();
  expect((await picture.boundingBox())?.y).toBe(box?.y);

  // the list stays where it was clicked, whatever the views measure and whatever folds above it
  await page.getByRole('tab', { name: 'Two phases' }).click();
  const at = (await list.boundingBox())?.y ?? NaN;
  expect(at).toBeLessThan(200);
  for (const name of ['Compare models', 'Prompt', 'Layer curves', 'Models and storage', 'Study', 'Relevance']) {
    await page.getByRole('tab', { name }).click();
    expect(Math.abs(((await list.boundingBox())?.y ?? NaN) - at), name).toBeLessThan(2);
  }

  // the slider goes along with pictures by layer; views that are of no question have neither it nor the pictures above them
  const slider = async (): Promise<number> => (await page.getByRole('slider', { name: /^Layer/ }).boundingBox())?.y ?? NaN;
  await page.getByRole('tab', { name: 'Layer curves' }).click();
  await page.getByRole('figure', { name: 'How the states grow' }).scrollIntoViewIfNeeded();
  expect(await slider()).toBeGreaterThan(0);
  await page.getByRole('tab', { name: 'Study' }).click();
  await page.getByRole('button', { name: /study/i }).first().waitFor();
  expect(await page.getByRole('slider', { name: /^Layer/ }).count()).toBe(0);
  expect(await picture.isVisible()).toBe(false);
  await page.getByRole('button', { name: /^← Back to/ }).click();
  expect(await page.getByRole('tab', { selected: true }).textContent()).toBe('Layer curves');
  expect((await picture.boundingBox())?.y).toBe(box?.y);

  // in a hall all of it is larger, the pictures' words too
  await page.setViewportSize({ width: 2550, height: 1440 });
  await page.waitForFunction(() => document.querySelector('svg.chart-trajectory')!.getBoundingClientRect().width > 1200);
  const scale = await picture.evaluate((svg: SVGSVGElement) => svg.getBoundingClientRect().width / svg.viewBox.baseVal.width);
  expect(scale).toBeCloseTo(1.5, 1);
  expect(await page.evaluate(() => Number.parseFloat(getComputedStyle(document.body).fontSize))).toBeCloseTo(1.5 * 15, 0);
  expect(await overflow(page)).toBeLessThanOrEqual(0);
  await close();
});

test('the prompt as a table and as a file; readings of the lens pinned and followed, in the view’s link too', async () => {
  const { page, errors, close } = await visit(browser, served.url);
  await ready(page);
  await page.getByRole('combobox', { name: 'Passage in' }).selectOption('ar');
  await questionIn(page).selectOption('ar');
  await ask(page);
  await page.getByRole('tab', { name: 'Prompt' }).click();
  const prompt = await csvOf(page, 'The prompt and the answer, token by token');
  expect(prompt[0]).toEqual(['position', 'token', 'id', 'group', 'start', 'end', 'special']);
  const tokens = await page.locator('[role=toolbar] [data-token]').evaluateAll((all) => Number((all.at(-1) as HTMLElement).dataset['token']));
  expect(prompt.length - 1).toBeGreaterThan(tokens);
  expect(new Set(prompt.slice(1).map((r) => r[3]))).toEqual(new Set(['template', 'context', 'answer span', 'question', 'readout', 'generated answer']));
  const figure = page.getByRole('figure', { name: 'The prompt and the answer, token by token' });
  const [svg] = await Promise.all([page.waitForEvent('download'), figure.getByRole('button', { name: 'SVG' }).click()]);
  const drawn = await readFile(await svg.path(), 'utf8');
  expect(drawn).toMatch(/direction="rtl"/);
  // every line of the file lies in its picture, those that begin with the template's marks too
  const beyond = await page.evaluate((text) => {
    const box = document.body.appendChild(document.createElement('div'));
    box.innerHTML = text.slice(text.indexOf('<svg'));
    const [width, lines] = [box.querySelector('svg')!.viewBox.baseVal.width, [...box.querySelectorAll<SVGTextElement>('text.line')].map((line) => line.getBBox())];
    box.remove();
    return [lines.length, ...lines.filter((line) => line.x < -1 || line.x + line.width > width + 1).map((line) => `${line.x} ${line.width}`)];
  }, drawn);
  expect(beyond).toEqual([expect.any(Number)]);
  expect(beyond[0]).toBeGreaterThan(2);

  await page.getByRole('tab', { name: 'Logit lens' }).click();
  await page.getByRole('slider', { name: /^Layer/ }).fill('4');
  const pins = page.getByRole('region', { name: 'Pin a reading' });
  const followed = page.getByRole('figure', { name: /^The followed words/ });
  // the grid's own run, made when the tab is opened
  await page.locator('svg.chart-lens-grid:visible text[data-token]').nth(4).waitFor({ timeout: 60_000 });
  const before = (await csvOf(page, /^The followed words/))[0];
  const free = pins.locator('ul').first().getByRole('button').filter({ hasNotText: before[1].replace(/“|”.*/g, '') }).first();
  const word = (await free.locator('bdi').textContent()) ?? '';
  const p = await free.locator('span').textContent();
  await free.click();
  await followed.locator('text.name').filter({ hasText: `“${word}” (pinned)` }).waitFor({ timeout: 60_000 });
  const after = await csvOf(page, /^The followed words/);
  const column = after[0].indexOf(`“${word}” (pinned)`);
  expect(column).toBe(before.length);
  // what was pinned is what the lens read there
  const measured = Number(after.find((r) => r[0] === '4')?.[column]);
  if (p?.startsWith('<')) expect(measured).toBeLessThan(0.001);
  else expect(Math.abs(100 * measured - Number.parseFloat(p ?? ''))).toBeLessThan(0.51);
  expect(await page.getByRole('figure', { name: 'What each layer would say next' }).getByLabel('Follow').textContent()).toContain('(pinned)');
  expect(await axe(page)).toEqual([]);
  await page.getByRole('button', { name: 'Share, save, open' }).click();
  expect(await page.getByLabel(/^Link/).inputValue()).toMatch(/[?&]pt=\d+/);
  await page.keyboard.press('Escape');
  await pins.getByRole('button', { name: `Unpin ${word}` }).click();
  await followed.locator('text.name').filter({ hasText: '(pinned)' }).waitFor({ state: 'detached', timeout: 60_000 });
  expect(errors).toEqual([]);
  await close();
});
