/** A second slot, B: another model in a worker of its own, asked the very same. Probes are kept per model, so that a series can be scrubbed. */
import type { LabClient } from '../../lab-client';
import type { ModelCard, Probe, Progress } from '../../types';
import { getLab, isQuiet, toTrouble, type Trouble } from '../lab-api';
import { model } from './model.svelte';
import { run } from './run.svelte';
import { view } from './view.svelte';

class Compare {
  status: 'idle' | 'loading' | 'asking' = $state('idle');
  progress: Progress | null = $state.raw(null);
  trouble: Trouble | null = $state.raw(null);
  wanted: string | null = $state(null);
  probes: Record<string, Probe> = $state.raw({});
  #lab: LabClient | null = null;
  #of: Probe | null = null;
  #turn = 0;

  /** B's probe of what A shows now. */
  b: Probe | null = $derived(this.wanted && run.shown ? (this.probes[key(this.wanted, run.shown.main)] ?? null) : null);

  /** The loaded model's siblings in order: base, checkpoints, post-trained. */
  series: ModelCard[] = $derived.by(() => {
    const pair = run.shown?.main.model.card.pair ?? model.loaded?.card.pair;
    const stage = (c: ModelCard) => (c.stage === 'base' ? -1 : c.stage === 'checkpoint' ? (c.step ?? 0) : Infinity);
    return pair ? model.cards.filter((c) => c.pair === pair).sort((x, y) => stage(x) - stage(y)) : [];
  });

  async choose(id: string): Promise<void> {
    this.wanted = id;
    const main = run.shown?.main;
    const card = model.cards.find((c) => c.ref.id === id);
    if (!main || !card || this.probes[key(id, main)]) return;
    const turn = ++this.#turn;
    const mine = () => turn === this.#turn;
    this.trouble = null;
    this.status = 'loading';
    try {
      this.#lab ??= (await getLab()).another();
      if (this.#of !== main || (await this.#lab.model())?.card.ref.id !== id) {
        await this.#lab.load($state.snapshot(card.ref), { device: view.device ?? undefined, onProgress: (p) => mine() && (this.progress = p) });
        if (!mine()) return;
      }
      this.#of = main;
      this.status = 'asking';
      const probe = await this.#lab.probe(main.ask, { states: false });
      if (mine()) this.probes = { ...this.probes, [key(id, main)]: probe };
    } catch (error) {
      const trouble = toTrouble(error);
      if (mine() && !isQuiet(trouble)) this.trouble = trouble;
    } finally {
      if (mine()) {
        this.status = 'idle';
        this.progress = null;
      }
    }
  }

  /** B's own lab with B loaded in it, for what else is asked of it; null where no B is chosen. */
  async lab(): Promise<LabClient | null> {
    const card = model.cards.find((c) => c.ref.id === this.wanted);
    if (!card) return null;
    const lab = (this.#lab ??= (await getLab()).another());
    if ((await lab.model())?.card.ref.id !== card.ref.id) await lab.load($state.snapshot(card.ref), { device: view.device ?? undefined });
    return lab;
  }

  /** B as a record has it. */
  put(probe: Probe): void {
    if (!run.shown) return;
    const id = probe.model.card.ref.id;
    this.wanted = id;
    this.probes = { ...this.probes, [key(id, run.shown.main)]: probe };
  }

  /** Gives B's memory back. */
  close(): void {
    this.#turn++;
    this.#lab?.terminate();
    this.#lab = null;
    this.wanted = null;
    this.probes = {};
    this.status = 'idle';
  }
}

const key = (id: string, p: Probe): string => `${id} ${p.provenance.model} ${p.provenance.time}`;

export const compare = new Compare();
