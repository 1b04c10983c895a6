/** Records: the ones that ship, the ones the reader drops, and this view as a file. The reading and writing of them is fetched when first needed. */
import { compareRuns } from '../../share/provenance';
import type { LabRecord } from '../../share/record';
import type { Read } from '../../share/result';
import type { ViewState } from '../../share/view';
import type { Ask, Probe } from '../../types';
import { goldOf } from '../../xmrc/answer';
import { save } from '../figures/save';
import { toTrouble } from '../lab-api';
import { choice } from '../mechanism/choice.svelte';
import { recordedSets } from '../mechanism/on-show.svelte';
import { restoreSets } from '../mechanism/sets.svelte';
import { recorded, restore } from '../mechanism/work.svelte';
import { alignment } from './alignment.svelte';
import { compare } from './compare.svelte';
import { comparePlane } from './compare-plane.svelte';
import { items } from './items.svelte';
import { plane } from './plane.svelte';
import { prompt } from './prompt.svelte';
import { run } from './run.svelte';
import { apply, seen } from './seen';
import { view } from './view.svelte';

/** An entry of public/recordings/index.json. */
interface Shelf {
  id: string;
  file: string;
  title: string;
}

/** What a record changes beside the pictures: the controls, to what it asked; the view, to its own or to a link's. */
interface Taking {
  controls: boolean;
  view: ViewState | 'own' | 'as it is';
}
const ALL: Taking = { controls: true, view: 'own' };

class Records {
  shelf: Shelf[] = $state.raw([]);
  /** Why a record could not be opened. */
  trouble: string | null = $state(null);
  /** The main run of the record opened last: the reader's own run of the same is held against it. */
  opened: Probe | null = $state.raw(null);
  /** The one shown for want of a run: nobody asked that it be repeated. */
  #unasked: Probe | null = null;
  /** Of that record. */
  #words = { title: '', note: '' };
  /** The shipped recording it came from. */
  #id: string | null = $state(null);
  #listed: Promise<void> | null = null;
  /** The latest to be opened wins, however long it takes to come. */
  #turn = 0;

  /** Id of the shipped recording on show. */
  get showing(): string | null {
    return this.opened !== null && run.shown?.main === this.opened ? this.#id : null;
  }

  /** Whether what the page begins with is on show. */
  get atStart(): boolean {
    return this.showing !== null && this.showing === this.shelf[0]?.id;
  }

  /** The first shipped recording, where nothing else is on show or on its way. */
  async start(taking: Taking): Promise<void> {
    const turn = this.#turn;
    await this.list();
    const [entry] = this.shelf;
    if (!entry || turn !== this.#turn || run.shown || run.busy) return;
    await this.show(entry.id, taking, true);
    if (this.showing === entry.id) this.#unasked = this.opened;
  }

  list(): Promise<void> {
    return (this.#listed ??= this.#list());
  }

  async #list(): Promise<void> {
    try {
      const response = await fetch(new URL('recordings/index.json', document.baseURI));
      if (response.ok) this.shelf = (await response.json()) as Shelf[];
    } catch {
      // none ship: the page says so where the pictures would be
    }
  }

  /** @param yielding gives way to a run that came meanwhile. null, or why it is not on show */
  async show(id: string, taking = ALL, yielding = false): Promise<string | null> {
    const turn = ++this.#turn;
    // what reads it comes along with it
    const reader = import('../../share/record');
    reader.catch(() => undefined);
    await this.list();
    const entry = this.shelf.find((s) => s.id === id);
    if (!entry) return `No recording “${id}” ships with this build.`;
    this.trouble = null;
    try {
      const response = await fetch(new URL(`recordings/${entry.file}`, document.baseURI));
      if (!response.ok) throw new Error(`The recording “${entry.title}” is not on this server.`);
      const bytes = new Uint8Array(await response.arrayBuffer());
      const { unpackRecord } = await reader;
      if (turn !== this.#turn || (yielding && (run.shown || run.busy))) return null;
      this.#take(unpackRecord(bytes), taking, id);
    } catch (error) {
      this.trouble = toTrouble(error).message;
    }
    return this.trouble;
  }

  /** A file that the reader dropped or picked. */
  async open(file: Blob): Promise<void> {
    const turn = ++this.#turn;
    this.trouble = null;
    try {
      const read = await unpack(file);
      if (turn === this.#turn) this.#take(read, ALL, null);
    } catch (error) {
      this.trouble = toTrouble(error).message;
    }
  }

  #take(read: Read<LabRecord>, taking: Taking, id: string | null): void {
    if (!read.ok) this.trouble = read.message;
    else if (read.value.runs.length === 0) this.trouble = 'This record holds no run.';
    else this.#put(read.value, taking, id);
  }

  #put(record: LabRecord, taking: Taking, id: string | null): void {
    const [first, ...rest] = record.runs;
    const { title, note } = record;
    this.#words = { title, note };
    this.#id = id;
    this.opened = first.probe;
    plane.hold(record.basis, first.probe, record.view.groups ?? ['question', 'readout']);
    run.show({ source: 'recorded', main: first.probe, others: rest.filter((r) => r.slot === 'A').map((r) => r.probe) });
    const b = rest.filter((r) => r.slot === 'B');
    if (b.length) {
      compare.put(b.map((r) => r.probe));
      comparePlane.hold(record.compared ?? [], first.probe, b[0].probe, record.view.groups ?? ['question', 'readout']);
    }
    for (const r of [first, ...b.slice(0, 1)]) restore(r);
    restoreSets(record.sets ?? [], record.view.mechanism);
    if (record.alignment) alignment.put(record.alignment, record.view.alignment);
    if (taking.controls) ask(first.probe.ask);
    if (taking.view === 'as it is') return;
    apply(taking.view === 'own' ? record.view : taking.view);
    // what it showed is here already
    if (taking.view === 'own') choice.forget();
  }

  /** What is on show; null while nothing is. */
  async record(): Promise<LabRecord | null> {
    const { shown } = run;
    const main = run.whole();
    if (!shown || !main) return null;
    const { makeRecord } = await import('../../share/record');
    const runs = [{ slot: 'A' as const, probe: main, ...recorded(shown.main) }, ...shown.others.map((probe) => ({ slot: 'A' as const, probe, ...recorded(probe) }))];
    const both = [...runs, ...compare.all.map((probe) => ({ slot: 'B' as const, probe, ...recorded(probe, 'B') }))];
    // views are Svelte proxies nowhere here: probes are raw, the view state is made anew
    return makeRecord(both, { view: seen(), ...(shown.main === this.opened ? this.#words : {}), basis: plane.drawn?.basis ?? null, compared: comparePlane.bases(), sets: recordedSets(), alignment: alignment.recorded() });
  }

  async save(states: boolean): Promise<void> {
    const record = await this.record();
    if (!record) return;
    const { packRecord } = await import('../../share/record');
    save('passage-record.zip', new Blob([packRecord(record, { states }) as Uint8Array<ArrayBuffer>], { type: 'application/zip' }));
  }

  /** The reader's own run against the opened record's, where both asked the same: in words, with the paths' distance in one plane. */
  difference(): string | null {
    const [there, here] = [this.opened, run.shown?.main];
    if (!there || !here || there === here || there === this.#unasked || there.prompt !== here.prompt) return null;
    const { text, differences } = compareRuns(there, here);
    const apart = differences.length ? plane.distance(there, here) : null;
    return apart === null ? text : `${text} In one plane its paths lie within ${(apart * 100).toPrecision(2)} % of the plot of the record’s.`;
  }
}

/** In a worker of its own, which takes its memory with it: a file may be large, and what it holds is not known. */
async function unpack(file: Blob): Promise<Read<LabRecord>> {
  const { wrap } = await import('comlink');
  const worker = new Worker(new URL('../../../workers/record.worker.ts', import.meta.url), { type: 'module', name: 'record' });
  try {
    const failed = new Promise<never>((_, reject) => worker.addEventListener('error', (e) => reject(new Error(`The file could not be read: ${e.message || 'this part of the page could not be fetched'}.`))));
    return await Promise.race([wrap<{ unpack(file: Blob): Read<LabRecord> }>(worker).unpack(file), failed]);
  } finally {
    worker.terminate();
  }
}

/** Sets the controls to what a record asked. */
function ask(asked: Ask): void {
  if (asked.contextLanguage) view.contextLanguage = asked.contextLanguage;
  if (asked.questionLanguage) view.questionLanguage = asked.questionLanguage;
  prompt.take(asked.prompt, textsOf(asked));
  if ('item' in asked) {
    view.mode = 'item';
    if (asked.set) view.set = asked.set;
    view.item = typeof asked.item === 'string' ? asked.item : asked.item.id;
    void items.load();
  } else {
    const { context, question } = asked;
    const answer = goldOf(asked.answer);
    view.mode = 'text';
    view.text = { context, question };
    view.gold = answer ? { context, question, answer } : null;
    view.english = run.wording;
  }
}

function textsOf(ask: Ask): { context: string; question: string } | null {
  if (!('item' in ask)) return { context: ask.context, question: ask.question };
  if (typeof ask.item === 'string') return null;
  return { context: ask.item.context[ask.contextLanguage] ?? '', question: ask.item.question[ask.questionLanguage] ?? '' };
}

export const records = new Records();
