/**
 * A second slot, B: another model, or another file or device of the same one, in a worker of its own, asked the very same. Probes
 * are kept per model, so that a series can be scrubbed.
 */
import type { LabClient } from '../../lab-client';
import type { Device, Dtype, ModelCard, ModelRef, Probe, Progress } from '../../types';
import { getLab, isQuiet, toTrouble, type Trouble } from '../lab-api';
import { agree } from './consent';
import { model } from './model.svelte';
import { run } from './run.svelte';
import { view } from './view.svelte';

/** null: the lab's own choice. */
export interface Make {
  dtype: Dtype | null;
  device: Device | null;
  /** Of a model of the hub that a link pins. */
  revision: string | null;
}
const ANY: Make = { dtype: null, device: null, revision: null };

class Compare {
  status: 'idle' | 'loading' | 'asking' = $state('idle');
  progress: Progress | null = $state.raw(null);
  trouble: Trouble | null = $state.raw(null);
  wanted: string | null = $state(null);
  make: Make = $state.raw(ANY);
  probes: Record<string, Probe[]> = $state.raw({});
  #lab: LabClient | null = null;
  #loaded = '';
  #turn = 0;

  /** What B has been asked: what A shows now, and the same in English where A has it. */
  #asked: Probe[] = $derived(this.wanted && run.shown ? (this.probes[key(this.wanted, this.make, run.shown.main)] ?? []) : []);
  /** B's probe of what A shows now. */
  b: Probe | null = $derived(this.#asked[0] ?? null);
  /** All of B's probes, the asked one first. */
  all: Probe[] = $derived(this.#asked);
  english: Probe | null = $derived(this.#asked.find((p) => p.ask.questionLanguage === 'en') ?? null);

  /** The loaded model's siblings in order: base, checkpoints, post-trained. */
  series: ModelCard[] = $derived.by(() => {
    const pair = run.shown?.main.model.card.pair ?? model.loaded?.card.pair;
    const stage = (c: ModelCard) => (c.stage === 'base' ? -1 : c.stage === 'checkpoint' ? (c.step ?? 0) : Infinity);
    return pair ? model.cards.filter((c) => c.pair === pair).sort((x, y) => stage(x) - stage(y)) : [];
  });

  /** @param make of the model chosen already, the file and device it has; of another, the lab's own choice */
  async choose(id: string, make: Partial<Make> = id === this.wanted ? this.make : ANY): Promise<void> {
    this.wanted = id;
    this.make = { ...ANY, ...make };
    const main = run.shown?.main;
    const card = model.cards.find((c) => c.ref.id === id);
    const slot = main && key(id, this.make, main);
    if (!main || !card || !slot || this.probes[slot]) return;
    const { device } = this.make;
    const english = run.probes.find((p) => p !== main && p.ask.questionLanguage === 'en');
    const turn = ++this.#turn;
    const mine = () => turn === this.#turn;
    this.trouble = null;
    this.status = 'loading';
    try {
      this.#lab ??= (await getLab()).another();
      const file = this.#file(id);
      if (this.#loaded !== file || !(await this.#lab.model())) {
        this.#loaded = '';
        const { ref } = await this.#lab.load(this.#ref(card), { device: device ?? view.device ?? undefined, onProgress: (p) => mine() && (this.progress = p) });
        agree(ref);
        if (!mine()) return;
        this.#loaded = file;
      }
      this.status = 'asking';
      const asks = english ? [main.ask, english.ask] : [main.ask];
      const probes: Probe[] = [];
      for (const ask of asks) {
        probes.push(await this.#lab.probe(ask, { states: false }));
        if (!mine()) return;
      }
      this.probes = { ...this.probes, [slot]: probes };
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
    const file = this.#file(card.ref.id);
    const lab = (this.#lab ??= (await getLab()).another());
    if (this.#loaded !== file || !(await lab.model())) {
      await lab.load(this.#ref(card), { device: this.make.device ?? view.device ?? undefined });
      this.#loaded = file;
    }
    return lab;
  }

  #ref(card: ModelCard): ModelRef {
    const { dtype, revision } = this.make;
    return { ...($state.snapshot(card.ref) as ModelRef), ...(dtype ? { dtype } : {}), ...(revision ? { revision } : {}) };
  }
  #file(id: string): string {
    const { dtype, device, revision } = this.make;
    return `${id} ${dtype} ${revision} ${device ?? view.device}`;
  }

  /** B as a record has it: its probe of what A shows now, and of the same in English where that was asked. */
  put(probes: Probe[]): void {
    const [first] = probes;
    if (!run.shown || !first) return;
    this.wanted = first.model.card.ref.id;
    this.make = { ...ANY, dtype: first.model.dtype, device: first.model.device };
    this.probes = { ...this.probes, [key(this.wanted, this.make, run.shown.main)]: probes };
  }

  /** Gives B's memory back. */
  close(): void {
    this.#turn++;
    this.#lab?.terminate();
    this.#lab = null;
    this.#loaded = '';
    this.wanted = null;
    this.make = ANY;
    this.probes = {};
    this.trouble = null;
    this.status = 'idle';
  }
}

const key = (id: string, { dtype, device, revision }: Make, p: Probe): string => `${id} ${dtype} ${device} ${revision} ${p.provenance.model} ${p.provenance.time}`;

export const compare = new Compare();
