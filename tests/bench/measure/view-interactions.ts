/** What a reader does with the pictures, and when it is done. */
import type { Page } from 'playwright-core';

export interface Interaction {
  what: string;
  act: (i: number) => Promise<void>;
  /** Done once before all of them. */
  first?: () => Promise<void>;
  /** Done each time before it, and not counted. */
  before?: (i: number) => Promise<void>;
  /** Told, not judged: no hand is waiting for it, or only one that is quicker than the page. */
  told?: true;
}

/**
 * Until so many frames, or moments in which the page leaves time over, follow each other with nothing drawn anew in between, no picture late
 * and none still moving. It is told of changes and does not ask: to ask in each frame would be counted too.
 */
const settled = (page: Page, by: 'frame' | 'idle', turns: number, after: number): Promise<void> =>
  page.evaluate(
    async ({ by, turns, after }) => {
      const unsettled = (): boolean => [...document.querySelectorAll('[data-moving], .plot[aria-busy=true]')].some((el) => el.checkVisibility());
      const changes = { subtree: true, childList: true, attributes: true, attributeFilter: ['d', 'class', 'aria-busy', 'data-moving'] };
      if (after) await new Promise((done) => setTimeout(done, after));
      await new Promise<void>((done) => {
        if (!unsettled()) return done();
        const seen = new MutationObserver(() => {
          if (unsettled()) return;
          seen.disconnect();
          done();
        });
        seen.observe(document.body, changes);
      });
      await new Promise<void>((done) => {
        let quiet = 0;
        const seen = new MutationObserver(() => (quiet = 0));
        seen.observe(document.body, changes);
        const next = (): unknown => (by === 'frame' ? requestAnimationFrame(turn) : requestIdleCallback(turn));
        const turn = (): void => {
          if (++quiet < turns) return void next();
          seen.disconnect();
          done();
        };
        next();
      });
    },
    { by, turns, after },
  );
export const rest = (page: Page, after = 0): Promise<void> => settled(page, 'frame', 3, after);
const idle = (page: Page): Promise<void> => settled(page, 'idle', 4, 0);

const openTab = (page: Page, name: string): Promise<void> => page.evaluate((name) => [...document.querySelectorAll<HTMLElement>('[role=tab]')].find((t) => t.textContent === name)?.click(), name);
const choose = (page: Page, option: string, value: string): Promise<void> =>
  page.evaluate(
    ({ option, value }) => {
      const select = [...document.querySelectorAll('select')].find((s) => s.querySelector(`option[value=${option}]`) && s.checkVisibility());
      if (!select) throw new Error(`nothing offers ${option}`);
      select.value = value;
      select.dispatchEvent(new Event('change', { bubbles: true }));
    },
    { option, value },
  );
async function hover(page: Page, selector: string, i: number): Promise<void> {
  const box = await page.locator(selector).first().boundingBox();
  if (!box) throw new Error(`${selector} is not on show`);
  await page.mouse.move(box.x + Math.min(box.width, 1300) * (0.1 + 0.8 * ((i * 0.37) % 1)), Math.max(box.y, 0) + Math.min(box.height, 400) * (0.1 + 0.8 * ((i * 0.61) % 1)));
}

/** The planes of the paths, each fitted anew by a worker. */
export const projections = (page: Page): Interaction[] => [{ what: 'another projection (fitted in a worker)', act: (i) => choose(page, 'layer-pca', ['layer-pca', 'plane', 'joint-pca'][i % 3]) }];

export function explorations(page: Page): Interaction[] {
  const picture = page.getByRole('figure', { name: /languages on their way/ });
  const press = (key: string): Promise<void> => page.keyboard.press(key);
  const click = (name: string): Promise<void> => page.evaluate((name) => [...document.querySelectorAll<HTMLElement>('button, label')].find((b) => (b.ariaLabel ?? b.textContent)?.trim() === name)?.click(), name);
  const take = async (): Promise<void> => {
    await page.evaluate(() => scrollTo(0, 0));
    await picture.getByRole('group', { name: /^Picture/ }).focus();
    await rest(page);
  };
  const lens = async (): Promise<void> => {
    await openTab(page, 'Logit lens');
    await page.locator('svg.chart-lens-grid').first().waitFor();
    await page.locator('svg.chart-lens-grid').first().evaluate((el) => el.scrollIntoView());
    // a live page reads the grid when it is looked at
    await page.waitForFunction(() => !/Reading the lens at every question token…|Updating…/.test(document.body.innerText));
    await idle(page);
  };
  return [
    { what: 'nothing at all (what measuring itself costs)', act: async () => undefined },
    { what: 'layer slider, one step', first: () => page.getByRole('slider', { name: /^Layer/ }).focus(), act: (i) => press(i % 37 < 18 ? 'ArrowLeft' : 'ArrowRight') },
    { what: 'hover over the paths', act: (i) => hover(page, 'svg.chart-trajectory', i) },
    { what: 'hover over the lens', act: (i) => hover(page, 'svg.chart-lens-column', i) },
    ...projections(page),
    { what: 'zoom, a step', first: take, act: (i) => press(i % 2 ? '-' : '+') },
    { what: 'zoom, five steps running', first: take, act: (i) => ['+', '+', '+', '+', '+'].reduce((before, key) => before.then(() => press(i % 2 ? '-' : key)), Promise.resolve()), told: true },
    { what: 'pan, a step', first: () => take().then(() => press('+')), act: (i) => press(i % 2 ? 'Alt+ArrowLeft' : 'Alt+ArrowRight') },
    { what: 'all of it again', before: async () => (await press('+'), await rest(page)), act: () => click('Show all of it') },
    { what: 'a range of layers, one more', first: take, act: (i) => press(i % 12 < 6 ? 'Shift+ArrowLeft' : 'Shift+ArrowRight') },
    { what: 'a language chosen', first: () => press('Escape').then(take), before: async () => (await press('ArrowDown'), await rest(page)), act: () => press('Enter') },
    { what: 'mirrored', first: () => press('Escape'), act: () => click('Mirror left and right') },
    { what: 'a group of paths shown or not', act: () => click('answer span') },
    { what: 'groups apart', act: () => click('apart') },
    { what: 'hover over the lens grid', first: lens, act: (i) => hover(page, 'svg.chart-lens-grid', i) },
    { what: 'shade of the lens grid', act: (i) => choose(page, 'entropy', ['entropy', 'top'][i % 2]) },
  ];
}

/** @param open the record anew: nothing of it is drawn but what is on show */
export function tabs(page: Page, open: () => Promise<void>): Interaction[] {
  const toTabs = (): Promise<void> => page.evaluate(() => document.querySelector('[role=tablist]')?.scrollIntoView());
  return [
    { what: 'three views drawn ahead, while nothing else is asked', before: open, act: () => idle(page), told: true },
    ...['Layer curves', 'Prompt', 'Logit lens'].flatMap((name): Interaction[] => [
      { what: `tab: ${name}, for the first time`, before: () => open().then(() => idle(page)).then(toTabs).then(() => rest(page)), act: () => openTab(page, name) },
      { what: `tab: ${name}, at once after the record`, before: () => open().then(toTabs).then(() => rest(page)), act: () => openTab(page, name), told: true },
      { what: `tab: ${name}, and back`, before: toTabs, act: (i) => openTab(page, i % 2 ? 'Two phases' : name) },
    ]),
  ];
}
