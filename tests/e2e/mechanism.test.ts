/** Relevance and patching as a reader runs them: by a click, with pictures, tables and nothing for axe to find. */
import type { Browser, Page } from 'playwright-core';
import { readFile } from 'node:fs/promises';
import { resolve } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { LabClient } from '../../src/lab-client';
import type { Patching, PatchOptions } from '../../src/lab-mechanism';
import { packRecord, unpackRecord } from '../../src/share/record';
import type { Ask } from '../../src/types';
import type { Calls } from '../../src/wire';
import { launch, serve, visit, type Served } from '../harness';
import { ask, axe, openRecord, overflow, questionIn, ready } from './steps';

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

async function shot(page: Page, name: string): Promise<void> {
  const folder = process.env['LAB_SHOTS'];
  if (folder) await page.locator('#panel').screenshot({ path: `${folder}/${name}.png` });
}

test('relevance is computed on a click, patching stands beside it', async () => {
  const { page, errors, foreign, close } = await visit(browser, served.url);
  await ready(page);
  await page.getByRole('tab', { name: 'Relevance' }).click();
  await page.getByText('ask the question again first').waitFor();
  expect(await page.getByRole('button', { name: 'Compute relevance' }).isDisabled()).toBe(true);

  await questionIn(page).selectOption('de');
  await ask(page);
  await page.getByText('Attribution is not causation: patching beside it is the causal check').waitFor();
  await page.getByRole('button', { name: 'patching', exact: true }).click();
  expect(await page.getByRole('tab', { selected: true }).textContent()).toBe('Patching');
  await page.getByText('is the causal check.').waitFor();
  await page.getByRole('button', { name: 'Relevance', exact: true }).click();
  expect(await page.getByRole('tab', { selected: true }).textContent()).toBe('Relevance');
  await page.getByRole('button', { name: 'Compute relevance' }).click();
  await page.locator('#panel svg.chart-relevance').waitFor({ timeout: 60_000 });
  await page.locator('#panel svg.chart-phase-strip:visible').waitFor();
  expect(await page.locator('#panel svg.chart-relevance .group-mrd').evaluateAll((all) => all.map((g) => (g as SVGElement).dataset['group']).sort())).toEqual(['answerSpan', 'context', 'question', 'readout', 'template']);
  expect(await page.locator('#panel svg.chart-relevance text.name').allTextContents()).toContain('template');
  // what the high values at the end mean stands there, unfolded
  await page.getByText('says where the answer is put together, not which words it rests on').waitFor();
  const groups = page.getByRole('figure', { name: 'Relevance by layer, group by group' });
  expect(await groups.locator('svg g.path').evaluateAll((all) => all.map((g) => (g as SVGElement).dataset['group']))).toEqual(['template', 'context', 'answerSpan', 'question', 'readout']);
  expect(await groups.locator('svg circle.mark').count()).toBe(5);
  const mark = async (): Promise<string | null> => page.locator('#panel svg.chart-relevance .group-mrd[data-group=question]').getAttribute('data-layer');
  const before = Number(await mark());
  await page.getByLabel('MRD threshold, %').fill('50');
  expect(Number(await mark())).toBeLessThanOrEqual(before);
  // the strip of the two phases goes by the same threshold
  await page.getByRole('tab', { name: 'Two phases' }).click();
  const strip = page.getByRole('figure', { name: /^Two phases\? The evidence/ });
  expect(await strip.locator('.finding').textContent()).toMatch(/relevance \(AttnLRP, MRD at 50 %\)/);
  await strip.getByText('the spread over items is drawn once').waitFor();
  await page.getByRole('tab', { name: 'Relevance' }).click();
  await page.getByLabel('MRD threshold, %').fill('95');

  // a token is picked by a click, or by arrows and Enter, and its profile is drawn
  const figure = page.getByRole('figure', { name: 'Where the answer’s logit comes from' });
  const picture = figure.getByRole('group', { name: /^Picture/ });
  await picture.scrollIntoViewIfNeeded();
  const ground = await figure.locator('svg .ground').boundingBox();
  const tokens = await figure.locator('svg .group-bands .group-band').count();
  expect(tokens).toBeGreaterThan(3);
  await page.mouse.click(ground!.x + 3, ground!.y + ground!.height - 5);
  const profileOf = () => page.getByRole('figure', { name: /Relevance by layer: “/ }).getByRole('heading').textContent();
  await page.getByRole('figure', { name: /Relevance by layer: “/ }).waitFor();
  const first = await profileOf();
  await picture.focus();
  for (let i = 0; i < 4; i++) await page.keyboard.press('ArrowRight');
  const told = (await figure.locator('p[role=status]').textContent()) ?? '';
  expect(await profileOf()).toBe(first);
  await page.keyboard.press('Enter');
  await page.getByRole('figure', { name: `Relevance by layer: ${/“.*”/.exec(told)?.[0]}`.replace(/[␣]/g, ' ') }).waitFor();

  // a choice that the pictures do not show yet is said, and the link is to what they show
  await page.getByRole('combobox', { name: 'Rule' }).selectOption('cp-lrp');
  await page.getByText(/pictures below are by AttnLRP, of the first generated token, “.*” ?, and a link reopens those/).waitFor();
  await figure.getByLabel('Scale').selectOption('layer');
  await figure.locator('svg text').filter({ hasText: 'each layer by its own largest value' }).waitFor();
  await page.waitForFunction(() => location.hash.includes('rv=layer'));
  expect(page.url()).toMatch(/rr=attnlrp&rt=first/);
  await page.getByRole('combobox', { name: 'Rule' }).selectOption('attnlrp');
  expect(await page.getByText('Compute again for the choice above').count()).toBe(0);
  // a question whose answer has several tokens: all of them, and the second
  await page.evaluate(() => (window as unknown as { lab: LabClient }).lab.open('#/probe?v=1&set=world&item=held-out-facts-001-0&c=en&q=de&tab=relevance&rr=attnlrp'));
  await page.locator('#panel svg.chart-relevance').waitFor({ timeout: 60_000 });
  for (const target of ['sum', 'at1']) {
    await page.getByRole('combobox', { name: 'What is attributed' }).selectOption(target);
    await page.getByText('Compute again for the choice above').waitFor();
    await page.getByRole('button', { name: 'Compute relevance' }).click();
    await page.getByText('Compute again for the choice above').waitFor({ state: 'detached', timeout: 60_000 });
    await page.waitForFunction((target) => location.hash.includes(`rt=${target}`), target);
  }
  // the whole answer was read, the second token behind the first
  expect(await page.locator('#panel svg.chart-relevance .group-band[data-group=answer]').count()).toBe(1);
  await figure.getByText('Data table').click();
  // the table is made when it is opened
  await figure.locator('tbody tr').nth(10).waitFor();
  expect(await axe(page)).toEqual([]);
  expect(await overflow(page)).toBeLessThanOrEqual(0);
  await shot(page, 'relevance');

  await page.getByRole('tab', { name: 'Patching' }).click();
  await page.getByRole('button', { name: 'Patch every layer' }).click();
  await page.locator('#panel svg.chart-patch-curves').waitFor({ timeout: 60_000 });
  await page.getByText(/Groups met: question (token by token|last token onto last token)/).waitFor();
  expect(await axe(page)).toEqual([]);
  expect(await overflow(page)).toBeLessThanOrEqual(0);
  await shot(page, 'patching');

  expect(errors).toEqual([]);
  expect(foreign).toEqual([]);
  await close();
});

const value = (page: Page, name: string): Promise<string> => page.getByRole('combobox', { name, exact: true }).inputValue();
/** What the heatmap says of itself, which names the largest values. */
const finding = (page: Page, name = /Where the answer’s logit comes from/): Promise<string | null> => page.getByRole('figure', { name }).locator('.finding').textContent();
/** The same of both models’ maps, and, in its own view, of their sweeps; waits until all four are there. */
async function findings(page: Page): Promise<(string | null)[]> {
  const both = async (tab: string, title: string): Promise<(string | null)[]> => {
    await page.getByRole('tab', { name: tab }).click();
    const all: (string | null)[] = [];
    for (const slot of ['A', 'B']) {
      const name = new RegExp(`^${slot}, .*${title}`);
      await page.getByRole('figure', { name }).waitFor({ timeout: 120_000 });
      all.push(await finding(page, name));
    }
    return all;
  };
  return [...(await both('Patching', 'What changes the answer')), ...(await both('Relevance', 'Where the answer’s logit comes from'))];
}

test('a link reopens the same maps and sweeps of both models, a record shows them without a model', async () => {
  const first = await visit(browser, served.url);
  await ready(first.page);
  await questionIn(first.page).selectOption('es');
  await ask(first.page);
  await first.page.getByRole('tab', { name: 'Relevance' }).click();
  await first.page.getByRole('combobox', { name: 'Rule' }).selectOption('cp-lrp');
  // the difference between two words of the reader's own choice
  await first.page.getByRole('combobox', { name: 'What is attributed' }).selectOption('difference');
  const [a, b] = [first.page.getByLabel('logit of', { exact: true }), first.page.getByLabel('minus logit of')];
  expect(await a.inputValue()).not.toBe('');
  expect(await b.inputValue()).not.toBe(await a.inputValue());
  await first.page.getByLabel('MRD threshold, %').fill('80');
  await first.page.getByRole('button', { name: 'Compute relevance' }).click();
  await first.page.locator('#panel svg.chart-relevance').waitFor({ timeout: 60_000 });
  await first.page.getByRole('combobox', { name: 'Beside it, as model B' }).selectOption('bundled:passage-base');
  await first.page.getByRole('tab', { name: 'Patching' }).click();
  await first.page.getByRole('combobox', { name: 'Groups of unequal length' }).selectOption('mean');
  await first.page.getByRole('button', { name: 'Patch every layer', exact: true }).click();
  const said = await findings(first.page);
  await first.page.waitForFunction(() => /rr=cp-lrp&rt=diff&ra=.*&pc=.*&pm=mean/.test(location.hash) && location.hash.includes('m2='));
  const address = first.page.url();
  await first.page.getByRole('button', { name: 'Share, save, open' }).click();
  const download = first.page.waitForEvent('download');
  await first.page.getByRole('button', { name: 'Save record' }).click();
  // the context takes its downloads with it
  const file = await readFile(await (await download).path());
  expect(first.errors).toEqual([]);
  await first.close();

  const second = await visit(browser, address);
  await second.page.getByRole('figure', { name: /^B, .*Where the answer’s logit comes from/ }).waitFor({ timeout: 120_000 });
  expect(await findings(second.page)).toEqual(said);
  expect(await value(second.page, 'Rule')).toBe('cp-lrp');
  expect(await value(second.page, 'What is attributed')).toBe('difference');
  expect(await second.page.getByLabel('MRD threshold, %').inputValue()).toBe('80');
  expect(second.errors).toEqual([]);
  await second.close();

  // no model is loaded on a metered connection: what the record holds is all there is
  const third = await visit(browser, served.url, { metered: true });
  await openRecord(third.page, file);
  expect(await findings(third.page)).toEqual(said);
  expect(await third.page.getByRole('button', { name: 'Compute relevance' }).isDisabled()).toBe(true);
  await third.close();
}, 300_000);

test('what was taken over many items is taken again from a link', async () => {
  const first = await visit(browser, served.url);
  await ready(first.page);
  const strip = (page: Page) => page.getByRole('figure', { name: 'Two phases over 20 items' });
  const again = (page: Page) => page.getByRole('button', { name: 'Relevance over 20 items' });
  await ask(first.page);
  await first.page.getByRole('tab', { name: 'Relevance' }).click();
  await first.page.getByRole('combobox', { name: 'Rule' }).selectOption('cp-lrp');
  await first.page.getByRole('combobox', { name: 'Languages asked' }).selectOption('all');
  await again(first.page).click();
  await strip(first.page).waitFor();
  await again(first.page).waitFor({ timeout: 120_000 }); // the button is back: all of them
  const said = await strip(first.page).locator('.note').first().textContent();
  expect(said).toMatch(/of 20 items|no item/);
  await first.page.waitForFunction(() => /rs=20,all/.test(location.hash));
  const address = first.page.url();
  // the two-phase strip has the depths with their spread over the items
  await first.page.getByRole('tab', { name: 'Two phases' }).click();
  const phases = first.page.getByRole('figure', { name: /^Two phases\? The evidence/ });
  await phases.locator('svg .spread').first().waitFor({ state: 'attached' });
  expect(await phases.locator('.finding').textContent()).toContain('relevance (CP-LRP, MRD at 95 %), mean of 20 items');
  await phases.getByText(/over 20 items \(Passage post-trained: en-x, English passages, questions in 11 languages/).waitFor();

  // another model and another language: the pictures say whose they are, and neither link nor record has them
  const record = await first.page.evaluate(async () => {
    const lab = (window as unknown as { lab: LabClient }).lab;
    const { record } = await lab.open('#/probe?v=1&set=world&item=held-out-facts-000-0&c=en&q=th&m=bundled:passage-base&tab=relevance');
    return { model: record?.runs[0].probe.provenance.model, sets: record?.sets?.length ?? 0, view: record?.view.mechanism ?? null };
  });
  expect(record).toEqual({ model: 'bundled:passage-base', sets: 0, view: null });
  const own = first.page.getByRole('figure', { name: 'Passage post-trained: Two phases over 20 items' });
  await own.waitFor();
  await first.page.getByText(/Passage post-trained, .*: en-x, English passages, questions in 11 languages, items of “world”; CP-LRP, first generated token/).waitFor();
  await first.page.getByText('neither a link nor a record of what is on show has these pictures').waitFor();
  await first.page.getByRole('tab', { name: 'Two phases' }).click();
  expect(await phases.locator('.finding').textContent()).toContain('relevance has not been computed');
  await first.page.waitForFunction(() => location.hash.includes('tab=phases'));
  expect(first.page.url()).not.toContain('rs=');

  // a token that this answer does not have is not swapped for another without a word
  await first.page.evaluate(() => (window as unknown as { lab: LabClient }).lab.open('#/probe?v=1&set=world&item=held-out-facts-000-0&c=en&q=th&m=bundled:passage-base&tab=relevance&rr=attnlrp&rt=at30'));
  await first.page.getByText('This question has no generated token 31: the first token is taken.').waitFor();
  await first.close();

  const second = await visit(browser, address);
  await strip(second.page).waitFor({ timeout: 120_000 });
  await second.page.getByRole('button', { name: 'All 20 maps as JSON' }).waitFor({ timeout: 120_000 });
  await again(second.page).waitFor();
  expect(await value(second.page, 'Languages asked')).toBe('all');
  expect(await value(second.page, 'Rule')).toBe('cp-lrp');
  expect(await strip(second.page).locator('.note').first().textContent()).toBe(said);
  expect(second.errors).toEqual([]);
  await second.close();
});

test('base stands beside post-trained, and both are taken over many items', async () => {
  const { page, errors, close } = await visit(browser, served.url);
  await ready(page);
  await questionIn(page).selectOption('de');
  await ask(page);
  await page.getByRole('tab', { name: 'Relevance' }).click();
  const second = page.getByRole('combobox', { name: 'Beside it, as model B' });
  await second.selectOption('bundled:passage-base');
  await page.getByRole('button', { name: 'Compute relevance' }).click();
  await page.locator('#panel svg.chart-relevance').first().waitFor({ timeout: 60_000 });
  // B may still be on its way when the button is pressed: it follows by itself
  await page.locator('#panel svg.chart-relevance').nth(1).waitFor({ timeout: 120_000 });
  await page.getByRole('figure', { name: /^B, .*Where the answer’s logit comes from/ }).waitFor();

  await page.getByRole('button', { name: /^Relevance over 20 items$/ }).click();
  await page.getByRole('figure', { name: /^B, .*Two phases over 20 items/ }).waitFor({ timeout: 240_000 });
  await page.getByRole('figure', { name: /^A, .*Two phases over 20 items/ }).locator('svg .spread').first().waitFor({ state: 'attached' });
  await page.getByRole('button', { name: /^Relevance over 20 items$/ }).waitFor({ timeout: 240_000 });
  const json = page.waitForEvent('download');
  await page.getByRole('button', { name: 'All 20 maps, A as JSON' }).click();
  const set = JSON.parse(await readFile(await (await json).path(), 'utf8')) as { kind: string; items: { groups: { question: number[] } }[] };
  expect(set.kind).toBe('relevance-set');
  expect(set.items).toHaveLength(20);
  expect(set.items[0].groups.question).toHaveLength(9);
  expect(await axe(page)).toEqual([]);
  expect(await overflow(page)).toBeLessThanOrEqual(0);
  await shot(page, 'relevance-two');

  // a set that is stopped keeps what it has, and goes on from there
  await page.getByRole('tab', { name: 'Patching' }).click();
  await second.selectOption('');
  await page.getByRole('button', { name: /^Patch \d+ pairs$/ }).click();
  await page.getByRole('figure', { name: /Effect of patching, mean over [1-9]/ }).waitFor({ timeout: 120_000 });
  await page.getByRole('button', { name: 'Stop', exact: true }).click();
  await page.getByText('What is finished is shown; the rest can go on').waitFor({ timeout: 60_000 });
  const kept = await page.getByRole('button', { name: /(All \d+ sweeps|The one sweep) as JSON/ }).textContent();
  await page.getByRole('button', { name: 'Go on' }).click();
  await page.getByRole('button', { name: /All 20 sweeps as JSON/ }).waitFor({ timeout: 240_000 });
  expect(Number(/\d+/.exec(kept ?? '')?.[0] ?? 1)).toBeLessThan(20);
  await page.getByText('Answers turned, where most were').waitFor();
  expect(await axe(page)).toEqual([]);
  await shot(page, 'patching-set');

  // a record takes the sets of the models on show along: elsewhere they are there without a model
  await page.getByRole('tab', { name: 'Relevance' }).click();
  await page.getByText('neither a link nor a record of what is on show has these pictures').waitFor();
  await second.selectOption('bundled:passage-base');
  await page.getByText('neither a link nor a record of what is on show has these pictures').waitFor({ state: 'detached', timeout: 120_000 });
  const told = async (at: Page): Promise<(string | null)[]> => {
    const note = (figure: RegExp) => at.getByRole('figure', { name: figure }).locator('.note').last().textContent();
    await at.getByRole('tab', { name: 'Patching' }).click();
    const patched = await note(/Effect of patching, mean over 20/);
    await at.getByRole('tab', { name: 'Relevance' }).click();
    return [patched, await note(/^A, .*Two phases over 20 items/), await note(/^B, .*Two phases over 20 items/)];
  };
  const here = await told(page);
  await page.getByRole('button', { name: 'Share, save, open' }).click();
  const download = page.waitForEvent('download');
  await page.getByRole('button', { name: 'Save record' }).click();
  const file = await readFile(await (await download).path());
  expect(errors).toEqual([]);
  await close();

  const there = await visit(browser, served.url, { metered: true });
  await openRecord(there.page, file);
  expect(await told(there.page)).toEqual(here);
  expect(here[2]).toMatch(/Phasing stability \d/);
  expect(there.errors).toEqual([]);
  await there.close();
}, 600_000);

test('model B’s sweep says how far it is, is cancelled without beginning again, and finished where it was stopped', async () => {
  const { page, errors, close } = await visit(browser, served.url);
  await ready(page);
  await ask(page);
  // B's lab, held: its first sweep waits to be let go, its second is stopped after five cells
  await page.evaluate(() => {
    const scope = window as unknown as { lab: LabClient; go: () => void };
    const gate = new Promise<void>((resolve) => (scope.go = resolve));
    const another = scope.lab.another.bind(scope.lab);
    scope.lab.another = () => {
      const b = another();
      const patch = b.patch.bind(b);
      let calls = 0;
      b.patch = async (ask: Ask, options: PatchOptions & Calls, given: Calls = {}): Promise<Patching> => {
        calls++;
        if (calls === 1) await gate;
        if (calls !== 2) return patch(ask, options, given);
        const stop = new AbortController();
        return patch(ask, options, { ...given, signal: stop.signal, onPart: (soFar) => soFar.done.reduce((sum, d) => sum + d, 0) >= 5 && stop.abort() });
      };
      return b;
    };
  });
  await page.getByRole('tab', { name: 'Patching' }).click();
  await page.getByRole('combobox', { name: 'Beside it, as model B' }).selectOption('bundled:passage-base');
  await page.getByRole('button', { name: 'Patch every layer', exact: true }).click();
  await page.locator('#panel svg.chart-patch-curves').waitFor({ timeout: 60_000 });
  await page.getByRole('button', { name: 'Cancel B' }).click({ timeout: 120_000 });
  await page.evaluate(() => (window as unknown as { go: () => void }).go());
  const again = page.getByRole('button', { name: 'Patch every layer in B' });
  await again.click();
  const finish = page.getByRole('button', { name: 'Finish the stopped sweep in B' });
  await finish.waitFor({ timeout: 60_000 });
  await page.getByText(/Stopped with \d+ of 27 cells to go/).waitFor();
  await finish.click();
  await page.getByText(/Stopped with \d+ of 27 cells to go/).waitFor({ state: 'detached', timeout: 60_000 });
  expect(await finish.count()).toBe(0);
  expect(await axe(page)).toEqual([]);
  expect(errors).toEqual([]);
  await close();
});

test('a map with values that are not finite: hatched, said, and no depth made of it', async () => {
  const read = unpackRecord(new Uint8Array(await readFile(resolve(import.meta.dirname, '../../public/recordings/english-passage.zip'))));
  if (!read.ok) throw new Error(read.message);
  const [run] = read.value.runs;
  const prompt = run.probe.tokens.filter((t) => t.group !== 'answer');
  const rows = run.probe.layers.length;
  const values = Float32Array.from({ length: rows * prompt.length }, (_, i) => (prompt[i % prompt.length].group === 'question' && i < 2 * prompt.length ? NaN : 1 + (i % 7)));
  // an answer of forty tokens, the thirty-first of which was attributed
  run.probe.answer.tokens = Array.from({ length: 40 }, (_, i) => ({ ...run.probe.answer.tokens[0], text: `w${i}` }));
  const target = { kind: 'generated' as const, index: 30 };
  const map = { rule: 'attnlrp', target: { text: 'x', ids: [3] }, values, rows, threshold: 0.95, mrd: [], groupMrd: {}, wish: target, targets: [{ id: 3, text: 'x', weight: 1 }], z: 2, ms: 5 };
  const buffer = Buffer.from(packRecord({ ...read.value, runs: [{ ...run, relevance: map }], view: { tab: 'relevance', mechanism: { rule: 'attnlrp', target, scale: 'layer' } } }, { states: false }));

  const { page, errors, close } = await visit(browser, served.url, { metered: true });
  await page.getByRole('button', { name: 'Share, save, open' }).click();
  await page.getByLabel('Open a record').setInputFiles({ name: 'passage-record.zip', mimeType: 'application/zip', buffer });
  const heat = page.getByRole('figure', { name: 'Where the answer’s logit comes from' });
  await heat.locator('svg path.not-finite').waitFor({ state: 'attached' });
  expect(await heat.getByRole('alert').textContent()).toMatch(/^\d+ of \d+ values are not finite: they are hatched, never drawn as zero/);
  expect(await heat.locator('svg .group-mrd[data-group=question]').count()).toBe(0);
  expect(await heat.locator('svg .group-mrd[data-group=answerSpan]').count()).toBe(1);
  expect(await value(page, 'What is attributed')).toBe('at30');
  expect(await heat.getByLabel('Scale').inputValue()).toBe('layer');
  const strip = page.getByRole('figure', { name: 'Two phases, by relevance' });
  expect(await strip.locator('.finding').textContent()).toContain('the relevance of the question is not finite');
  expect(await strip.locator('svg .phase').count()).toBe(0);
  await page.getByRole('tab', { name: 'Two phases' }).click();
  const main = page.getByRole('figure', { name: /^Two phases\? The evidence/ });
  expect(await main.locator('.finding').textContent()).toContain('the relevance of the question is not finite');
  expect(errors).toEqual([]);
  await close();
});
