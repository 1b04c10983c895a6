/** One page with both sides loaded, as the measurements see it. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Browser } from 'playwright-core';
import type { Device } from '../../src/types';
import { visit, type Visit } from '../harness';
import { workerCpu } from './procfs';
import type { Folder } from './folder';
import type { Counts } from './page/counter';
import type { Bench, Generation, Side, Slice, Target } from './page/protocol';
import type { Site } from './serving';

/** Addresses that hold a commit are kept in the browser's store, as a hub's are. */
const COMMIT = 'be'.repeat(20);

interface Scope {
  bench: Bench;
}

export class Driver {
  private readonly asked = new Set<string>();
  private letter = 0;

  private constructor(
    readonly device: Device,
    readonly folder: Folder,
    private readonly visited: Visit,
    readonly threads: number,
    /** null: transformers.js could not load the file, for this reason. */
    readonly refused: string | null,
    readonly layers: number,
  ) {}

  /** @param sides which to load; the lab always is */
  static async open(browser: Browser, site: Site, folder: Folder, device: Device, sides = { transformers: true }): Promise<Driver> {
    site.add(folder);
    const visited = await visit(browser, `${site.page}page/`);
    const { page } = visited;
    await page.waitForFunction(() => 'bench' in window, undefined, { timeout: 60_000 });
    const target: Target = { id: `endless/${folder.name}`, revision: COMMIT, host: `${site.origin}/mirror`, dtype: folder.dtype, device };
    const load = (side: Side): Promise<unknown> => page.evaluate(({ side, target }) => (window as unknown as Scope).bench.load(side, target), { side, target });
    await load('lab');
    const refused = sides.transformers
      ? await load('transformers').then(
          () => null,
          (error: Error) => error.message,
        )
      : 'not loaded';
    const threads = await page.evaluate(() => (window as unknown as Scope).bench.threads());
    const { num_hidden_layers: layers } = JSON.parse(readFileSync(join(folder.path, 'config.json'), 'utf8')) as { num_hidden_layers: number };
    return new Driver(device, folder, visited, threads, refused, layers);
  }

  private get page(): Visit['page'] {
    return this.visited.page;
  }

  prompt(text: string): Promise<number[]> {
    return this.page.evaluate((text) => (window as unknown as Scope).bench.prompt(text), text);
  }

  /** About so many tokens: the lab remembers its answers, so no number is asked for twice of one text. */
  generate(side: Side, text: string, ids: number[], about: number): Promise<Generation> {
    let tokens = about;
    if (side === 'lab') while (this.asked.has(`${text}:${tokens}`)) tokens++;
    if (side === 'lab') this.asked.add(`${text}:${tokens}`);
    return this.send(side, text, ids, tokens);
  }

  private send(side: Side, text: string, ids: number[], tokens: number): Promise<Generation> {
    return this.page.evaluate(({ side, text, ids, tokens }) => (window as unknown as Scope).bench.generate(side, text, ids, tokens), { side, text, ids, tokens });
  }

  /** One token, hence a prefill. The lab remembers few answers: it is asked with another last letter each time. */
  first(side: Side, text: string, ids: number[]): Promise<Generation> {
    if (side === 'transformers') return this.send(side, text, ids, 1);
    this.letter = (this.letter + 1) % 26;
    return this.send(side, text.slice(0, -1) + String.fromCharCode(97 + this.letter), ids, 1);
  }

  /** Processor time so far, where one thread does all the work and the system tells. */
  cpu(): number | null {
    return this.device === 'wasm' && this.threads === 1 ? workerCpu() : null;
  }

  /** null: the lab has no such method. */
  time(method: string, ...args: unknown[]): Promise<number | null> {
    return this.page.evaluate(({ method, args }) => (window as unknown as Scope).bench.time(method, args), { method, args });
  }

  counts(side: Side): Promise<Counts> {
    return this.page.evaluate((side) => (window as unknown as Scope).bench.counts(side), side);
  }

  instrument(url: string, times: number): Promise<number[]> {
    return this.page.evaluate(({ url, times }) => (window as unknown as Scope).bench.instrument(url, times), { url, times });
  }

  studyPrompts(slice: Slice): Promise<number[][]> {
    return this.page.evaluate((slice) => (window as unknown as Scope).bench.studyPrompts(slice), slice);
  }

  study(slice: Slice): ReturnType<Bench['study']> {
    return this.page.evaluate((slice) => (window as unknown as Scope).bench.study(slice), slice);
  }

  /** With no regard to what was asked before: transformers.js remembers nothing. */
  transformers(ids: number[], tokens: number): Promise<Generation> {
    return this.send('transformers', '', ids, tokens);
  }

  close(): Promise<void> {
    return this.visited.close();
  }
}
