/** What a reader does with the pictures, and when it is done. */
import type { JSHandle, Page } from 'playwright-core';

export type Interaction = {
  what: string;
  /** Done once before all of them. */
  first?: () => Promise<void>;
  /** Done each time before it, and not counted. */
  before?: (i: number) => Promise<void>;
  /** How long what it sets going is counted, in milliseconds. */
  watched?: number;
  /** Told, not judged: no hand is waiting for it, or only one that is quicker than the page. */
  told?: true;
} & (
  | { /** By the reader's own keys or pointer. */ input: (i: number) => Promise<void> }
  | { /** By a click: what clicks is made ready on the page beforehand, so that nothing but the click is counted. */ click: (i: number) => Promise<JSHandle<() => void>> }
);

/** Whether a picture is late or still moving. */
export const unsettled = (page: Page): Promise<boolean> => page.evaluate(() => [...document.querySelectorAll('[data-moving], .plot[aria-busy=true]')].some((el) => el.checkVisibility()));

/** Until so many frames, or moments in which the page leaves time over, follow each other with no picture late and none still moving. */
const settled = (page: Page, by: 'frame' | 'idle', turns: number): Promise<void> =>
  page.evaluate(
    ({ by, turns }) =>
      new Promise<void>((done) => {
        let quiet = 0;
        const next = (): unknown => (by === 'frame' ? requestAnimationFrame(turn) : requestIdleCallback(turn, { timeout: 1000 }));
        const turn = (): void => {
          const busy = [...document.querySelectorAll('[data-moving], .plot[aria-busy=true]')].some((el) => el.checkVisibility());
          quiet = busy ? 0 : quiet + 1;
          if (quiet < turns) next();
          else done();
        };
        next();
      }),
    { by, turns },
  );
export const rest = (page: Page): Promise<void> => settled(page, 'frame', 3);
const idle = (page: Page): Promise<void> => settled(page, 'idle', 4);

const tab = (page: Page, name: string): Promise<JSHandle<() => void>> =>
  page.evaluateHandle((name) => {
    const found = [...document.querySelectorAll<HTMLElement>('[role=tab]')].find((t) => t.textContent === name);
    if (!found) throw new Error(`no tab is called ${name}`);
    return () => found.click();
  }, name);
const openTab = async (page: Page, name: string): Promise<void> => (await tab(page, name)).evaluate((open) => open());
const button = (page: Page, name: string): Promise<JSHandle<() => void>> =>
  page.evaluateHandle((name) => {
    const found = [...document.querySelectorAll<HTMLElement>('button, label')].find((b) => (b.ariaLabel ?? b.textContent)?.trim() === name && b.checkVisibility());
    if (!found) throw new Error(`nothing is called ${name}`);
    return () => found.click();
  }, name);
const choice = (page: Page, option: string, value: string): Promise<JSHandle<() => void>> =>
  page.evaluateHandle(
    ({ option, value }) => {
      const select = [...document.querySelectorAll('select')].find((s) => s.querySelector(`option[value=${option}]`) && s.checkVisibility());
      if (!select) throw new Error(`nothing offers ${option}`);
      return () => {
        select.value = value;
        select.dispatchEvent(new Event('change', { bubbles: true }));
      };
    },
    { option, value },
  );
/** The pointer goes over a picture, from one mark to another far from it. */
function hover(page: Page, selector: string, first?: () => Promise<void>): { first: () => Promise<void>; input: (i: number) => Promise<void> } {
  let marks: { x: number; y: number }[] = [];
  return {
    first: async () => {
      await first?.();
      const picture = page.locator(selector).first();
      await picture.evaluate((el) => el.scrollIntoView({ block: 'center' }));
      const box = await picture.boundingBox();
      if (!box) throw new Error(`${selector} is not on show`);
      marks = [];
      for (let i = 0; i < 60 && marks.length < 12; i++) {
        const at = { x: box.x + Math.min(box.width, 1300) * (0.05 + 0.9 * ((i * 0.37) % 1)), y: Math.max(box.y, 60) + Math.min(box.height, 780) * (0.05 + 0.9 * ((i * 0.61) % 1)) };
        await page.mouse.move(at.x, at.y);
        await rest(page);
        if (await page.evaluate(() => [...document.querySelectorAll('.plot .tip')].some((tip) => tip.checkVisibility()))) marks.push(at);
      }
      if (marks.length < 6) throw new Error(`the pointer met only ${marks.length} marks of ${selector}`);
    },
    input: (i) => page.mouse.move(marks[i % marks.length].x, marks[i % marks.length].y),
  };
}

/** The planes of the paths, each fitted anew by a worker. */
export const projections = (page: Page): Interaction[] => [{ what: 'another projection (fitted in a worker)', click: (i) => choice(page, 'layer-pca', ['layer-pca', 'plane', 'joint-pca'][i % 3]) }];

export function explorations(page: Page): Interaction[] {
  const picture = page.getByRole('figure', { name: /languages on their way/ });
  const press = (key: string): Promise<void> => page.keyboard.press(key);
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
    { what: 'nothing at all (what measuring itself costs)', input: async () => undefined },
    { what: 'layer slider, one step', first: () => page.getByRole('slider', { name: /^Layer/ }).focus(), input: (i) => press(i % 37 < 18 ? 'ArrowLeft' : 'ArrowRight') },
    { what: 'hover over the paths', ...hover(page, 'svg.chart-trajectory') },
    { what: 'hover over the lens', ...hover(page, 'svg.chart-lens-column') },
    ...projections(page),
    { what: 'zoom, a step', first: take, input: (i) => press(i % 2 ? '-' : '+') },
    { what: 'zoom, five steps running', first: take, input: (i) => ['+', '+', '+', '+', '+'].reduce((before, key) => before.then(() => press(i % 2 ? '-' : key)), Promise.resolve()), told: true },
    { what: 'pan, a step', first: () => take().then(() => press('+')), input: (i) => press(i % 2 ? 'Alt+ArrowLeft' : 'Alt+ArrowRight') },
    { what: 'all of it again', before: async () => (await press('+'), await rest(page)), click: () => button(page, 'Show all of it') },
    { what: 'a range of layers, one more', first: take, input: (i) => press(i % 12 < 6 ? 'Shift+ArrowLeft' : 'Shift+ArrowRight') },
    { what: 'a language chosen', first: () => press('Escape').then(take), before: async () => (await press('ArrowDown'), await rest(page)), input: () => press('Enter') },
    { what: 'mirrored', first: () => press('Escape'), click: () => button(page, 'Mirror left and right') },
    { what: 'a group of paths shown or not', click: () => button(page, 'answer span') },
    { what: 'groups apart', click: () => button(page, 'apart') },
    { what: 'the address, which follows when the hand has rested', first: () => page.getByRole('slider', { name: /^Layer/ }).focus(), before: (i) => press(i % 37 < 18 ? 'ArrowLeft' : 'ArrowRight'), input: async () => undefined, watched: 700 },
    { what: 'hover over the lens grid', ...hover(page, 'svg.chart-lens-grid', lens) },
    { what: 'shade of the lens grid', click: (i) => choice(page, 'entropy', ['entropy', 'top'][i % 2]) },
  ];
}

/** @param open the record anew: nothing of it is drawn but what is on show */
export function tabs(page: Page, open: () => Promise<void>): Interaction[] {
  const toTabs = (): Promise<void> => page.evaluate(() => document.querySelector('[role=tablist]')?.scrollIntoView());
  return [
    { what: 'three views drawn ahead, while nothing else is asked', before: open, input: () => idle(page), told: true },
    ...['Layer curves', 'Prompt', 'Logit lens'].flatMap((name): Interaction[] => [
      { what: `tab: ${name}, for the first time`, before: () => open().then(() => idle(page)).then(toTabs).then(() => rest(page)), click: () => tab(page, name) },
      { what: `tab: ${name}, at once after the record`, before: () => open().then(toTabs).then(() => rest(page)), click: () => tab(page, name), told: true },
      { what: `tab: ${name}, and back`, before: toTabs, click: (i) => tab(page, i % 2 ? 'Two phases' : name) },
    ]),
  ];
}
