/** The item sets that ship and those kept in this browser, and what an ask means by them. */
import type { PlainAsk } from './models/prompting';
import { LabError, toLabError } from './runtime/errors';
import { fetchFile } from './runtime/fetch';
import { SetStore } from './study/sets';
import type { Ask, Item, Language } from './types';
import { goldOf } from './xmrc/answer';
import { loadFile } from './xmrc/items';

type Calls = { signal?: AbortSignal };

/** An ask with its item looked up. */
export interface Resolved extends PlainAsk {
  gold: string | null;
  answerLanguage: Language;
}

export class ItemSets {
  private readonly read = new Map<string, Promise<Item[]>>();

  /** @param base address of the page's folder, with a slash at the end */
  constructor(private readonly base: string) {}

  /** Names of the sets that ship. */
  async names(call: Calls = {}): Promise<string[]> {
    const { bytes } = await fetchFile(new URL('items/index.json', this.base).href, { signal: call.signal });
    const index = JSON.parse(new TextDecoder().decode(bytes)) as (string | { name: string })[];
    return index.map((entry) => (typeof entry === 'string' ? entry : entry.name));
  }

  /** Names of the sets that the reader dropped or fetched, kept in this browser. */
  kept(): Promise<string[]> {
    return withStore((store) => store.names(), []);
  }

  /** A set that ships, or one that is kept. @throws LabError 'not-found' | 'broken-file' */
  async items(set: string, call: Calls = {}): Promise<Item[]> {
    const known = this.read.get(set);
    if (known) return known;
    // without the list the sets that ship are still where they are
    const names = await this.names(call).catch(() => (/^[\w-]+$/.test(set) ? [set] : []));
    if (!names.includes(set)) return this.keptItems(set);
    const promise = this.fetch(set, call);
    promise.catch(() => this.read.delete(set));
    this.read.set(set, promise);
    return promise;
  }

  /** @throws LabError 'bad-input' | 'not-found' */
  async resolve(ask: Ask, signal: AbortSignal): Promise<Resolved> {
    if (typeof ask !== 'object' || ask === null) throw new LabError('bad-input', 'Nothing was asked.');
    if (!('item' in ask)) {
      if (typeof ask.context !== 'string' || typeof ask.question !== 'string')
        throw new LabError('bad-input', 'An ask has an item, or a context and a question.');
      return {
        context: ask.context,
        question: ask.question,
        answer: ask.answer ?? null,
        prompt: ask.prompt,
        gold: goldOf(ask.answer)?.text ?? null,
        answerLanguage: ask.contextLanguage ?? 'en',
      };
    }
    const item = typeof ask.item === 'string' ? await this.find(ask.item, ask.set, signal) : ask.item;
    const context = item.context[ask.contextLanguage];
    const question = item.question[ask.questionLanguage];
    if (context === undefined) throw new LabError('bad-input', `The item has no text in "${ask.contextLanguage}".`, languagesOf(item.context));
    if (question === undefined) throw new LabError('bad-input', `The item has no question in "${ask.questionLanguage}".`, languagesOf(item.question));
    const answer = item.answer[ask.contextLanguage] ?? null;
    return { context, question, answer, prompt: ask.prompt, gold: answer?.text ?? null, answerLanguage: ask.contextLanguage };
  }

  /** Read anew each time: the reader may have dropped another file of that name since. */
  private async keptItems(set: string): Promise<Item[]> {
    const kept = await withStore((store) => store.get(set), null);
    if (kept) return kept.items;
    throw new LabError('not-found', `The item set “${set}” is neither part of this page nor kept in this browser.`, 'Fetch it or drop its files under Study, New study.');
  }

  private async find(id: string, set: string | undefined, signal: AbortSignal): Promise<Item> {
    const sets = set ? [set] : await this.names({ signal });
    for (const name of sets) {
      const item = (await this.items(name, { signal })).find((i) => i.id === id);
      if (item) return item;
    }
    throw new LabError('not-found', `There is no item "${id}"${set ? ` in the set "${set}"` : ''}.`);
  }

  private async fetch(set: string, call: Calls): Promise<Item[]> {
    const { bytes } = await fetchFile(new URL(`items/${set}.json`, this.base).href, { signal: call.signal });
    try {
      return loadFile(new TextDecoder().decode(bytes), `${set}.json`).items;
    } catch (error) {
      throw toLabError(error, 'broken-file');
    }
  }
}

/** Without a database (some private windows) nothing is kept. */
async function withStore<T>(work: (store: SetStore) => Promise<T>, none: T): Promise<T> {
  const store = await SetStore.open().catch(() => null);
  if (!store) return none;
  try {
    return await work(store);
  } finally {
    store.close();
  }
}

const languagesOf = (texts: Partial<Record<Language, unknown>>): string => `It has: ${Object.keys(texts).join(', ')}.`;
