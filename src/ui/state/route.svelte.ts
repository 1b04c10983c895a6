/**
 * The address: `#/probe?…` says what is on show. Named steps (a question asked, a view opened) are walked by back and forward;
 * exploring (layers, tokens) replaces. What a link asks for runs at once with a bundled model, and on the reader's word otherwise.
 */
import { compareWithLink, sketchProbe } from '../../share/provenance';
import { tokensHash } from '../../share/hash';
import { makeLink, needs, parseLink, type Need, type ProbeLink } from '../../share/link';
import type { Read } from '../../share/result';
import type { LabRecord } from '../../share/record';
import { choice } from '../mechanism/choice.svelte';
import { mechanismView } from '../mechanism/on-show.svelte';
import { compare } from './compare.svelte';
import { items } from './items.svelte';
import { model } from './model.svelte';
import { plane } from './plane.svelte';
import { prompt } from './prompt.svelte';
import { records } from './records.svelte';
import { run } from './run.svelte';
import { applyViewState, englishWording, goldAnswer, view, viewState } from './view.svelte';

class Route {
  /** Why the address could not be followed, or what was changed in following it. */
  notes: string[] = $state.raw([]);
  /** What running the link would fetch: asked before it is. */
  needs: Need[] = $state.raw([]);
  #link: ProbeLink | null = null;
  #last = '';
  #turn = 0;
  #timer: ReturnType<typeof setTimeout> | undefined;

  /** Reads the address once, then keeps it. */
  start(): void {
    addEventListener('popstate', () => void this.read());
    void this.read();
  }

  get opened(): boolean {
    return this.#link !== null;
  }

  /** What `lab.open` does on a page: goes there as a click on the link would, and waits until it is on show. */
  async open(hash: string, consent: boolean): Promise<LabRecord | null> {
    if (hash !== location.hash) history.pushState(null, '', hash);
    this.#last = '';
    // not the address bar's: a browser may refuse to follow many changes in short time
    await this.read(hash, consent);
    const trouble = model.trouble ?? run.trouble;
    if (trouble) throw Object.assign(new Error(trouble.message), trouble);
    return this.needs.length ? null : records.record();
  }

  /** @param consent the reader has agreed to what running the link downloads */
  async read(hash = location.hash, consent = false): Promise<void> {
    if (!hash.startsWith('#/') || hash === this.#last) return;
    this.#last = hash;
    clearTimeout(this.#timer);
    const turn = ++this.#turn;
    const read = parseLink(hash);
    this.notes = read.ok ? read.remarks : [read.message];
    this.needs = [];
    if (!read.ok) return;
    const link = (this.#link = read.value);
    const { ask } = link;
    // at once: what a slide leaves out must not flash up while the items come
    applyViewState(link.view);
    // before a model is chosen for want of a word
    if (link.device) view.device = link.device;
    if (ask) {
      if (ask.contextLanguage) view.contextLanguage = ask.contextLanguage;
      if (ask.questionLanguage) view.questionLanguage = ask.questionLanguage;
      view.mode = ask.kind;
      prompt.take(ask.prompt, ask.kind === 'text' ? ask : null);
      if (ask.kind === 'text') {
        const { context, question, answer } = ask;
        view.text = { context, question };
        view.gold = answer ? { context, question, answer } : null;
        view.english = ask.english ?? '';
      } else {
        view.item = ask.item;
        if (ask.set !== view.set || !items.current.length) await items.choose(ask.set, ask.item);
        if (turn !== this.#turn) return;
        if (items.current.length && view.item !== ask.item) {
          this.notes = [...this.notes, `The set “${ask.set}” has no item “${ask.item}”: the first one is shown.`];
          return;
        }
      }
    }
    if (link.recording) {
      const there = await records.show(link.recording, !ask);
      if (turn !== this.#turn) return;
      if (there) applyViewState(link.view);
      else this.notes = [...this.notes, `No recording “${link.recording}” ships with this build.`];
    }
    this.needs = consent ? [] : needs(link);
    if (this.needs.length || !ask) return;
    // walking back to what is still on show asks nothing again
    const same = run.current && run.shown?.source === 'live' && (!link.models[0] || link.models[0].id === run.shown.main.model.ref.id);
    if (same) await this.#second(link);
    else await this.run();
  }

  /** Loads what the link names and asks what it asks. */
  async run(): Promise<void> {
    const link = this.#link;
    const turn = this.#turn;
    const stale = () => turn !== this.#turn;
    this.needs = [];
    if (!link?.ask) return;
    const [ref] = link.models;
    const here = model.loaded;
    if (view.device === 'webgpu' && model.capabilities?.webgpu === false) {
      view.device = null;
      this.notes = [...this.notes, `The link was made on WebGPU, which cannot be used here: ${model.capabilities.webgpuReason}. WASM runs instead.`];
    }
    const elsewhere = link.device !== undefined && view.device === link.device && here !== null && here.device !== link.device;
    if (ref && (elsewhere || ref.id !== here?.ref.id || (ref.dtype && ref.dtype !== here.dtype))) {
      // a bundled model of another revision is not fetched from anywhere: this build's own is taken, and the difference is said
      if (ref.id.startsWith('bundled:')) await model.load({ id: ref.id, ...(ref.dtype ? { dtype: ref.dtype } : {}) });
      else await model.load(ref);
    } else await model.settled();
    if (!model.loaded || stale()) return;
    if (ref?.revision && ref.revision !== model.loaded.provenance.revision)
      this.notes = [...this.notes, 'The link was made with another revision of this model.'];
    await run.go(false);
    if (stale()) return;
    applyViewState(link.view);
    if (run.shown?.source === 'live' && (link.tokens || link.sketch)) {
      run.agreement = compareWithLink(link, run.shown.main).text || null;
    }
    if (link.languages?.some((l) => l !== 'en' && l !== view.questionLanguage)) await run.compare();
    if (!stale()) await this.#second(link);
    // over many items: at once with a bundled model; with another it takes long, and the reader's click starts it
    if (!stale() && model.loaded.card.bundled) choice.again();
  }

  /** The reader's word against `needs`: the question stays, to be asked of the model that is here. */
  stay(): void {
    this.needs = [];
    this.#link = null;
  }

  /** Slot B, where the link has one. */
  async #second({ models: [, b], device, deviceB }: ProbeLink): Promise<void> {
    if (!b) return;
    // a bundled model is this build's own; any other is the very one that the link names
    if (!b.id.startsWith('bundled:')) compare.name(b);
    else if (!model.cards.some((c) => c.ref.id === b.id)) {
      this.notes = [...this.notes, `The second model, ${b.id}, is not among those this lab can set beside the first: choose one under “Compare models”.`];
      return;
    }
    const on = deviceB ?? device ?? null;
    await compare.choose(b.id, { dtype: b.dtype ?? null, device: on === 'webgpu' && model.capabilities?.webgpu === false ? null : on });
  }

  /** The link to what is on show. */
  make(hide: string[] = []): Read<string> {
    const main = run.shown?.main;
    const sketch = main ? sketchProbe(main) : null;
    const how = { contextLanguage: view.contextLanguage, questionLanguage: view.questionLanguage, ...(prompt.options ? { prompt: prompt.options } : {}) };
    const answer = goldAnswer();
    const english = englishWording();
    const ask: ProbeLink['ask'] =
      view.mode === 'text'
        ? { kind: 'text', ...$state.snapshot(view.text), ...(answer ? { answer } : {}), ...(english ? { english } : {}), ...how }
        : view.item
          ? { kind: 'item', set: view.set, item: view.item, ...how }
          : null;
    const loaded = main?.model ?? model.loaded;
    const b = compare.b?.model;
    const apart = b !== undefined && loaded !== null && b.device !== loaded.device;
    const recording = records.showing;
    return makeLink(
      {
        version: 1,
        ask,
        models: [loaded, b].flatMap((m) => (m ? [{ ...m.ref, revision: m.provenance.revision, dtype: m.dtype }] : [])),
        // the opener's machine chooses, unless the reader has chosen or the two slots differ in it
        ...(apart ? { device: loaded.device, deviceB: b.device } : view.device ? { device: view.device } : {}),
        ...(recording ? { recording } : {}),
        ...(run.shown && run.shown.others.length > 1 ? { languages: run.shown.others.flatMap((p) => p.ask.questionLanguage ?? []) } : {}),
        ...(main ? { tokens: tokensHash(main.tokens.filter((t) => t.group !== 'answer')) } : {}),
        ...(sketch ? { sketch } : {}),
        view: { ...viewState(), ...mechanismView(), ...plane.seen(), ...(hide.length ? { hide } : {}) },
      },
      address(),
    );
  }

  /** The reader's own run has come: a step, and what it says of a record that was open. */
  done(): void {
    if (!this.#asksSame()) choice.forget();
    run.agreement = records.difference();
    this.step();
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
    const made = this.make(view.hide);
    if (!made.ok || made.value === this.#last) return;
    clearTimeout(this.#timer);
    this.#last = made.value;
    history.pushState(null, '', made.value);
  }

  /** Exploring: the address follows, history does not grow. */
  follow(): void {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => {
      const made = this.make(view.hide);
      if (!made.ok || made.value === this.#last) return;
      this.#last = made.value;
      history.replaceState(null, '', made.value);
    }, 300);
  }
}

export const address = (): string => location.href.split('#')[0];
export const route = new Route();
