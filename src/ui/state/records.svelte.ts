/** Records: the ones that ship, the ones the reader drops, and this view as a file. The reading and writing of them is fetched when first needed. */
import type { Ask } from '../../types';
import { toTrouble } from '../lab-api';
import { compare } from './compare.svelte';
import { prompt } from './prompt.svelte';
import { run } from './run.svelte';
import { view, viewState, applyViewState } from './view.svelte';
import type { LabRecord } from '../../share/record';
import { save } from '../figures/save';
import { choice } from '../mechanism/choice.svelte';
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

  /** The list of shipped recordings, and the first one on show. */
  async start(choose: boolean): Promise<void> {
    try {
      const response = await fetch(new URL('recordings/index.json', document.baseURI));
      if (!response.ok) return;
      this.shelf = (await response.json()) as Shelf[];
    } catch {
      return; // none ship: the page says so where the pictures would be
    }
    const [entry] = this.shelf;
    if (entry && !run.shown) await this.show(entry.id, choose);
  }

  async show(id: string, choose = true): Promise<void> {
    const entry = this.shelf.find((s) => s.id === id);
    if (!entry) return;
    try {
      const response = await fetch(new URL(`recordings/${entry.file}`, document.baseURI));
      if (!response.ok) throw new Error(`The recording “${entry.title}” is not on this server.`);
      await this.open(new Uint8Array(await response.arrayBuffer()), choose);
    } catch (error) {
      this.trouble = toTrouble(error).message;
    }
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
    run.show({ source: 'recorded', main: first.probe, others: rest.filter((r) => r.slot === 'A').map((r) => r.probe) });
    const b = rest.find((r) => r.slot === 'B');
    if (b) compare.put(b.probe);
    for (const r of [first, b]) if (r) restore(r);
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
      view.text = { context: ask.context, question: ask.question };
    }
    applyViewState(record.view);
    // what it showed is here already
    choice.wantsMap = choice.wantsSweep = false;
  }

  async save(states: boolean): Promise<void> {
    const { shown } = run;
    if (!shown) return;
    const { makeRecord, packRecord } = await import('../../share/record');
    const runs = [shown.main, ...shown.others].map((probe) => ({ slot: 'A' as const, probe, ...recorded(probe) }));
    const both = compare.b ? [...runs, { slot: 'B' as const, probe: compare.b, ...recorded(compare.b, 'B') }] : runs;
    // views are Svelte proxies nowhere here: probes are raw, the view state is made anew
    const record = makeRecord(both, { view: viewState(), title: this.title });
    const bytes = packRecord(record, { states });
    save('passage-record.zip', new Blob([bytes as Uint8Array<ArrayBuffer>], { type: 'application/zip' }));
  }
}

function textsOf(ask: Ask): { context: string; question: string } | null {
  if (!('item' in ask)) return { context: ask.context, question: ask.question };
  if (typeof ask.item === 'string') return null;
  return { context: ask.item.context[ask.contextLanguage] ?? '', question: ask.item.question[ask.questionLanguage] ?? '' };
}

export const records = new Records();
