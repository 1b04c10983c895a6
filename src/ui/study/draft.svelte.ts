/** The study being designed: what is chosen, what it amounts to, how long it would take. */
import { calibrate, type StudyEstimate } from '../../study/calibrate';
import { cells, designProblems, pairs, type Measure, type StudyDesign } from '../../study/design';
import { LANGUAGES, type Language, type Scenario } from '../../types';
import { CORRECT_F1 } from '../../xmrc/errors';
import { sampleItems } from '../../xmrc/items';
import { getLab, isQuiet, toTrouble, type Trouble } from '../lab-api';
import { view } from '../state/view.svelte';
import { candidates } from './candidates.svelte';
import { sets } from './sets.svelte';

export const SCENARIOS: [Scenario, string][] = [
  ['en-en', 'everything in English'],
  ['en-x', 'English passage, question in x'],
  ['x-x', 'passage and question in x'],
  ['x-en', 'passage in x, English question'],
  ['x-y', 'passage in x, question in y'],
];

class Draft {
  name = $state('');
  scenarios: Scenario[] = $state(['en-en', 'en-x', 'x-x']);
  languages: Language[] = $state(['de', 'zh', 'ar']);
  unit: 'items' | 'paragraphs' = $state('items');
  count = $state(20);
  seed = $state(1);
  shots = $state(0);
  maxTokens = $state(32);
  precise = $state(false);
  measures: Measure[] = $state(['answer']);
  oracleTarget: 'answer' | 'gold' = $state('answer');
  estimate: (StudyEstimate & { of: string }) | null = $state.raw(null);
  /** What the estimate is doing. */
  estimating: string | null = $state(null);
  trouble: Trouble | null = $state.raw(null);
  #abort: AbortController | null = null;

  /** The design as it stands; its id and time are set when it starts. */
  design: StudyDesign | null = $derived.by(() => {
    const set = sets.current;
    if (!set) return null;
    const { chosen } = candidates;
    const languages = LANGUAGES.filter((l) => l !== 'en' && this.languages.includes(l) && set.languages.includes(l));
    const wanted = Math.max(1, Math.floor(this.count) || 1);
    const items = sampleItems(set.items, this.unit === 'items' ? { seed: this.seed, items: Math.min(wanted, set.items.length) } : { seed: this.seed, paragraphs: wanted });
    return {
      version: 1,
      id: 'draft',
      name: this.name.trim() || `${set.name}, ${chosen.map((c) => c.title).join(', ')}`,
      created: '',
      models: chosen,
      set: { name: set.name, license: set.license, source: set.source, sha256: set.sha256 },
      items: items.map((i) => i.id),
      seed: items.length < set.items.length ? this.seed : null,
      scenarios: SCENARIOS.map(([s]) => s).filter((s) => this.scenarios.includes(s)),
      languages,
      prompt: { shots: this.shots },
      maxTokens: this.maxTokens,
      ...(this.precise ? { precise: true } : {}),
      measures: ['answer', ...this.measures.filter((m) => m !== 'answer')],
      correctF1: CORRECT_F1,
      oracleTarget: this.oracleTarget,
    };
  });
  problems: string[] = $derived(this.design ? designProblems(this.design) : ['choose a set of items']);
  size: { cells: number; pairs: number } = $derived.by(() => {
    if (!this.design || !sets.current || this.problems.length) return { cells: 0, pairs: 0 };
    return { cells: cells(this.design, sets.current.items).length, pairs: pairs(this.design).length };
  });
  /** What an estimate depends on. */
  key: string = $derived(JSON.stringify({ ...this.design, name: '' }));
  valid: StudyEstimate | null = $derived(this.estimate?.of === this.key ? this.estimate : null);

  /** Runs a few cells on this machine, in a lab of their own. */
  async measure(): Promise<void> {
    const { design, key } = this;
    const items = sets.current?.items;
    if (!design || !items || this.problems.length) return;
    this.#abort?.abort();
    const abort = (this.#abort = new AbortController());
    this.trouble = null;
    this.estimating = 'Preparing';
    const lab = (await getLab()).another();
    try {
      const estimate = await calibrate($state.snapshot(design) as StudyDesign, items, lab, {
        signal: abort.signal,
        ...(view.device ? { device: view.device } : {}),
        onStep: (text) => (this.estimating = text),
      });
      this.estimate = { ...estimate, of: key };
    } catch (error) {
      const trouble = toTrouble(error);
      if (!isQuiet(trouble)) this.trouble = trouble;
    } finally {
      lab.terminate();
      this.estimating = null;
    }
  }

  stop(): void {
    this.#abort?.abort();
  }
}

export const draft = new Draft();
