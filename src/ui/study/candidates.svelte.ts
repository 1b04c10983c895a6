/** The models a study may take: those that ship, the loaded one, the hub's, folders of the reader's own; and which files of each. */
import type { ModelOption } from '../../lab';
import type { StudyModel } from '../../study/design';
import type { Dtype, ModelCard, ModelRef } from '../../types';
import { getLab, toTrouble, type Trouble } from '../lab-api';
import { model } from '../state/model.svelte';
import { view } from '../state/view.svelte';
import { folderName } from './folder';

interface Candidate extends Omit<StudyModel, 'ref'> {
  ref: ModelRef;
  from: 'page' | 'hub' | 'loaded' | 'folder';
}

class Candidates {
  /** Ids that are ticked. */
  ticked: string[] = $state([]);
  /** Files chosen of a model, where the lab could tell which there are. */
  dtypes: Record<string, Dtype[]> = $state({});
  /** What each ticked model offers on the device at hand. */
  offers: Record<string, ModelOption[]> = $state({});
  folders: Candidate[] = $state.raw([]);
  trouble: Trouble | null = $state.raw(null);
  #asked = new Set<string>();

  all: Candidate[] = $derived.by(() => {
    const cards = model.cards.map(fromCard);
    const { loaded } = model;
    const other = loaded && !loaded.ref.id.startsWith('files:') && !cards.some((c) => c.ref.id === loaded.card.ref.id);
    return [...(other ? [{ ...fromCard(loaded.card), ref: { id: loaded.ref.id, host: loaded.ref.host }, from: 'loaded' as const }] : []), ...this.folders, ...cards];
  });

  /** As a design has them: one per file. A model whose files are not known yet is loaded with what suits the device. */
  chosen: StudyModel[] = $derived(
    this.all
      .filter((c) => this.ticked.includes(c.ref.id))
      .flatMap(({ from: _, ...c }) => {
        const dtypes = this.dtypes[c.ref.id] ?? [];
        if (dtypes.length === 0) return this.offers[c.ref.id] ? [] : [c];
        return dtypes.map((dtype) => ({ ...c, ref: { ...c.ref, dtype }, title: dtypes.length > 1 ? `${c.title} ${dtype}` : c.title }));
      }),
  );

  /** At first: the pair that ships, else what is loaded. */
  start(): void {
    if (this.ticked.length > 0) return;
    const first = model.bundled.filter((c) => c.stage !== 'checkpoint').map((c) => c.ref.id);
    this.ticked = first.length ? first : model.loaded && !model.loaded.ref.id.startsWith('files:') ? [model.loaded.ref.id] : [];
  }

  /** Finds out which files the ticked models have; what suits the device is chosen at first. */
  async look(): Promise<void> {
    const { device } = view;
    const fresh = this.all.filter((c) => this.ticked.includes(c.ref.id) && !this.#asked.has(`${device}|${c.ref.id}`));
    for (const { ref } of fresh) {
      this.#asked.add(`${device}|${ref.id}`);
      try {
        const offers = await (await getLab()).options($state.snapshot(ref) as ModelRef, device ? { device } : {});
        this.offers = { ...this.offers, [ref.id]: offers };
        const can = (this.dtypes[ref.id] ?? []).filter((d) => offers.some((o) => o.dtype === d && o.refused === null));
        const suits = offers.filter((o) => o.chosen !== null).map((o) => o.dtype);
        this.dtypes = { ...this.dtypes, [ref.id]: can.length ? can : suits };
      } catch (error) {
        // Offline, or a host that does not tell: the study finds out when it loads the model.
        this.#asked.delete(`${device}|${ref.id}`);
        const { message } = toTrouble(error);
        this.trouble = { code: 'network', message: `Which files ${ref.id} has is not known: ${message}`, hint: 'The study takes what suits the device when it comes to it.' };
      }
    }
    this.#level(fresh.map((c) => c.ref.id));
  }

  /** Base against post-trained is a comparison of training, not of rounding: where what suits each differs, both get a file that both have. */
  #level(fresh: readonly string[]): void {
    const ticked = this.all.filter((c) => this.ticked.includes(c.ref.id));
    for (const pair of new Set(ticked.flatMap((c) => c.pair ?? []))) {
      const ids = ticked.filter((c) => c.pair === pair).map((c) => c.ref.id);
      const taken = new Set(ids.flatMap((id) => this.dtypes[id] ?? []));
      if (taken.size < 2 || !ids.every((id) => fresh.includes(id))) continue;
      const both = (this.offers[ids[0]] ?? []).map((o) => o.dtype).find((d) => ids.every((id) => this.offers[id]?.some((o) => o.dtype === d && o.refused === null)));
      if (both) this.dtypes = { ...this.dtypes, ...Object.fromEntries(ids.map((id) => [id, [both]])) };
    }
  }

  choose(id: string, dtype: Dtype, on: boolean): void {
    const others = (this.dtypes[id] ?? []).filter((d) => d !== dtype);
    this.dtypes = { ...this.dtypes, [id]: on ? [...others, dtype] : others };
  }

  /** A model folder in the hub's layout; known again by its contents. */
  async folder(files: readonly File[]): Promise<void> {
    this.trouble = null;
    if (files.length === 0) return;
    try {
      const name = await folderName(files);
      const ref = await (await getLab()).addFiles(files, name);
      const title = name.replace(/-[0-9a-f]{8}$/, '');
      this.folders = [...this.folders.filter((f) => f.ref.id !== ref.id), { ref, title, parameters: null, from: 'folder' }];
      if (!this.ticked.includes(ref.id)) this.ticked = [...this.ticked, ref.id];
      await this.look();
    } catch (error) {
      this.trouble = toTrouble(error);
    }
  }
}

function fromCard(card: ModelCard): Candidate {
  return { ref: $state.snapshot(card.ref) as ModelRef, title: card.title, parameters: card.parameters, stage: card.stage, pair: card.pair, from: card.bundled ? 'page' : 'hub' };
}

/** Models of a design that came from a folder which this page has not been given. */
export const lacking = (models: readonly StudyModel[]): StudyModel[] => models.filter((m) => m.ref.id.startsWith('files:') && !candidates.folders.some((f) => f.ref.id === m.ref.id));

export const candidates = new Candidates();
