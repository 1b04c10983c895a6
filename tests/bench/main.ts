/** `npm run bench`: everything in one run, figures against each other taken in turns, one table at the end. Asserts nothing. */
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Browser } from 'playwright-core';
import { launch } from '../harness';
import { buildOnnx, buildPage } from './build';
import { Driver } from './driver';
import { mainModel, randomModel, type Folder } from './folder';
import { PASSAGE, SMOLLM2_135M, WIDE } from './graph';
import { measureDecode } from './measure/decode';
import { measureInstrument } from './measure/instrument';
import { charactersFor, measurePatch, measureRelevance } from './measure/mechanism';
import { measureMany } from './measure/many';
import { measureProbe } from './measure/probe';
import { measureStudy } from './measure/study';
import { measureTraffic } from './measure/traffic';
import { measureView } from './measure/view';
import { parseOptions, type BenchOptions, type Part } from './options';
import { serveSite, type Site } from './serving';
import { print, skipped, type Row } from './table';

export async function main(argv: readonly string[]): Promise<void> {
  let options: BenchOptions;
  try {
    options = parseOptions(argv);
  } catch (error) {
    console.error((error as Error).message);
    process.exitCode = 2;
    return;
  }
  const temp = mkdtempSync(join(tmpdir(), 'passage-bench-'));
  const rows: Row[] = [];
  let browser: Browser | null = null;
  let site: Site | null = null;
  try {
    if (options.parts.includes('page')) rows.push(...(await measurePage(options, temp)));
    if (options.parts.every((part) => part === 'page')) return;
    note('building the page');
    mkdirSync(join(temp, 'site'));
    await buildPage(join(temp, 'site'));
    await buildOnnx(temp);
    site = await serveSite(join(temp, 'site'), temp, options.threads);
    browser = await launch();
    const model = mainModel(options.model, temp);
    if (options.parts.some((part) => part !== 'study' && part !== 'page')) for (const device of options.devices) rows.push(...(await measure(browser, site, model, device, options, temp)));
    if (options.parts.includes('study') && options.devices.includes('wasm')) rows.push(...(await measureLong(browser, site, options, temp)));
    if (options.big && options.devices.includes('wasm')) rows.push(...(await measureBig(browser, site, options.big, options, temp)));
  } finally {
    await browser?.close();
    await site?.close();
    rmSync(temp, { recursive: true, force: true });
    console.log(`\n${print(rows)}\n`);
    if (options.json) console.log(JSON.stringify(rows));
  }
}

/** The app itself, as it was built last: what its main thread does while a reader explores a large record. */
async function measurePage(options: BenchOptions, temp: string): Promise<Row[]> {
  note('page: exploring 12 languages × 36 layers × 600 tokens');
  const browser = await launch({ webgpu: 'off' });
  try {
    return await measureView(browser, temp, Math.max(20, options.repetitions));
  } finally {
    await browser.close();
  }
}

async function measure(browser: Browser, site: Site, model: Folder, device: 'wasm' | 'webgpu', options: BenchOptions, temp: string): Promise<Row[]> {
  note(`${device}: loading ${model.title} twice`);
  const driver = await Driver.open(browser, site, model, device);
  const wasm = device === 'wasm';
  const repetitions = wasm ? options.repetitions : Math.max(1, Math.round(options.repetitions / 3));
  const parts: Partial<Record<Part, () => Promise<Row[]>>> = {
    decode: () => measureDecode(driver, { tokens: wasm ? 64 : 12, repetitions, target: wasm ? 1.25 : null }),
    probe: () => measureProbe(driver, repetitions),
    traffic: () => measureTraffic(driver),
    relevance: () => measureRelevance(driver, Math.max(1, Math.round(repetitions / 3))),
    patch: () => measurePatch(driver, Math.max(1, Math.round(repetitions / 3))),
    // Once is enough: no device takes part in it.
    ...(device === options.devices[0] ? { instrument: () => measureInstrument(driver, site, temp) } : {}),
  };
  try {
    return await inTurn(options, device, parts);
  } finally {
    await driver.close();
  }
}

/** The bundled model's shape with a window that holds natural text. */
async function measureLong(browser: Browser, site: Site, options: BenchOptions, temp: string): Promise<Row[]> {
  note('study: 20,000 cells');
  const many = await measureMany(browser, site);
  const model = randomModel('long', { ...PASSAGE, positions: 2048 }, 'fp32', temp, 'random, of the bundled model’s shape');
  const driver = await Driver.open(browser, site, model, 'wasm');
  try {
    return [...many, ...(await inTurn({ ...options, parts: ['study'] }, 'wasm', { study: () => measureStudy(driver, options.paragraphs) }))];
  } finally {
    await driver.close();
  }
}

async function measureBig(browser: Browser, site: Site, dtype: 'fp32' | 'q4', options: BenchOptions, temp: string): Promise<Row[]> {
  note(`building a random model of SmolLM2-135M's shape (${dtype})`);
  const model = randomModel('smollm2-shaped', SMOLLM2_135M, dtype, temp, `random, of SmolLM2-135M’s shape (${dtype})`);
  const driver = await Driver.open(browser, site, model, 'wasm');
  const rows: Row[] = [];
  try {
    const parts = (['decode', 'probe'] as const).filter((part) => options.parts.includes(part));
    const measured = await inTurn({ ...options, parts }, 'wasm', {
      decode: () => measureDecode(driver, { tokens: 16, repetitions: Math.max(3, Math.round(options.repetitions / 2)), target: 1.05 }),
      probe: () => measureProbe(driver, Math.max(3, Math.round(options.repetitions / 3))),
    });
    rows.push(...measured);
  } finally {
    await driver.close();
  }
  if (options.parts.includes('relevance')) rows.push(...(await measureWide(browser, site, options, temp)));
  return rows;
}

/** 24 layers of width 896 and a prompt of 512 tokens or a few more: the longest and widest map that is promised. */
async function measureWide(browser: Browser, site: Site, options: BenchOptions, temp: string): Promise<Row[]> {
  const model = randomModel('wide', WIDE, 'q4', temp, 'random, 24 layers × 896 (q4)');
  const driver = await Driver.open(browser, site, model, 'wasm', { transformers: false });
  try {
    return await inTurn({ ...options, parts: ['relevance'] }, 'wasm', { relevance: async () => measureRelevance(driver, 1, await charactersFor(driver, 512)) });
  } finally {
    await driver.close();
  }
}

/** A part that fails is a row of the table; the others still run. */
async function inTurn(options: BenchOptions, device: string, parts: Partial<Record<Part, () => Promise<Row[]>>>): Promise<Row[]> {
  const rows: Row[] = [];
  for (const part of options.parts) {
    const work = parts[part];
    if (!work) continue;
    note(`${device}: ${part}`);
    rows.push(...(await work().catch((error: Error) => [skipped(part, device, part, error.message.split('\n')[0])])));
  }
  return rows;
}

const note = (text: string): void => console.error(`bench: ${text}`);
