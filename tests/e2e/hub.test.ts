/** A reader's own model: from the hub, from a mirror, from a folder; what is kept of it, where it runs, and what it is asked with. */
import { mkdtempSync, cpSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Browser, Page } from 'playwright-core';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { launch, serve, visit, type Served, type Visit } from '../harness';
import { startHub, type Hub } from '../hub';
import { axe, overflow } from './steps';

const MODELS = join(import.meta.dirname, '../fixtures/models');
const LONG = { timeout: 120_000 };

let served: Served;
let hub: Hub;
let browser: Browser;
let visited: Visit;
let page: Page;
beforeAll(async () => {
  served = await serve();
  hub = await startHub(MODELS);
  browser = await launch();
});
afterAll(async () => {
  await browser?.close();
  await hub?.close();
  await served?.close();
});
beforeEach(async () => {
  hub.reset();
  // no model of its own accord: these tests bring theirs
  visited = await visit(browser, served.url, { metered: true });
  page = visited.page;
  await page.getByRole('tab', { name: 'Models and storage' }).click();
});
afterEach(() => visited.close());

const files = () => page.getByRole('region', { name: 'Which file' });
const chip = () => page.locator('details.chip');
const radio = (dtype: string) => files().getByRole('radio', { name: new RegExp(`^${dtype} `) });
const loadFile = () => page.getByRole('button', { name: /^Load this file/ });

async function mirror(): Promise<void> {
  await page.getByText('Another address, or a private or gated model').click();
  await page.getByLabel(/^Base address/).fill(hub.host);
}
async function look(name: string): Promise<void> {
  await page.getByLabel(/^Name or address/).fill(name);
  await page.getByRole('button', { name: 'See its files', exact: true }).click();
}
async function tested(title: RegExp): Promise<void> {
  await chip().locator('summary', { hasText: title }).getByText('✓ tested').waitFor({ state: 'attached', ...LONG });
}
async function load(name: string): Promise<void> {
  await mirror();
  await look(name);
  await loadFile().click();
  await tested(new RegExp(name.replace(/[:@].*/, '')));
}

describe('which file', () => {
  test('a typed name on a mirror: its files, their sizes, which one and why, before any of it is fetched; and the reader’s own choice', async () => {
    await chip().locator('summary').click();
    await chip().getByRole('radio', { name: 'WebGPU' }).check();
    await mirror();
    await look('tiny/llama');
    await radio('fp32').waitFor(LONG);
    const line = (dtype: string) => files().locator('label', { hasText: new RegExp(`^\\s*${dtype} `) });
    expect(await line('fp32').textContent()).toMatch(/528 kB.*onnx\/model\.onnx\./);
    expect(await line('fp32').textContent()).toMatch(/whole|small/);
    expect(await radio('fp32').isChecked()).toBe(true);
    // the software adapter has no 16-bit floats
    expect(await radio('q4f16').isDisabled()).toBe(true);
    expect(await line('q4f16').textContent()).toMatch(/shader-f16/);
    // another device, another list; the panel had closed when the page beside it was clicked
    expect(await chip().getByRole('radio', { name: 'WASM' }).isVisible()).toBe(false);
    await chip().locator('summary').click();
    await chip().getByRole('radio', { name: 'WASM' }).check();
    await files().locator('input[value=q4f16]:enabled').waitFor(LONG);
    expect(hub.log.filter((l) => /\.onnx/.test(l) && !/bytes=0-0$/.test(l))).toEqual([]);

    // the answer is in sight from wherever it was asked for
    await page.getByText(/^Models known to fit/).click();
    await page.evaluate(() => scrollTo(0, document.body.scrollHeight / 2));
    const heading = await files().getByRole('heading', { name: 'Which file' }).boundingBox();
    expect(heading!.y).toBeGreaterThanOrEqual(0);
    expect(heading!.y).toBeLessThan(720);

    await radio('q4').check();
    expect(await loadFile().textContent()).toMatch(/205 kB/);
    await loadFile().click();
    await tested(/tiny\/llama/);
    expect(await chip().locator('summary').textContent()).toMatch(/q4 · WASM/);
    expect(hub.log.some((l) => l.includes('model_q4.onnx'))).toBe(true);
    expect(hub.log.some((l) => /\/model\.onnx$/.test(l))).toBe(false);
    expect(visited.foreign.every((url) => url.startsWith(hub.host) || url.startsWith(hub.blobHost))).toBe(true);
    expect(await axe(page)).toEqual([]);
  });

  test('the catalogue says of each model its size, its languages, its licence and what it pairs with', async () => {
    await page.getByText(/^Models known to fit/).click();
    const line = (title: string) => page.locator('li', { has: page.locator('strong').getByText(title, { exact: true }) }).textContent();
    expect(await line('SmolLM 135M Instruct')).toMatch(/135 M parameters; 30 layers × 576; post-trained; English; Apache-2\.0; pairs with SmolLM 135M \(base\)/);
    expect(await line('Llama 3.2 1B (base)')).toMatch(/base; English, German, Spanish, Hindi, Thai; Llama 3\.2 Community License; pairs with Llama 3\.2 1B Instruct/);
    expect(await line('Qwen3 0.6B')).toMatch(/all twelve languages; Apache-2\.0\. Asked/);
  });

  test('a pasted address of one file names the host, the repository, the revision and the file', async () => {
    await look(`${hub.host}/tiny/qwen2/blob/main/onnx/model_q4.onnx`);
    await radio('q4').waitFor(LONG);
    expect(await files().locator('legend').textContent()).toContain(`tiny/qwen2@main from ${hub.host}`);
    expect(await radio('q4').isChecked()).toBe(true);
    await loadFile().click();
    await tested(/tiny\/qwen2/);
  });

  test('a name that names nothing, and a repository that is not there: said, and nothing is loaded', async () => {
    await look('three/part/name');
    await files().getByRole('alert').waitFor(LONG);
    expect(await files().getByRole('alert').textContent()).toMatch(/does not name a model.*owner\/name/);
    await mirror();
    await look('tiny/nothing');
    await files().getByRole('alert').filter({ hasText: 'has no model tiny/nothing, or it is private' }).waitFor(LONG);
    expect(await loadFile().count()).toBe(0);
  });

  test('a gated repository: refused with what to do, then read with a token that stays in memory and goes to its own host only', async () => {
    hub.require('secret', 'gated');
    await mirror();
    await look('tiny/llama');
    await files().getByRole('alert').waitFor(LONG);
    expect(await files().getByRole('alert').textContent()).toMatch(/token/);
    await page.getByLabel(/^Access token/).fill('secret');
    expect(await page.getByText(`sent to ${new URL(hub.host).host} only`).count()).toBe(1);
    await look('tiny/llama');
    await radio('fp32').waitFor(LONG);
    await loadFile().click();
    await tested(/tiny\/llama/);
    const kept = await page.evaluate(async () => JSON.stringify([{ ...localStorage }, { ...sessionStorage }, location.href, (await caches.keys()).join()]));
    expect(kept).not.toContain('secret');
    // the files of another origin that it was sent on to were asked for without it, and from where it had to
    expect(hub.log.some((line) => line.includes('/blob/'))).toBe(true);
    expect(new Set(hub.trusted.map((url) => new URL(url).origin))).toEqual(new Set([hub.host]));
  });

  test('a token entered for one host is not sent to another one that a pasted address names', async () => {
    const other = await startHub(MODELS);
    try {
      await mirror();
      await page.getByText(`sent to ${new URL(hub.host).host} only`).waitFor();
      await page.getByLabel(/^Access token/).fill('secret');
      other.require('secret', 'gated');
      await look(`${other.host}/tiny/llama/tree/main`);
      await files().getByRole('alert').waitFor(LONG);
      expect(other.log.length).toBeGreaterThan(0);
      expect(other.trusted).toEqual([]);
      // the other host is on screen now, with a token of its own to be given
      expect(await page.getByText(`sent to ${new URL(other.host).host} only`).count()).toBe(1);
      expect(await page.getByLabel(/^Access token/).inputValue()).toBe('');
      await page.getByLabel(/^Access token/).fill('secret');
      await look(`${other.host}/tiny/llama/tree/main`);
      await radio('fp32').waitFor(LONG);
      expect(other.trusted.length).toBeGreaterThan(0);
      // and the first one’s is still the first one’s
      expect(hub.trusted).toEqual([]);
      await look('tiny/llama');
      await files().locator('legend', { hasText: hub.host }).waitFor(LONG);
      expect(hub.trusted.length).toBeGreaterThan(0);
      expect(await page.getByLabel(/^Access token/).inputValue()).toBe('secret');
    } finally {
      await other.close();
    }
  });
});

describe('files of one’s own', () => {
  let folder: string;
  beforeAll(() => {
    folder = join(mkdtempSync(join(tmpdir(), 'own-')), 'my-model');
    cpSync(join(MODELS, 'qwen2'), folder, { recursive: true });
  });
  afterAll(() => rmSync(join(folder, '..'), { recursive: true }));

  test('a folder that is chosen', async () => {
    await page.locator('input[webkitdirectory]').setInputFiles(folder);
    await radio('fp32').waitFor(LONG);
    await loadFile().click();
    await tested(/files:/);
    expect(visited.foreign).toEqual([]);
  });

  test('a folder that is dropped, its weights in a file beside the graph', async () => {
    const target = page.getByRole('group', { name: 'Drop a model folder here' });
    await target.scrollIntoViewIfNeeded();
    const box = (await target.boundingBox())!;
    const cdp = await visited.context.newCDPSession(page);
    const at = { x: box.x + 20, y: box.y + 20, data: { items: [], files: [folder], dragOperationsMask: 1 } };
    for (const type of ['dragEnter', 'dragOver', 'drop'] as const) await cdp.send('Input.dispatchDragEvent', { type, ...at });
    await radio('q4').waitFor(LONG);
    await radio('q4').check();
    await loadFile().click();
    await tested(/files:/);
  });
});

describe('what is kept', () => {
  test('listed with its size, deleted one by one and all together, and promised to stay when asked', async () => {
    await load('tiny/llama');
    await page.getByRole('button', { name: 'Look again' }).click();
    const rows = page.getByRole('button', { name: /^Delete .*\// });
    await rows.first().waitFor(LONG);
    const kept = await rows.count();
    expect(kept).toBeGreaterThan(3);
    const graph = page.locator('li', { hasText: 'onnx/model.onnx' });
    expect(await graph.textContent()).toMatch(/528 kB/);
    await graph.getByRole('button').click();
    await graph.waitFor({ state: 'detached' });
    expect(await rows.count()).toBe(kept - 1);
    // not only the model's files: what the hub said of it, and the page's own, too
    const hubs = page.locator('li', { hasText: 'What hubs said of their models' });
    expect(await hubs.textContent()).toMatch(/2 entries, [\d.]+ kB/);
    await page.getByRole('button', { name: 'Delete all' }).click();
    await page.getByText('Nothing yet.').waitFor();
    await hubs.waitFor({ state: 'detached' });

    const { targetInfo } = await (await visited.context.newCDPSession(page)).send('Target.getTargetInfo');
    const cdp = await browser.newBrowserCDPSession();
    await cdp.send('Browser.grantPermissions', { origin: served.origin, permissions: ['durableStorage'], browserContextId: targetInfo.browserContextId });
    await page.getByRole('button', { name: 'Ask the browser to keep it' }).click();
    await page.getByText('The browser has promised to keep it.').waitFor();
    expect(await page.getByRole('button', { name: 'Ask the browser to keep it' }).count()).toBe(0);
  });
});

describe('where it runs', () => {
  test('why WASM runs is said; a click switches to WebGPU and back; the two are compared layer by layer', async () => {
    await load('tiny/llama');
    await chip().locator('summary').click();
    const runsOn = () => chip().locator('dt', { hasText: 'Runs on' }).locator('+ dd').textContent();
    expect(await runsOn()).toMatch(/^WASM.*software/s);
    await chip().getByRole('radio', { name: 'WebGPU' }).click();
    await chip().locator('summary', { hasText: 'WebGPU' }).getByText('✓ tested').waitFor({ state: 'attached', ...LONG });
    expect(await runsOn()).toMatch(/^WebGPU.*asked for/is);

    await chip().getByRole('button', { name: /^Compare with WASM/ }).click();
    const line = chip().locator('li', { hasText: 'worst cosine' });
    await line.waitFor(LONG);
    expect(await line.textContent()).toMatch(/✓.*worst cosine (1\.0000|0\.9999)\d+ at layer \d, position \d+ of \d+; worst of layers 0–3: ([\d.]+ ?){4}/s);
    expect(await page.evaluate(async () => (await (window as unknown as { lab: { model(): Promise<{ selfTest: { checks: { name: string }[] } }> } }).lab.model()).selfTest.checks.map((c) => c.name))).toContain('webgpu-equals-wasm');

    await chip().getByRole('radio', { name: 'WASM' }).click();
    await chip().locator('summary', { hasText: 'WASM' }).getByText('✓ tested').waitFor({ state: 'attached', ...LONG });
    expect(await axe(page)).toEqual([]);
  });

  test('precise: asked for in one click, said in the header, kept when the device changes', async () => {
    await load('tiny/llama:q4');
    await chip().locator('summary').click();
    await chip().getByRole('checkbox', { name: 'Precise' }).check();
    await chip().locator('summary', { hasText: 'WASM · precise' }).getByText('✓ tested').waitFor({ state: 'attached', ...LONG });
    await chip().getByRole('radio', { name: 'WebGPU' }).click();
    await chip().locator('summary', { hasText: 'WebGPU · precise' }).getByText('✓ tested').waitFor({ state: 'attached', ...LONG });
  });
});

describe('the prompt', () => {
  const editor = () => page.locator('details.prompt-editor');
  const written = () => editor().getByRole('textbox');
  const note = () => editor().getByRole('status');
  async function ask(): Promise<void> {
    await page.getByRole('button', { name: 'Ask', exact: true }).click();
    await page.getByText('Measured just now with').waitFor(LONG);
    await page.getByRole('button', { name: 'Ask', exact: true }).waitFor(LONG);
  }
  /** What the page would save. */
  const shown = () => page.locator('.lines[role=toolbar]').textContent();

  test('is shown, takes examples, is edited, and says whether passage and question are still known in it', async () => {
    await load('tiny/llama');
    await page.getByRole('tab', { name: 'Prompt' }).click();
    await page.getByRole('button', { name: 'Your own' }).click();
    await page.getByLabel('Passage', { exact: true }).fill('The Elbe flows through Dresden.');
    await page.getByLabel('Question', { exact: true }).fill('Which river?');
    await editor().locator('summary').first().click();
    await editor().getByText(/All that the model reads: \d+ tokens/).click();
    expect(await written().inputValue()).toMatch(/^Answer the question.*\n\nThe Elbe flows through Dresden\.\n\nWhich river\?$/s);
    expect(await editor().locator('pre').textContent()).toMatch(/^<\|user\|>.*<\|end\|><\|assistant\|>$/s);

    // completion, with examples
    await editor().getByRole('combobox', { name: 'Form' }).selectOption('completion');
    await editor().getByRole('combobox', { name: 'Examples before it' }).selectOption('1');
    await editor().locator('pre', { hasText: 'Ida Morrow' }).waitFor(LONG);
    expect(await editor().locator('pre').textContent()).toMatch(/^Context: The lighthouse.*Answer: Ida Morrow\n\nContext: The Elbe.*Answer:$/s);

    // an edit that keeps both texts follows the question
    await editor().getByRole('combobox', { name: 'Examples before it' }).selectOption('0');
    await editor().locator('pre', { hasNotText: 'Ida Morrow' }).waitFor(LONG);
    await written().fill('Read: The Elbe flows through Dresden. — Which river? =');
    await note().filter({ hasText: 'still stand in it' }).waitFor(LONG);
    await page.getByLabel('Question', { exact: true }).fill('Which town?');
    expect(await written().inputValue()).toBe('Read: The Elbe flows through Dresden. — Which town? =');
    await ask();
    expect((await shown())?.replaceAll('↵', '\n')).toContain('Read: The Elbe flows through Dresden. — Which town? =');
    expect(await page.locator('.legend', { hasText: 'Question' }).count()).toBeGreaterThan(0);

    // one that changes the question says so, and its tokens are template
    await written().fill('Read: The Elbe flows through Dresden. — Whose town? =');
    await note().filter({ hasText: 'the question no longer stands in it' }).waitFor(LONG);
    await ask();
    await page.getByText('The edited prompt no longer holds the question as it was').first().waitFor(LONG);
    await page.getByLabel('Question', { exact: true }).fill('Which river?');
    await note().filter({ hasText: 'fits only the question it was made for' }).waitFor(LONG);
    await editor().getByRole('button', { name: 'As built' }).click();
    expect(await written().inputValue()).toMatch(/Which river\?\n\nAnswer:$/);
    expect(await axe(page)).toEqual([]);
    await page.setViewportSize({ width: 390, height: 800 });
    expect(await overflow(page)).toBeLessThanOrEqual(0);
  });

  test('is part of the record, and an opened record brings it back', async () => {
    await load('tiny/llama');
    const probe = await page.evaluate(async () => {
      const { lab } = window as unknown as { lab: import('../../src/lab-client').LabClient };
      const ask = { context: 'The Elbe flows.', question: 'Which river?', prompt: { kind: 'completion' as const, text: 'T: {context} Q: {question} A:' } };
      const { prompt, ask: asked, tokens } = await lab.probe(ask, { maxTokens: 2, states: false });
      const { text, spans, editable } = await lab.prompt(ask);
      return { prompt, asked, groups: [...new Set(tokens.map((t) => t.group))], text, spans, editable };
    });
    expect(probe.prompt).toBe('T: The Elbe flows. Q: Which river? A:');
    expect(probe.asked.prompt).toEqual({ kind: 'completion', text: 'T: {context} Q: {question} A:' });
    expect(probe.groups).toEqual(expect.arrayContaining(['context', 'question']));
    expect(probe).toMatchObject({ text: probe.prompt, editable: probe.prompt, spans: { context: true, question: true } });
  });
});
