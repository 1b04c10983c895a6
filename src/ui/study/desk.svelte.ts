/** The studies of this browser: the list, the one that is open, the one that runs. */
import { itemsOf, studyStore } from '../../lab-study';
import type { Summary } from '../../study/aggregate';
import { exportName } from '../../study/export';
import type { StudyDesign } from '../../study/design';
import type { StudyProgress } from '../../study/engine';
import { studyOffice, type Taken } from '../../study/office';
import type { StudyRun } from '../../study/session';
import type { StudyEntry } from '../../study/store';
import type { Item } from '../../types';
import { save } from '../figures/save';
import { getLab, toTrouble, type Trouble } from '../lab-api';
import { view } from '../state/view.svelte';
import { figuresOf } from './export-figures';
import { flag } from './flag.svelte';

class Desk {
  list: StudyEntry[] = $state.raw([]);
  page: 'list' | 'design' | 'study' = $state('list');
  design: StudyDesign | null = $state.raw(null);
  items: Item[] = $state.raw([]);
  summary: Summary | null = $state.raw(null);
  progress: StudyProgress | null = $state.raw(null);
  run: StudyRun | null = $state.raw(null);
  awake = $state(false);
  /** Why the screen may turn off after all. */
  awakeNote = $state('');
  taken: (Taken & { file: string })[] = $state.raw([]);
  packing = $state(false);
  trouble: Trouble | null = $state.raw(null);
  /** Grows with every correction, so that lists read anew. */
  edition = $state(0);
  #due: ReturnType<typeof setTimeout> | undefined;
  #summing = false;
  /** Something changed while a summary was being made. */
  #stale = false;

  /** Whether the open study is the one that runs. */
  live: boolean = $derived(this.run !== null && this.run.design.id === this.design?.id);

  async refresh(): Promise<void> {
    await this.#try(async () => {
      this.list = (await (await studyStore()).listStudies()).sort((a, b) => b.design.created.localeCompare(a.design.created));
    });
  }

  /** After a reload: goes on with the study that ran. A second tab leaves it to the first. */
  async comeBack(): Promise<void> {
    const id = flag.remembered();
    if (!id || this.run) return;
    const design = await (await studyStore()).getStudy(id).catch(() => null);
    if (!design) return flag.set(null);
    await this.go(design, true);
  }

  async open(design: StudyDesign): Promise<void> {
    this.trouble = null;
    this.design = design;
    this.page = 'study';
    this.summary = null;
    this.items = [];
    if (!this.live) this.progress = this.run ? this.progress : null;
    await this.sum();
    this.items = await itemsOf(await getLab(), design).catch(() => []);
  }

  /** Starts a study, or goes on with it. */
  async go(design: StudyDesign, quiet = false, retryFailed = false): Promise<void> {
    if (this.run) {
      this.trouble = { code: 'bad-input', message: `“${this.run.design.name}” is running.`, hint: 'Pause or cancel it first: two would only slow each other down.' };
      return;
    }
    this.trouble = null;
    try {
      const lab = await getLab();
      const run = await lab.study(design, {
        ...(view.device ? { device: view.device } : {}),
        awake: this.awake,
        retryFailed,
        onProgress: (p) => this.#report(design, p),
      });
      this.run = run;
      this.progress = run.progress;
      flag.set(design.id);
      void this.open(design);
      void run.finished.then(() => this.#ended(design));
    } catch (error) {
      if (quiet) flag.going = null;
      else this.trouble = toTrouble(error);
    }
  }

  /** Starts the running study anew, with what the page has been given since. */
  async again(design: StudyDesign): Promise<void> {
    const { run } = this;
    run?.cancel();
    await run?.finished;
    await this.go(design);
  }

  pause(): void {
    this.run?.pause();
  }
  resume(): void {
    this.run?.resume();
  }
  cancel(): void {
    this.run?.cancel();
  }

  async keepAwake(on: boolean): Promise<void> {
    this.awake = on;
    const got = this.run ? await this.run.keepAwake(on) : true;
    this.awakeNote = on && !got ? 'This browser does not let the page keep the screen on.' : '';
  }

  /** The summary anew; while a study runs, never more often than it takes ten times over. */
  async sum(): Promise<void> {
    const { design } = this;
    if (!design) return;
    if (this.#summing) {
      this.#stale = true;
      return;
    }
    this.#summing = true;
    this.#stale = false;
    const before = performance.now();
    await this.#try(async () => {
      const summary = await studyOffice.summary(design.id);
      if (this.design?.id === design.id) this.summary = summary;
    });
    this.#summing = false;
    if (this.#stale) return this.sum();
    clearTimeout(this.#due);
    if (this.live) this.#due = setTimeout(() => void this.sum(), Math.max(3000, (performance.now() - before) * 10));
  }

  async pack(): Promise<void> {
    const { design, summary } = this;
    if (!design) return;
    this.trouble = null;
    this.packing = true;
    await this.#try(async () => save(exportName(design), await studyOffice.pack(design.id, summary ? figuresOf(summary) : {})));
    this.packing = false;
  }

  /** Zips of this lab: added as studies, or put together with the open one. */
  async take(files: Iterable<File>, into: string | null = null): Promise<void> {
    this.trouble = null;
    for (const file of files) {
      await this.#try(async () => {
        if (file.size > 1e9) throw new Error(`${file.name} is larger than 1 GB.`);
        const taken = await studyOffice.take(new Uint8Array(await file.arrayBuffer()), into);
        this.taken = [...this.taken, { ...taken, file: file.name }];
      }, file.name);
    }
    await this.refresh();
    if (into !== null) await this.sum();
  }

  async remove(id: string): Promise<void> {
    this.trouble = null;
    await this.#try(async () => (await studyStore()).deleteStudy(id));
    if (this.design?.id === id) this.page = 'list';
    await this.refresh();
  }

  #report(design: StudyDesign, progress: StudyProgress): void {
    if (this.design?.id === design.id || this.run?.design.id === design.id) this.progress = progress;
    flag.percent = progress.total > 0 ? Math.floor((100 * progress.done) / progress.total) : null;
    if (progress.state === 'paused') flag.set(null);
    else if (progress.state === 'running' && this.run && flag.going !== design.id) flag.set(design.id);
  }

  #ended(design: StudyDesign): void {
    this.run = null;
    flag.set(null);
    if (this.design?.id === design.id) void this.sum();
    void this.refresh();
  }

  /** A trouble stays on screen until the reader does something else: what follows it by itself must not wipe it off. */
  async #try(work: () => Promise<void>, about = ''): Promise<void> {
    try {
      await work();
    } catch (error) {
      const trouble = toTrouble(error);
      this.trouble = about ? { ...trouble, message: `${about}: ${trouble.message}`, hint: trouble.code === 'internal' ? '' : trouble.hint } : trouble;
    }
  }
}

export const desk = new Desk();
