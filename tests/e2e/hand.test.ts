/** What a hand does with the pictures: zoom, choose, play, compare, take away. */
import { readFile } from 'node:fs/promises';
import type { Browser, Locator, Page } from 'playwright-core';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { lightTheme, literal } from '../../src/charts';
import { makeLink } from '../../src/share/link';
import { launch, serve, visit, type Served } from '../harness';
import { ask, axe, chooseLayer, linkOf, openRecord, overflow, questionIn, ready, savedRecord, still } from './steps';

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

const trajectory = (page: Page): Locator => page.locator('svg.chart-trajectory').first();
const picture = (page: Page): Locator => page.getByRole('figure', { name: /From embeddings to answer|languages on their way/ });
const slider = (page: Page): Locator => page.getByRole('slider', { name: /^Layer/ });
const layer = async (page: Page): Promise<number> => Number(await slider(page).inputValue());
/** Of what is lit and says its language. */
const lit = (page: Page, chart: string): Promise<string[]> =>
  page.locator(`svg.chart-${chart}:visible .is-lit[data-language]`).evaluateAll((all) => [...new Set(all.map((el) => (el as SVGElement).dataset['language'] ?? ''))].sort());
/** Where the paths' points stand, in px of the picture, and how large that is. */
const spots = (page: Page): Promise<{ x: number; y: number; in: boolean }[]> =>
  trajectory(page).evaluate((svg) => {
    const [width, height] = [Number(svg.getAttribute('width')), Number(svg.getAttribute('height'))];
    return [...svg.querySelectorAll('.path > .line')].flatMap((line) =>
      [...(line.getAttribute('d') ?? '').matchAll(/[ML](-?[\d.]+),(-?[\d.]+)/g)].map((m) => ({ x: Number(m[1]), y: Number(m[2]), in: Number(m[1]) >= 0 && Number(m[1]) <= width && Number(m[2]) >= 0 && Number(m[2]) <= height })),
    );
  });

async function asked(language: string, size = { width: 1440, height: 900 }): Promise<Awaited<ReturnType<typeof visit>>> {
  const visited = await visit(browser, served.url);
  const { page } = visited;
  await page.setViewportSize(size);
  await ready(page);
  await questionIn(page).selectOption(language);
  await ask(page);
  if (language !== 'en') await page.locator('svg.chart-trajectory [data-language=en]').first().waitFor({ timeout: 60_000 });
  await still(page);
  return visited;
}
async function open(page: Page, buffer: Buffer): Promise<void> {
  await openRecord(page, buffer);
  await page.getByText('Recorded with').waitFor();
  await still(page);
}

test('a zoomed view shows the same in windows of other sizes: by link, by record, and when the window changes', async () => {
  const first = await asked('th');
  const { page } = first;
  const end = (await spots(page)).at(-1)!;
  const box = (await trajectory(page).boundingBox())!;
  await page.mouse.move(box.x + end.x, box.y + end.y);
  await page.keyboard.down('Control');
  for (let i = 0; i < 4; i++) await page.mouse.wheel(0, -40);
  await page.keyboard.up('Control');
  await still(page);
  const seen = (await spots(page)).map((s) => s.in);
  expect(seen.at(-1)).toBe(true);
  expect(seen.filter(Boolean).length).toBeLessThan(seen.length);
  const [link, record] = [await linkOf(page), await savedRecord(page)];

  const same = async (other: Page): Promise<void> => {
    await still(other);
    (await spots(other)).forEach((s, i) => seen[i] && expect(s.in, `point ${i}`).toBe(true));
  };
  await page.setViewportSize({ width: 700, height: 900 });
  await same(page);
  await page.setViewportSize({ width: 1440, height: 900 });
  await still(page);
  expect((await spots(page)).map((s) => s.in)).toEqual(seen);
  await first.close();

  const narrow = await visit(browser, 'about:blank');
  await narrow.page.setViewportSize({ width: 390, height: 844 });
  await narrow.page.goto(link);
  await narrow.page.getByText('Your numbers equal those of the link').waitFor({ timeout: 120_000 });
  await narrow.page.locator('svg.chart-trajectory [data-language=en]').first().waitFor({ timeout: 60_000 });
  await same(narrow.page);
  await narrow.close();

  const wide = await visit(browser, served.url, { metered: true });
  await wide.page.setViewportSize({ width: 1920, height: 1080 });
  await open(wide.page, record);
  await same(wide.page);
  // the widest window that is promised: everything in it, nothing beyond it
  expect(await overflow(wide.page)).toBeLessThanOrEqual(0);
  const [left, right] = [(await trajectory(wide.page).boundingBox())!, (await wide.page.locator('svg.chart-lens-column').boundingBox())!];
  expect(left.x + left.width).toBeLessThan(right.x);
  expect(right.x + right.width).toBeLessThanOrEqual(1920);
  expect(await axe(wide.page)).toEqual([]);
  await wide.close();
});

test('a language, a layer and a token are chosen in any picture, by click and by key, and lit in all', async () => {
  const { page, errors, close } = await asked('th');
  await page.getByRole('tab', { name: 'Layer curves' }).click();
  const name = trajectory(page).locator('text.name[data-language=th]').first();
  const press = async (at: Locator): Promise<void> => {
    await at.evaluate((el) => el.scrollIntoView({ block: 'center' }));
    const box = (await at.boundingBox())!;
    await page.mouse.click(box.x + box.width / 2, box.y + box.height / 2);
    await page.mouse.move(3, 3);
    await still(page);
  };
  await press(name);
  expect(await lit(page, 'trajectory')).toEqual(['th']);
  expect(await lit(page, 'layer-curves')).toEqual(['th']);
  expect(await linkOf(page)).toMatch(/[?&]pin=th(&|$)/);
  await press(name);
  expect(await lit(page, 'trajectory')).toEqual([]);
  expect(await lit(page, 'layer-curves')).toEqual([]);

  // with the keyboard: to a mark, and Enter
  await picture(page).getByRole('group', { name: /^Picture/ }).focus();
  await page.keyboard.press('Home');
  await page.keyboard.press('ArrowRight');
  await page.keyboard.press('ArrowRight');
  const told = (await picture(page).locator('p[role=status]').textContent()) ?? '';
  expect(told).toMatch(/^(Thai|English), .*, layer 2: /);
  await page.keyboard.press('Enter');
  expect(await picture(page).locator('p[role=status]').textContent()).toBe(`${told}, chosen`);
  await slider(page).focus();
  expect(await layer(page)).toBe(2);
  expect(await lit(page, 'layer-curves')).toEqual([told.startsWith('Thai') ? 'th' : 'en']);

  // a token of the answer, chosen in the grid, is marked and described in the prompt, and read by the lens beside
  await page.getByRole('tab', { name: 'Logit lens' }).click();
  await page.locator('svg.chart-lens-grid:visible text[data-token]').nth(4).waitFor({ timeout: 60_000 });
  const last = page.locator('svg.chart-lens-grid:visible text[data-token]').last();
  const token = Number(await last.getAttribute('data-token'));
  // the grid is wider than its place: the pointer is told of what is scrolled to as well
  await page.setViewportSize({ width: 900, height: 900 });
  await last.scrollIntoViewIfNeeded();
  const head = (await last.boundingBox())!;
  await page.mouse.move(head.x + head.width / 2, head.y + 30);
  const told8 = page.locator('#panel .tip').filter({ hasText: 'layer 8 reads' });
  await told8.waitFor();
  expect((await told8.boundingBox())!.x).toBeGreaterThan(head.x - 260);
  // and at the lowest row: what is told is in sight, and what scrolls does not grow by it
  const place = page.locator('#panel .wide:visible');
  const size = (): Promise<number[]> => place.evaluate((el) => [el.scrollWidth, el.scrollHeight]);
  const quiet = await size();
  const grid = (await page.locator('svg.chart-lens-grid:visible').first().boundingBox())!;
  await page.mouse.move(head.x + head.width / 2, grid.y + grid.height - 16);
  const told0 = (await page.locator('#panel .tip').filter({ hasText: 'layer 0 reads' }).boundingBox())!;
  const sight = (await place.boundingBox())!;
  expect([told0.x >= sight.x, told0.x + told0.width <= sight.x + sight.width + 1, told0.y + told0.height <= grid.y + grid.height]).toEqual([true, true, true]);
  expect(await size()).toEqual(quiet);
  await page.setViewportSize({ width: 1440, height: 900 });
  await page.locator('.host').filter({ has: page.locator('svg.chart-lens-grid') }).focus();
  await page.keyboard.press('ArrowRight');
  await page.keyboard.press('ArrowLeft');
  await page.keyboard.press('Enter');
  await page.getByRole('tab', { name: 'Prompt' }).click();
  expect(await page.locator('.token.chosen').getAttribute('data-token')).toBe(String(token));
  expect(await page.locator('.told').textContent()).toMatch(new RegExp(`Token ${token}, .*: generated answer`));
  await page.getByRole('figure', { name: /^What each layer would say next, at the token/ }).waitFor();

  // so in the map of relevance, whose columns are tokens
  await page.getByRole('tab', { name: 'Relevance' }).click();
  await page.getByRole('button', { name: 'Compute relevance' }).click();
  const map = page.locator('#panel .host').filter({ has: page.locator('svg.chart-relevance') });
  await map.waitFor({ timeout: 60_000 });
  await map.focus();
  for (const key of ['ArrowRight', 'ArrowRight', 'ArrowRight', 'Enter']) await page.keyboard.press(key);
  await page.getByRole('figure', { name: /^Relevance by layer: “/ }).waitFor();
  await page.getByRole('tab', { name: 'Prompt' }).click();
  expect(await page.locator('.token.chosen').getAttribute('data-token')).toBe('2');
  // in the next question that place is another token
  await page.getByRole('button', { name: 'Next item' }).click();
  await ask(page);
  await page.getByRole('figure', { name: 'What each layer would say next', exact: true }).waitFor();
  expect(await page.locator('.told').textContent()).toMatch(/: readout/);
  expect(errors).toEqual([]);
  await close();
});

test('groups apart: the zoom is theirs too, and a token picked by itself has a panel', async () => {
  const { page, errors, close } = await asked('de');
  const apart = picture(page).getByLabel('apart');
  await page.locator('.token[data-token]').nth(12).click();
  await apart.check();
  await still(page);
  const panels = page.locator('svg.chart-multiples').first().locator('.panel');
  expect(await panels.count()).toBe(3);
  expect(await panels.last().getAttribute('aria-label')).toMatch(/^“/);
  const before = await trajectoryPanels(page);
  await picture(page).getByRole('button', { name: 'Zoom in' }).click();
  await still(page);
  const after = await trajectoryPanels(page);
  expect(after).toHaveLength(before.length);
  // one factor for all of them
  const spread = (d: number[]): number => Math.max(...d) - Math.min(...d);
  after.forEach((xs, i) => expect(spread(xs) / spread(before[i])).toBeCloseTo(1.5, 2));
  await picture(page).getByRole('button', { name: 'Show all of it' }).click();
  await still(page);
  expect(await trajectoryPanels(page)).toEqual(before);
  expect(errors).toEqual([]);
  await close();
});
const trajectoryPanels = (page: Page): Promise<number[][]> =>
  page.locator('svg.chart-multiples').first().locator('.panel').evaluateAll((panels) =>
    panels.map((p) => [...(p.querySelector('.line')?.getAttribute('d') ?? '').matchAll(/[ML](-?[\d.]+),/g)].map((m) => Number(m[1]))),
  );

test('a projection that what is shown cannot have is said to be another, and the comparison follows the paths’ own', async () => {
  const { page, errors, close } = await asked('en');
  const choice = picture(page).getByLabel('Projection');
  expect(await choice.locator('option[value=layer-pca]').isDisabled()).toBe(true);
  const link = await linkOf(page);
  await page.goto('about:blank');
  await page.goto(link.replace('p=joint-pca', 'p=layer-pca'));
  await page.getByText('Your numbers equal those of the link').waitFor({ timeout: 120_000 });
  await picture(page).getByText('Drawn by joint PCA: a plane per layer needs three paths, and two are shown.').waitFor();
  expect(await picture(page).locator('.finding').textContent()).toContain('Joint PCA of unit-length states, because');
  // a third path, and it is what was chosen
  await picture(page).getByLabel('answer span').check();
  await still(page);
  expect(await picture(page).locator('.finding').textContent()).toContain('PCA per layer');

  // two models: the same kind of plane, and axes that run as they do above
  await page.getByRole('tab', { name: 'Compare models' }).click();
  await page.getByLabel(/as model B/).selectOption('bundled:passage-base');
  const both = page.getByRole('figure', { name: 'The same question in two models' });
  await both.locator('.finding').getByText('PCA per layer of A’s').first().waitFor({ timeout: 120_000 });
  const lines = (within: Locator): Promise<number[]> => within.locator('.path > .line').evaluateAll((all) => [...(all[0].getAttribute('d') ?? '').matchAll(/[ML](-?[\d.]+),/g)].map((m) => Number(m[1])));
  const runs = (xs: number[]): number => Math.sign(xs.map((x) => x - xs[0]).reduce((a, b) => (Math.abs(b) > Math.abs(a) ? b : a)));
  const main = trajectory(page);
  for (let i = 0; i < 2; i++) {
    expect(runs(await lines(both))).toBe(runs(await lines(main)));
    await picture(page).getByRole('button', { name: 'Mirror left and right' }).click();
    await still(page);
  }
  // along the training A's plane stays: once both have been asked, A is drawn the same beside either
  const beside = async (id: string, title: string): Promise<number[]> => {
    await page.getByLabel(/as model B/).selectOption(id);
    await both.getByText(`B: ${title}`).first().waitFor({ timeout: 120_000 });
    await still(page);
    return lines(both);
  };
  const first = await beside('bundled:passage-post-1', 'Passage, checkpoint 1');
  expect(await beside('bundled:passage-base', 'Passage base')).toEqual(first);
  await choice.selectOption('plane');
  await both.locator('.finding').getByText('Plane through the question’s').first().waitFor();
  expect(errors).toEqual([]);
  await close();
});

test('model B by a pasted address: its files first, then asked', async () => {
  // short: the small models of the fixtures read no more than 256 tokens
  const made = makeLink({ version: 1, ask: { kind: 'text', context: 'Edith is from Oslo.', question: 'Where is Edith from?', contextLanguage: 'en', questionLanguage: 'en' }, models: [], view: {} });
  const { page, errors, close } = await visit(browser, served.url + (made.ok ? made.value : ''));
  await page.getByText('Measured just now with').waitFor({ timeout: 120_000 });
  await page.getByRole('tab', { name: 'Compare models' }).click();
  const panel = page.getByRole('tabpanel');
  await panel.getByText('Any other model').click();
  await panel.getByLabel(/^As model B/).fill('no such thing');
  await panel.getByRole('button', { name: 'See its files' }).click();
  await panel.getByRole('alert').waitFor();
  await panel.getByLabel(/^As model B/).fill(`${served.origin}/mirror/org/qwen2/tree/main`);
  await panel.getByRole('button', { name: 'See its files' }).click();
  await panel.getByLabel('File of org/qwen2').waitFor({ timeout: 60_000 });
  await panel.getByRole('button', { name: /^Download and ask/ }).click();
  await panel.getByRole('rowheader', { name: /^B .*qwen2/ }).waitFor({ timeout: 120_000 });
  await page.getByRole('figure', { name: 'The same question in two models' }).getByText('PCA of each model’s').first().waitFor();
  // it is in the link by name, commit and host
  expect(await linkOf(page)).toMatch(/[?&]m2=org\/qwen2@[^&]*&h2=/);
  expect(await axe(page)).toEqual([]);
  expect(errors).toEqual([]);
  await close();
});

test('the layers play, step and are scrubbed; where no motion is wanted they only step', async () => {
  const { page, errors, close } = await asked('de');
  await slider(page).fill('3');
  const lamps: number[] = [];
  await page.exposeFunction('lamp', (l: number) => void lamps.push(l));
  await page.evaluate(() => {
    const seen = (): void => (window as unknown as { lamp(l: number): void }).lamp(Number(document.querySelector<HTMLInputElement>('.slider input')?.getAttribute('aria-valuetext')?.match(/\d+/)?.[0]));
    new MutationObserver(seen).observe(document.querySelector('.slider input')!, { attributes: true, attributeFilter: ['aria-valuetext'] });
  });
  await page.getByRole('button', { name: 'Play through the layers' }).click();
  await page.getByRole('button', { name: 'Pause' }).waitFor();
  // to the last, one by one, and then it rests
  await page.getByRole('button', { name: 'Play through the layers' }).waitFor({ timeout: 30_000 });
  expect(lamps).toEqual([4, 5, 6, 7, 8]);
  expect(await page.locator('svg.chart-trajectory .is-lit[data-layer="8"]').count()).toBeGreaterThan(0);
  // from the end it begins anew; a hand on the slider stops it
  await page.getByRole('button', { name: 'Play through the layers' }).click();
  await page.waitForFunction(() => document.querySelector<HTMLInputElement>('.slider input')?.value === '1');
  await slider(page).fill('5');
  await page.getByRole('button', { name: 'Play through the layers' }).waitFor();
  expect(await layer(page)).toBe(5);

  await page.emulateMedia({ reducedMotion: 'reduce' });
  const next = page.getByRole('button', { name: 'Next layer' });
  for (const l of [6, 7, 8, 0]) {
    await next.click();
    expect(await layer(page)).toBe(l);
  }
  expect(await page.evaluate(() => document.getAnimations().length)).toBe(0);
  expect(errors).toEqual([]);
  await close();
});

test('each mark stands on its point of the path, as the browser draws it', async () => {
  const { page, errors, close } = await asked('th');
  await still(page);
  // English is marked by circles: their boxes' centres are where they stand
  const apart = await picture(page).evaluate((figure) => {
    const of = (selector: string): string => figure.querySelector(`${selector}[data-language=en][data-group=question]`)!.outerHTML;
    const d = (html: string, name: string): string => new RegExp(`class="${name}" d="([^"]*)"`).exec(html)![1];
    const points = d(of('.path'), 'line').slice(1).split('L').map((p) => p.split(',').map(Number));
    const marks = [d(of('.dots'), 'start'), ...d(of('.dots'), 'dot').split(/(?=M)/)];
    const svg = figure.querySelector('svg')!;
    return marks.map((mark, i) => {
      const path = svg.appendChild(document.createElementNS('http://www.w3.org/2000/svg', 'path'));
      path.setAttribute('d', mark);
      const { x, y, width, height } = path.getBBox();
      path.remove();
      return Math.hypot(x + width / 2 - points[i][0], y + height / 2 - points[i][1]);
    });
  });
  expect(apart).toHaveLength(9);
  expect(Math.max(...apart)).toBeLessThan(0.05);
  expect(errors).toEqual([]);
  await close();
});

test('what a picture gives away is what it shows, whatever was done to it: SVG, data, PNG', async () => {
  const { page, errors, close } = await asked('th');
  await page.context().grantPermissions(['clipboard-read', 'clipboard-write']);
  const figure = picture(page);
  /** What stands on the page, and in the file, without what is lit and with the file's own colours. */
  const equal = async (within: Locator): Promise<void> => {
    await still(page);
    const [download] = await Promise.all([page.waitForEvent('download'), within.getByRole('button', { name: 'SVG' }).click()]);
    const file = await readFile(await download.path(), 'utf8');
    const shown = await within.locator('.host').evaluate((host) => {
      const copy = host.cloneNode(true) as Element;
      for (const el of copy.querySelectorAll('.is-lit, .is-out')) el.classList.remove('is-lit', 'is-out');
      for (const ring of copy.querySelectorAll('.ring')) {
        ring.setAttribute('d', '');
        ring.removeAttribute('data-layer');
      }
      return [...copy.querySelectorAll(':not(.away) > svg')].map((svg) => svg.innerHTML).join('');
    });
    const open = file.replace(/<(\w+)([^<>]*)\/>/g, '<$1$2></$1>');
    const at = literal(shown, lightTheme).replace(/\n/g, '&#10;');
    expect(at.length, 'nothing is shown').toBeGreaterThan(1000);
    // not `toContain`: a failure would print both pictures
    let same = 0;
    for (let step = at.length; step >= 1; step = Math.floor(step / 2)) while (same + step <= at.length && open.includes(at.slice(0, same + step))) same += step;
    expect(at.slice(same, same + 200), `after ${at.slice(Math.max(0, same - 100), same)}`).toBe('');
  };
  await page.emulateMedia({ colorScheme: 'light' });
  await equal(figure);
  await figure.getByLabel('answer span').check();
  await figure.getByRole('button', { name: 'Zoom in' }).click();
  await equal(figure);
  await chooseLayer(figure.getByLabel('From layer', { exact: true }), '2');
  await equal(figure);
  await figure.getByLabel('Projection').selectOption('layer-pca');
  await figure.getByRole('button', { name: 'Mirror top and bottom' }).click();
  await equal(figure);
  await figure.getByRole('checkbox', { name: 'question' }).uncheck();
  await figure.getByLabel('apart').check();
  await equal(figure);
  await figure.getByLabel('apart').uncheck();
  await figure.getByRole('button', { name: 'Show all of it' }).click();
  await equal(figure);

  await figure.getByRole('button', { name: 'Copy data' }).click();
  await figure.getByText('Copied').waitFor();
  const rows = (await page.evaluate(() => navigator.clipboard.readText())).trim().split(/\r?\n/).map((r) => r.split('\t'));
  expect(rows[0].slice(0, 4)).toEqual(['language', 'group', 'run', 'layer']);
  // two groups in two languages, nine layers
  expect(rows).toHaveLength(1 + 2 * 2 * 9);
  const [png] = await Promise.all([page.waitForEvent('download'), figure.getByRole('button', { name: 'PNG' }).click()]);
  const bytes = await readFile(await png.path());
  expect([...bytes.subarray(0, 8)]).toEqual([137, 80, 78, 71, 13, 10, 26, 10]);
  // two pixels to each px, and the air round a file's picture
  const box = (await trajectory(page).boundingBox())!;
  expect(bytes.readUInt32BE(16)).toBe(2 * (Math.round(box.width) + 40));

  await page.getByRole('tab', { name: 'Logit lens' }).click();
  await page.locator('svg.chart-lens-grid:visible text[data-token]').nth(4).waitFor({ timeout: 60_000 });
  const grid = page.getByRole('figure', { name: /^Which word, and which language/ });
  for (const shade of ['entropy', 'followed', 'top']) {
    await grid.getByLabel('Shade by').selectOption(shade);
    await equal(grid);
  }
  expect(errors).toEqual([]);
  await close();
});
