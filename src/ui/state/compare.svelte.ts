/**
 * A second slot, B: another model, or another file or device of the same one, in a worker of its own, asked the very same. Probes
 * are kept per model, so that a series can be scrubbed.
 */
import type { LabClient } from '../../lab-client';
import type { Device, Dtype, ModelCard, ModelRef, Probe, Progress } from '../../types';
import type { Calls } from '../../wire';
import { getLab, isQuiet, toTrouble, type Trouble } from '../lab-api';
import { agree } from './consent';
import { model } from './model.svelte';
import { run } from './run.svelte';
import { view } from './view.svelte';

export interface Make {
  /** null: A's kind of file where B has one, so that what is compared is training and not rounding; else what suits the device. */
  dtype: Dtype | null;
  /** null: the lab's own choice. */
  device: Device | null;
}
const ANY: Make = { dtype: null, device: null };

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
  /** Models as the reader or a link named them: of any host, at any revision. */
  #named: Record<string, ModelRef> = $state.raw({});

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

  /** B stands on the way from A's base to its post-trained end, or is one of them. */
  along: boolean = $derived(this.series.length > 2 && this.series.some((c) => c.ref.id === this.wanted));
  /** Every model that has been asked what A shows now. */
  kept: Probe[] = $derived.by(() => {
    const main = run.shown?.main;
    return main ? Object.entries(this.probes).flatMap(([slot, [first]]) => (slot.endsWith(askedOf(main)) ? [first] : [])) : [];
  });

  /** From now on its id means this very one, in the catalogue or not. */
  name(ref: ModelRef): void {
    if (JSON.stringify(this.#named[ref.id]) === JSON.stringify(ref)) return;
    this.#named = { ...this.#named, [ref.id]: ref };
    this.probes = Object.fromEntries(Object.entries(this.probes).filter(([slot]) => !slot.startsWith(`${ref.id} `)));
  }
  #ref(id: string | null): ModelRef | null {
    return (id !== null && this.#named[id]) || (model.cards.find((c) => c.ref.id === id)?.ref ?? null);
  }

  /** @param make of the model chosen already, the file and device it has; of another, what goes with A */
  async choose(id: string, make: Partial<Make> = id === this.wanted ? this.make : ANY): Promise<void> {
    this.wanted = id;
    this.make = { ...ANY, ...make };
    const main = run.shown?.main;
    const ref = this.#ref(id);
    const slot = main && key(id, this.make, main);
    if (!main || !ref || !slot || this.probes[slot]) return;
    const english = run.probes.find((p) => p !== main && p.ask.questionLanguage === 'en');
    const turn = ++this.#turn;
    const mine = () => turn === this.#turn;
    this.trouble = null;
    this.status = 'loading';
    try {
      this.#lab ??= (await getLab()).another();
      await this.#load(this.#lab, ref, main, { onProgress: (p) => mine() && (this.progress = p) }, mine);
      if (!mine()) return;
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
    const ref = this.#ref(this.wanted);
    const main = run.shown?.main;
    if (!ref || !main) return null;
    const lab = (this.#lab ??= (await getLab()).another());
    await this.#load(lab, ref, main, {});
    return lab;
  }

  /** The very file, unless it is there already. */
  async #load(lab: LabClient, ref: ModelRef, main: Probe, calls: Calls, mine = () => true): Promise<void> {
    const device = this.make.device ?? view.device ?? undefined;
    const dtype = this.make.dtype ?? ((await filesOf(ref, device)).includes(main.model.dtype) ? main.model.dtype : undefined);
    if (!mine()) return;
    const file = [ref.host, ref.id, ref.revision, dtype ?? ref.dtype, device].join(' ');
    if (this.#loaded === file && (await lab.model())) return;
    this.#loaded = '';
    agree((await lab.load({ ...$state.snapshot(ref), ...(dtype ? { dtype } : {}) }, { device, ...calls })).ref);
    if (mine()) this.#loaded = file;
  }

  /** B as a record has it: its probe of what A shows now, and of the same in English where that was asked. */
  put(probes: Probe[]): void {
    const [first] = probes;
    if (!run.shown || !first) return;
    this.wanted = first.model.card.ref.id;
    this.make = { dtype: first.model.dtype, device: first.model.device };
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

/** The kinds of file that a model has and that run here: of one that ships they are listed, another's host is asked. */
async function filesOf(ref: ModelRef, device: Device | undefined): Promise<Dtype[]> {
  const card = model.cards.find((c) => c.ref.id === ref.id && c.ref.host === ref.host);
  if (card?.bundled) return Object.keys(card.bytes);
  const options = await (await getLab()).options($state.snapshot(ref), { device });
  return options.filter((o) => o.refused === null).map((o) => o.dtype);
}

const askedOf = ({ provenance }: Probe): string => ` ${provenance.model} ${provenance.time}`;
const key = (id: string, { dtype, device }: Make, p: Probe): string => `${id} ${dtype} ${device}${askedOf(p)}`;

export const compare = new Compare();
