/**
 * The address: `#/probe?…` says what is on show. Named steps (a question asked, a view opened) are walked by back and forward;
 * exploring (layers, tokens) replaces. What a link asks for runs at once with a bundled model, and on the reader's word otherwise.
 */
import { compareWithLink, sketchProbe } from '../../share/provenance';
import { tokensHash } from '../../share/hash';
import { makeLink, needs, parseLink, type Need, type ProbeLink } from '../../share/link';
import type { Read } from '../../share/result';
import { items } from './items.svelte';
import { model } from './model.svelte';
import { prompt } from './prompt.svelte';
import { records } from './records.svelte';
import { run } from './run.svelte';
import { applyViewState, view, viewState } from './view.svelte';

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

  async read(): Promise<void> {
    const { hash } = location;
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
    if (ask) {
      if (ask.contextLanguage) view.contextLanguage = ask.contextLanguage;
      if (ask.questionLanguage) view.questionLanguage = ask.questionLanguage;
      view.mode = ask.kind;
      prompt.take(ask.prompt, ask.kind === 'text' ? ask : null);
      if (ask.kind === 'text') view.text = { context: ask.context, question: ask.question };
      else {
        view.item = ask.item;
        if (ask.set !== view.set || !items.current.length) await items.choose(ask.set, ask.item);
        if (turn !== this.#turn) return;
        if (items.current.length && view.item !== ask.item) {
          this.notes = [...this.notes, `The set “${ask.set}” has no item “${ask.item}”: the first one is shown.`];
          return;
        }
      }
    }
    if (link.device) view.device = link.device;
    if (link.recording) await records.show(link.recording);
    this.needs = needs(link);
    // walking back to what is still on show asks nothing again
    const same = run.current && run.shown?.source === 'live' && (!link.models[0] || link.models[0].id === run.shown.main.model.ref.id);
    if (!this.needs.length && ask && !same) await this.run();
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
    if (ref && (ref.id !== here?.ref.id || (ref.dtype && ref.dtype !== here.dtype))) {
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
      const { text } = compareWithLink(link, run.shown.main);
      if (text) this.notes = [...this.notes, text];
    }
    for (const l of link.languages ?? []) if (l !== 'en' && l !== view.questionLanguage) return void run.compare();
  }

  /** The link to what is on show. */
  make(hide: string[] = []): Read<string> {
    const main = run.shown?.main;
    const sketch = main ? sketchProbe(main) : null;
    const how = { contextLanguage: view.contextLanguage, questionLanguage: view.questionLanguage, ...(prompt.options ? { prompt: prompt.options } : {}) };
    const ask: ProbeLink['ask'] =
      view.mode === 'text'
        ? { kind: 'text', ...$state.snapshot(view.text), ...how }
        : view.item
          ? { kind: 'item', set: view.set, item: view.item, ...how }
          : null;
    const loaded = main?.model ?? model.loaded;
    return makeLink(
      {
        version: 1,
        ask,
        models: loaded ? [{ ...loaded.ref, revision: loaded.provenance.revision, dtype: loaded.dtype }] : [],
        ...(view.device ? { device: view.device } : {}),
        ...(run.shown && run.shown.others.length > 1 ? { languages: run.shown.others.flatMap((p) => p.ask.questionLanguage ?? []) } : {}),
        ...(main ? { tokens: tokensHash(main.tokens.filter((t) => t.group !== 'answer')) } : {}),
        ...(sketch ? { sketch } : {}),
        view: { ...viewState(), ...(hide.length ? { hide } : {}) },
      },
      address(),
    );
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
