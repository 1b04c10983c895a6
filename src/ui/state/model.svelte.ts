/** One model slot: what is loaded, what is on its way, what went wrong. The latest load wins. */
import type { Capabilities, LoadedModel, ModelCard, ModelRef, Progress } from '../../types';
import { getLab, toTrouble, type Trouble } from '../lab-api';
import { view } from './view.svelte';

type Status = 'idle' | 'asking' | 'loading' | 'ready' | 'failed';

/** True where the reader should be asked before megabytes are fetched. */
function metered(): boolean {
  const c = (navigator as Navigator & { connection?: { saveData?: boolean; effectiveType?: string; type?: string } }).connection;
  return !!c && (c.saveData === true || c.type === 'cellular' || /(^|-)2g$|^3g$/.test(c.effectiveType ?? ''));
}

class ModelSlot {
  status: Status = $state('idle');
  capabilities: Capabilities | null = $state.raw(null);
  cards: ModelCard[] = $state.raw([]);
  card: ModelCard | null = $state.raw(null);
  progress: Progress | null = $state.raw(null);
  loaded: LoadedModel | null = $state.raw(null);
  trouble: Trouble | null = $state.raw(null);
  #turn = 0;

  async start(): Promise<void> {
    try {
      const lab = await getLab();
      [this.capabilities, this.cards] = await Promise.all([lab.capabilities(), lab.models()]);
      this.card = this.cards.find((c) => c.bundled && c.stage === 'post-trained') ?? this.cards[0] ?? null;
      if (!this.card) return;
      if (metered()) this.status = 'asking';
      else await this.load();
    } catch (error) {
      this.#fail(error);
    }
  }

  async load(ref: ModelRef | null = this.card?.ref ?? null): Promise<void> {
    if (!ref) return;
    const turn = ++this.#turn;
    this.card = this.cards.find((c) => c.ref.id === ref.id) ?? this.card;
    this.status = 'loading';
    this.trouble = null;
    this.progress = { phase: 'resolve', done: 0, total: null, rate: null };
    try {
      const lab = await getLab();
      const loaded = await lab.load($state.snapshot(ref), {
        device: view.device ?? undefined,
        onProgress: (p) => {
          if (turn === this.#turn) this.progress = p;
        },
      });
      if (turn !== this.#turn) return;
      this.loaded = loaded;
      this.status = 'ready';
    } catch (error) {
      if (turn === this.#turn) this.#fail(error);
    } finally {
      if (turn === this.#turn) this.progress = null;
    }
  }

  async cancel(): Promise<void> {
    this.#turn++;
    this.progress = null;
    this.status = this.loaded ? 'ready' : 'asking';
    (await getLab()).cancel();
  }

  lost(trouble: Trouble): void {
    this.loaded = null;
    this.status = 'failed';
    this.trouble = trouble;
  }

  #fail(error: unknown): void {
    const trouble = toTrouble(error);
    if (trouble.code === 'cancelled' || trouble.code === 'superseded') {
      this.status = this.loaded ? 'ready' : 'asking';
      return;
    }
    this.loaded = null;
    this.status = 'failed';
    this.trouble = trouble;
  }
}

export const model = new ModelSlot();
