/** Records: the ones that ship, the ones the reader drops, and this view as a file. The reading and writing of them is fetched when first needed. */
import type { Ask, Probe } from '../../types';
import { toTrouble } from '../lab-api';
import { compare } from './compare.svelte';
import { comparePlane } from './compare-plane.svelte';
import { plane } from './plane.svelte';
import { prompt } from './prompt.svelte';
import { run } from './run.svelte';
import { view, viewState, applyViewState } from './view.svelte';
import { compareRuns } from '../../share/provenance';
import type { LabRecord } from '../../share/record';
import { goldOf } from '../../xmrc/answer';
import { save } from '../figures/save';
import { choice } from '../mechanism/choice.svelte';
import { mechanismView, recordedSets } from '../mechanism/on-show.svelte';
import { restoreSets } from '../mechanism/sets.svelte';
import { recorded, restore } from '../mechanism/work.svelte';

/** An entry of public/recordings/index.json. */
interface Shelf {
  id: string;
  file: string;
  title: string;
}

class Records {
  shelf: Shelf[] = $state.raw([]);
  /** Why a record could not be opened. */
  trouble: string | null = $state(null);
  title = $state('');
  /** The main run of the record opened last: the reader's own run of the same is held against it. */
  opened: Probe | null = $state.raw(null);
  /** The one shown for want of a run: nobody asked that it be repeated. */
  #unasked: Probe | null = null;
  /** The shipped recording it came from. */
  #id: string | null = $state(null);
  #listed: Promise<void> | null = null;

  /** Id of the shipped recording on show. */
  get showing(): string | null {
    return this.opened !== null && run.shown?.main === this.opened ? this.#id : null;
  }

  /** The list of shipped recordings, and the first one on show. */
  async start(choose: boolean): Promise<void> {
    await this.list();
    const [entry] = this.shelf;
    if (!entry || run.shown) return;
    await this.show(entry.id, choose);
    this.#unasked = this.opened;
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

  /** false: no recording of that name ships, or it cannot be read (and that is said). */
  async show(id: string, choose = true): Promise<boolean> {
    await this.list();
    const entry = this.shelf.find((s) => s.id === id);
    if (!entry) return false;
    try {
      const response = await fetch(new URL(`recordings/${entry.file}`, document.baseURI));
      if (!response.ok) throw new Error(`The recording “${entry.title}” is not on this server.`);
      await this.open(new Uint8Array(await response.arrayBuffer()), choose);
      this.#id = id;
    } catch (error) {
      this.trouble = toTrouble(error).message;
    }
    return this.trouble === null;
  }

  /** @param choose also set the controls to what the record asked */
  async open(bytes: Uint8Array, choose = true): Promise<void> {
    this.trouble = null;
    const { unpackRecord } = await import('../../share/record');
    const read = unpackRecord(bytes);
    if (!read.ok) {
      this.trouble = read.message;
      return;
    }
    this.put(read.value, choose);
  }

  put(record: LabRecord, choose: boolean): void {
    const [first, ...rest] = record.runs;
    if (!first) {
      this.trouble = 'This record holds no run.';
      return;
    }
    this.title = record.title;
    this.#id = null;
    this.opened = first.probe;
    plane.hold(record.basis, first.probe, record.view.groups ?? []);
    run.show({ source: 'recorded', main: first.probe, others: rest.filter((r) => r.slot === 'A').map((r) => r.probe) });
    const b = rest.filter((r) => r.slot === 'B');
    if (b.length) {
      compare.put(b.map((r) => r.probe));
      comparePlane.hold(record.compared ?? [], first.probe, b[0].probe, record.view.groups ?? []);
    }
    for (const r of [first, ...b.slice(0, 1)]) restore(r);
    restoreSets(record.sets ?? [], record.view.mechanism);
    if (!choose) return;
    const { ask } = first.probe;
    if (ask.contextLanguage) view.contextLanguage = ask.contextLanguage;
    if (ask.questionLanguage) view.questionLanguage = ask.questionLanguage;
    prompt.take(ask.prompt, textsOf(ask));
    if ('item' in ask) {
      view.mode = 'item';
      if (ask.set) view.set = ask.set;
      view.item = typeof ask.item === 'string' ? ask.item : ask.item.id;
    } else {
      view.mode = 'text';
      const { context, question } = ask;
      const answer = goldOf(ask.answer);
      view.text = { context, question };
      view.gold = answer ? { context, question, answer } : null;
      view.english = run.wording;
    }
    applyViewState(record.view);
    // what it showed is here already
    choice.forget();
  }

  /** What is on show; null while nothing is. */
  async record(): Promise<LabRecord | null> {
    const { shown } = run;
    if (!shown) return null;
    const { makeRecord } = await import('../../share/record');
    const runs = [shown.main, ...shown.others].map((probe) => ({ slot: 'A' as const, probe, ...recorded(probe) }));
    const both = [...runs, ...compare.all.map((probe) => ({ slot: 'B' as const, probe, ...recorded(probe, 'B') }))];
    // views are Svelte proxies nowhere here: probes are raw, the view state is made anew
    return makeRecord(both, { view: { ...viewState(), ...mechanismView(), ...plane.seen() }, title: this.title, basis: plane.drawn?.basis ?? null, compared: comparePlane.bases(), sets: recordedSets() });
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

function textsOf(ask: Ask): { context: string; question: string } | null {
  if (!('item' in ask)) return { context: ask.context, question: ask.question };
  if (typeof ask.item === 'string') return null;
  return { context: ask.item.context[ask.contextLanguage] ?? '', question: ask.item.question[ask.questionLanguage] ?? '' };
}

export const records = new Records();
