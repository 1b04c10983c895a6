/** The loaded model: what it is, what is on its way, what went wrong. The latest load wins. */
import type { Capabilities, LoadedModel, ModelCard, ModelRef, Progress } from '../../types';
import { getLab, isQuiet, toTrouble, type Trouble } from '../lab-api';
import { agree } from './consent';
import { view } from './view.svelte';

type Status = 'idle' | 'asking' | 'loading' | 'ready' | 'failed';

/** True where the reader should be asked before megabytes are fetched. */
function metered(): boolean {
  const c = (navigator as Navigator & { connection?: { saveData?: boolean; effectiveType?: string; type?: string } }).connection;
  return !!c && (c.saveData === true || c.type === 'cellular' || /(^|-)2g$|^3g$/.test(c.effectiveType ?? ''));
}

class Model {
  status: Status = $state('idle');
  capabilities: Capabilities | null = $state.raw(null);
  cards: ModelCard[] = $state.raw([]);
  /** What is wanted; `loaded` is what is there. */
  wanted: ModelRef | string | null = $state.raw(null);
  progress: Progress | null = $state.raw(null);
  loaded: LoadedModel | null = $state.raw(null);
  trouble: Trouble | null = $state.raw(null);
  /** Whether the next load keeps float activations under 4-bit products. */
  precise = $state(false);
  /** The other device's word on the loaded model, while it is being asked for and after. */
  comparing = $state(false);
  comparison: Trouble | null = $state.raw(null);
  #listening = false;
  #turn = 0;
  #abort: AbortController | null = null;

  card: ModelCard | null = $derived.by(() => {
    const id = typeof this.wanted === 'string' ? this.wanted : this.wanted?.id;
    return this.cards.find((c) => c.ref.id === id) ?? null;
  });
  name: string = $derived(this.card?.title ?? (typeof this.wanted === 'string' ? this.wanted : (this.wanted?.id ?? 'model')));
  bundled: ModelCard[] = $derived(this.cards.filter((c) => c.bundled));

  start(): Promise<void> {
    return (this.#coming = this.#start());
  }

  async #start(): Promise<void> {
    this.trouble = null;
    this.status = 'idle';
    try {
      const lab = await getLab();
      if (!this.#listening) lab.on('lost', (error) => this.#fail(error));
      this.#listening = true;
      [this.capabilities, this.cards] = await Promise.all([lab.capabilities(), lab.models()]);
      const first = this.bundled.find((c) => c.stage === 'post-trained') ?? this.bundled[0];
      if (!first || this.wanted) return;
      this.wanted = first.ref;
      if (metered()) this.status = 'asking';
      else await this.#load(first.ref, false);
    } catch (error) {
      this.#fail(error);
    }
  }

  #coming: Promise<void> | null = null;

  /** @param compareFile with the untouched file, however large; default: where that is quickly done */
  load(ref: ModelRef | string | null = this.wanted, precise = ref === this.wanted && this.precise, compareFile?: boolean): Promise<void> {
    return (this.#coming = ref ? this.#load(ref, precise, compareFile) : this.start());
  }

  async #load(ref: ModelRef | string, precise: boolean, compareFile?: boolean): Promise<void> {
    const turn = ++this.#turn;
    this.#abort?.abort();
    const abort = (this.#abort = new AbortController());
    this.wanted = ref;
    this.precise = precise;
    this.comparison = null;
    this.status = 'loading';
    this.trouble = null;
    this.loaded = null;
    this.progress = { phase: 'resolve', done: 0, total: null, rate: null };
    try {
      const lab = await getLab();
      const loaded = await lab.load($state.snapshot(ref) as ModelRef | string, {
        device: view.device ?? undefined,
        precise,
        compareFile,
        signal: abort.signal,
        onProgress: (p) => {
          if (turn === this.#turn) this.progress = p;
        },
      });
      agree(loaded.ref);
      if (turn !== this.#turn) return;
      this.loaded = loaded;
      this.status = 'ready';
    } catch (error) {
      if (turn === this.#turn) this.#fail(error);
    } finally {
      if (turn === this.#turn) this.progress = null;
    }
  }

  /** The loaded model on the other device, layer by layer; what is found joins the self-test and every record from now on. */
  async compareDevices(): Promise<void> {
    const { loaded } = this;
    if (!loaded || this.comparing) return;
    this.comparing = true;
    this.comparison = null;
    try {
      const selfTest = await (await getLab()).compareDevices();
      if (this.loaded === loaded) this.loaded = { ...loaded, selfTest, provenance: { ...loaded.provenance, selfTest } };
    } catch (error) {
      const trouble = toTrouble(error);
      if (this.loaded === loaded && !isQuiet(trouble)) this.comparison = trouble;
    } finally {
      this.comparing = false;
    }
  }

  /** When what is being loaded has come, or has failed. */
  async settled(): Promise<void> {
    await this.#coming?.catch(() => undefined);
  }

  cancel(): void {
    this.#turn++;
    this.#abort?.abort();
    this.progress = null;
    this.status = 'asking';
  }

  #fail(error: unknown): void {
    const trouble = toTrouble(error);
    if (isQuiet(trouble)) return;
    this.loaded = null;
    this.progress = null;
    this.status = 'failed';
    this.trouble = trouble;
  }
}

export const model = new Model();
