/**
 * The address: `#/probe?…` says what is on show. What is on show has an entry in history of its own, and so has a view that is
 * opened: back and forward walk these; exploring (layers, tokens) replaces the entry. What a link asks for runs at once with a bundled
 * model, and on the reader's word otherwise.
 */
import { LINK_LIMIT, makeLink, parseLink, READ_LIMIT, type LinkAsk, type ProbeLink } from '../../share/link';
import { isModel, modelNeed, needs, setNeed, type Need } from '../../share/needs';
import { compareWithLink } from '../../share/provenance';
import type { LabRecord } from '../../share/record';
import type { Read } from '../../share/result';
import type { Probe } from '../../types';
import { getLab, isQuiet, toTrouble, type Trouble } from '../lab-api';
import { choice } from '../mechanism/choice.svelte';
import { alignment } from './alignment.svelte';
import { agree, hasAgreed } from './consent';
import { compare } from './compare.svelte';
import { Entry } from './entry';
import { here } from './here';
import { items } from './items.svelte';
import { model } from './model.svelte';
import { prompt } from './prompt.svelte';
import { records } from './records.svelte';
import { run } from './run.svelte';
import { apply } from './seen';
import { view, viewState } from './view.svelte';

/** Why a link was not followed to its end; null: it was. */
type Fault = Trouble | null;
/** What the page begins with; what the reader has opened meanwhile stays open. */
const DEFAULT = { controls: true, view: 'as it is' } as const;
const fault = (code: Trouble['code'], message: string, hint = ''): Trouble => ({ code, message, hint });

class Route {
  /** Why the address could not be followed, or what was changed in following it. */
  notes: string[] = $state.raw([]);
  /** What running the link would fetch: asked before it is. */
  needs: Need[] = $state.raw([]);
  /** An item set on its way, in words. */
  fetching: string | null = $state(null);
  #link: ProbeLink | null = null;
  readonly #entry = new Entry();
  /** On its way to where a link points: until then the address is the link. */
  #going = false;
  #turn = 0;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #abort: AbortController | null = null;

  /** Reads the address, then keeps it. */
  start(): void {
    window.addEventListener('popstate', (e) => void this.read(location.hash, { state: e.state }));
    if (location.hash.startsWith('#/')) return void this.read();
    this.#entry.to('');
    void records.start(DEFAULT);
  }

  /** What `lab.open` does on a page: goes there as a click on the link would, and waits until it is on show. */
  async open(link: string, consent: boolean): Promise<{ record: LabRecord | null; needs: Need[] }> {
    const hash = link.replace(/^#?\/?/, '#/');
    if (hash !== location.hash) history.pushState(null, '', hash);
    this.#entry.leave();
    // not the address bar's: a browser may refuse to follow many changes in short time
    const failed = await this.read(hash, { consent });
    if (failed) throw Object.assign(new Error(failed.message), failed);
    return { record: this.needs.length ? null : await records.record(), needs: this.needs };
  }

  /**
   * @param how.consent the reader has agreed to what running the link downloads
   * @param how.state of the entry in history that was walked to
   */
  async read(hash = location.hash, { consent = false, state = null as unknown } = {}): Promise<Fault> {
    // any other hash is a place on the page
    if (!(hash === '' || hash.startsWith('#/')) || !this.#entry.to(hash)) return null;
    this.notes = [];
    this.needs = [];
    this.#link = null;
    if (run.status === 'answering') run.stop();
    const still = this.#entry.still(state);
    return this.#arrive((stale) => (hash === '' ? this.#rest(still) : this.#follow(hash, consent, still, stale)));
  }

  /** Back to the page's own address: the recording that it begins with. */
  async #rest(still: boolean): Promise<Fault> {
    const [first] = records.shelf;
    if (still || !first) apply({});
    else await records.show(first.id, { controls: true, view: {} });
    return null;
  }

  /** @param still what the entry in history showed is still on show */
  async #follow(hash: string, consent: boolean, still: boolean, stale: () => boolean): Promise<Fault> {
    const read = parseLink(hash);
    this.notes = read.ok ? read.remarks : [read.message];
    if (!read.ok) {
      void records.start(DEFAULT);
      return fault('bad-input', read.message);
    }
    const link = (this.#link = read.value);
    const { ask, recording } = link;
    // at once: what a slide leaves out must not flash up while the items come
    apply(link.view);
    // before a model is chosen for want of a word
    if (link.device) view.device = link.device;
    const lacking = ask && (await this.#choose(ask));
    if (stale()) return null;
    if (recording && records.showing !== recording) {
      const failed = await records.show(recording, { controls: !ask, view: link.view });
      if (stale()) return null;
      if (failed) return failed === records.trouble ? fault('not-found', failed) : this.#say(fault('not-found', failed));
    }
    if (!ask && !recording) await records.start(DEFAULT);
    const set = lacking && !still && ask?.kind === 'item' ? await this.#home(ask.set) : null;
    if (stale()) return null;
    if (lacking && !still && !set) return this.#say(lacking);
    this.needs = [...(set ? [set] : []), ...needs(link).filter((n) => !met(n))];
    if (this.needs.length > 0 && !consent) return null;
    if (this.needs.length === 0 && (still || !ask || this.#same(link))) return this.#beside(link, still, stale);
    return this.#run(link, stale);
  }

  #say(why: Trouble): Fault {
    if (!this.notes.includes(why.message)) this.notes = [...this.notes, why.hint ? `${why.message} ${why.hint}` : why.message];
    return why;
  }

  /** Sets the controls to what a link asks; why its item is not there. */
  async #choose(ask: LinkAsk): Promise<Fault> {
    view.mode = ask.kind;
    if (ask.kind === 'text') {
      const { context, question, answer } = ask;
      view.contextLanguage = ask.contextLanguage ?? 'en';
      view.questionLanguage = ask.questionLanguage ?? 'en';
      view.text = { context, question };
      view.gold = answer ? { context, question, answer } : null;
      view.english = ask.english ?? '';
      prompt.take(ask.prompt, ask);
      return null;
    }
    view.contextLanguage = ask.contextLanguage;
    view.questionLanguage = ask.questionLanguage;
    await items.choose(ask.set, ask.item);
    prompt.take(ask.prompt, prompt.texts);
    if (items.trouble) return items.trouble;
    return view.item === ask.item ? null : fault('not-found', `The set “${ask.set}” has no item “${ask.item}”: the first one is shown.`);
  }

  /** Where a set that is not at hand can be fetched; null where that is not known. */
  async #home(set: string): Promise<Need | null> {
    if (set !== 'xquad' || items.current.length > 0) return null;
    const { XQUAD_BYTES, XQUAD_HOST } = await import('../../study/xquad');
    return setNeed(set, XQUAD_HOST, XQUAD_BYTES);
  }

  /** Whether the reader's own run on show is what the link asks: walking back to it asks nothing again. */
  #same({ models: [ref], device }: ProbeLink): boolean {
    const { shown } = run;
    if (!run.current || shown?.source !== 'live') return false;
    const { model: there } = shown.main;
    return (!ref || isModel(ref, there.ref)) && (!device || device === there.device || (device === 'webgpu' && model.capabilities?.webgpu === false));
  }

  /** The reader's word on `needs`. */
  run(): Promise<Fault> {
    const link = this.#link;
    return this.#arrive(async (stale) => (link ? this.#run(link, stale) : null));
  }

  /** The reader's word against `needs`: the question stays, to be asked of the model that is here. */
  stay(): void {
    this.needs = [];
    this.#link = null;
    this.#write(false);
  }

  /** Loads what the link names and asks what it asks. */
  async #run(link: ProbeLink, stale: () => boolean): Promise<Fault> {
    const wanted = this.needs;
    this.needs = [];
    for (const need of wanted) if (need.kind === 'download') agree(need.model);
    if (wanted.some((n) => n.kind === 'set') && link.ask) {
      const failed = (await this.#fetch()) ?? (await this.#choose(link.ask));
      if (stale()) return null;
      if (failed) {
        this.needs = wanted;
        return isQuiet(failed) ? failed : this.#say(failed);
      }
    }
    if (!link.ask) return this.#beside(link, false, stale);
    const before = viewState();
    const [ref] = link.models;
    const at = model.loaded;
    if (view.device === 'webgpu' && model.capabilities?.webgpu === false) {
      view.device = null;
      this.notes = [...this.notes, `The link was made on WebGPU, which cannot be used here: ${model.capabilities.webgpuReason}. WASM runs instead.`];
    }
    const elsewhere = link.device !== undefined && view.device === link.device && at !== null && at.device !== link.device;
    // a bundled model of another revision is not fetched from anywhere: this build's own is taken, and the difference is said
    if (ref && (!at || elsewhere || !isModel(ref, at.ref))) await model.load(ref.id.startsWith('bundled:') ? { id: ref.id, ...(ref.dtype ? { dtype: ref.dtype } : {}) } : ref);
    else await model.settled();
    if (stale()) return null;
    if (!model.loaded) return model.trouble ?? fault('no-model', 'No model is loaded.');
    await run.go(false);
    if (stale()) return null;
    if (!run.answer) return run.trouble ?? fault('cancelled', 'The run was stopped.');
    apply(link.view, before);
    const failed = await this.#beside(link, false, stale);
    if (!stale() && model.loaded?.card.bundled) choice.again();
    return failed;
  }

  async #fetch(): Promise<Fault> {
    const abort = (this.#abort = new AbortController());
    this.fetching = 'Fetching XQuAD…';
    try {
      const { bringXquad } = await import('../../study/xquad');
      await bringXquad({ signal: abort.signal, onBytes: (done, total) => (this.fetching = `Fetching XQuAD: ${(done / 1e6).toFixed(1)} of ${(total / 1e6).toFixed(1)} MB`) });
      return null;
    } catch (error) {
      return toTrouble(error);
    } finally {
      this.fetching = null;
    }
  }

  cancel(): void {
    this.#abort?.abort();
  }

  /** What stands beside the main run: how it compares with the link's own, the other languages, slot B. */
  async #beside(link: ProbeLink, still: boolean, stale: () => boolean): Promise<Fault> {
    const main = run.shown?.main;
    // a model that cannot be looked into has answered, and what is drawn is of something else
    if (!main || run.answer !== main.answer) return null;
    if (link.ask && !still) {
      run.agreement = link.tokens || link.sketch ? compareWithLink(link, main).text || null : null;
      this.notes = [...this.notes, ...trainedAnew(link.models[0], main)];
    }
    const known = run.probes.map((p) => p.ask.questionLanguage);
    if (link.ask && link.languages?.some((l) => !known.includes(l))) await run.compare(link.languages);
    if (stale()) return null;
    // over many items: at once with a bundled model; with another it takes long, and the reader's click starts it
    if (!still && link.ask && model.loaded?.card.bundled) alignment.again();
    const { models: [, b], device, deviceB } = link;
    if (!b) return null;
    // a bundled model is this build's own; any other is the very one that the link names
    if (!b.id.startsWith('bundled:')) compare.name(b);
    else if (!model.cards.some((c) => c.ref.id === b.id)) {
      this.notes = [...this.notes, `The second model, ${b.id}, is not among those this lab can set beside the first: choose one under “Compare models”.`];
      return null;
    }
    const on = deviceB ?? device ?? null;
    await compare.choose(b.id, { dtype: b.dtype ?? null, device: on === 'webgpu' && model.capabilities?.webgpu === false ? null : on });
    if (!stale() && compare.b && !still) this.notes = [...this.notes, ...trainedAnew(b, compare.b)];
    return null;
  }

  /** Asks the hosts that a link names how much running it downloads: on the reader's word, for they hear of it. */
  async measure(): Promise<void> {
    const turn = this.#turn;
    try {
      const lab = await getLab();
      const sized = await Promise.all(
        this.needs.map(async (need) => {
          if (need.kind !== 'download' || need.bytes !== null) return need;
          const options = await lab.options($state.snapshot(need.model), { device: view.device ?? undefined });
          const file = options.find((o) => (need.model.dtype ? o.dtype === need.model.dtype : o.chosen !== null));
          return file?.bytes ? modelNeed(need.model, file.bytes) : need;
        }),
      );
      if (turn === this.#turn) this.needs = sized;
    } catch (error) {
      if (turn === this.#turn) this.#say(toTrouble(error));
    }
  }

  /** The link to what is on show. */
  make(hide: readonly string[] = [], limit = LINK_LIMIT): Read<string> {
    return makeLink(here(hide), address(), limit);
  }

  /** The reader's own run has come: what it says of a record that was open. */
  done(): void {
    if (!this.#asksSame()) choice.forget();
    run.agreement = records.difference();
    this.notes = [];
    this.needs = [];
    this.#link = null;
    this.#write(false);
  }

  /** The reader has asked what the link asks: what else the link wants is still due. */
  #asksSame(): boolean {
    const [there, here] = [this.#link?.ask, run.asked];
    if (!there || !here || there.questionLanguage !== here.questionLanguage || there.contextLanguage !== here.contextLanguage) return false;
    if (there.kind === 'text') return !('item' in here) && here.context === there.context && here.question === there.question;
    return 'item' in here && (typeof here.item === 'string' ? here.item : here.item.id) === there.item;
  }

  /** A step that back returns from. */
  step(): void {
    this.#write(true);
  }

  /** Exploring: the address follows, history does not grow. */
  follow(): void {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#write(false), 500);
  }

  #write(step: boolean): void {
    clearTimeout(this.#timer);
    if (this.#going || this.needs.length > 0) return;
    const made = this.make(view.hide, READ_LIMIT);
    if (made.ok) this.#entry.write(made.value, step);
  }

  /** Only the latest way counts; the address waits until it has come to its end. */
  async #arrive(work: (stale: () => boolean) => Promise<Fault>): Promise<Fault> {
    clearTimeout(this.#timer);
    const turn = ++this.#turn;
    this.#going = true;
    const failed = await work(() => turn !== this.#turn).catch(toTrouble);
    if (turn !== this.#turn) return fault('superseded', 'Another link was opened meanwhile.');
    this.#going = false;
    this.#write(false);
    return failed;
  }
}

/** Needs that the loaded model meets, or that the reader has agreed to before in this session. */
function met(need: Need): boolean {
  if (need.kind === 'set') return false;
  return (need.kind === 'download' && hasAgreed(need.model)) || (model.loaded !== null && isModel(need.model, model.loaded.ref));
}

/** A bundled model has its files' hash for a revision; links of before had only the word. */
function trainedAnew(ref: ProbeLink['models'][number] | undefined, { provenance }: Probe): string[] {
  if (!ref?.revision || ref.revision === 'bundled' || ref.revision === provenance.revision || !ref.id.startsWith('bundled:')) return [];
  return [`The link was made with another training of ${ref.id} (${ref.revision}); this page has ${provenance.revision}.`];
}

export const address = (): string => location.href.split('#')[0];
export const route = new Route();
