/** What the reader has chosen for relevance and patching, and what a link asks for that is not on show yet. */
import type { RelevanceRule, RelevanceTarget } from '../../probe/relevance';
import { readMechanism, writeMechanism } from '../../share/mechanism';
import type { MechanismView, SetOver, ViewState } from '../../share/view';
import type { Language } from '../../types';

export const PERCENT = 95;

class Choice {
  rule: RelevanceRule = $state('attnlrp');
  target: RelevanceTarget = $state.raw({ kind: 'first' });
  /** Of MRD. */
  percent = $state(PERCENT);
  scale: 'none' | 'layer' = $state('none');
  match: 'last' | 'mean' = $state('last');
  /** The clean run's question; null: the first there is. */
  clean: { item: string; language: Language } | null = $state.raw(null);
  /** A link showed a map or a sweep: its view computes it as soon as the run is there. */
  wantsMap = $state(false);
  wantsSweep = $state(false);

  /** What maps and sweeps over many items would be taken over. */
  mapsOver: SetOver = $state({ items: 20, languages: 'asked' });
  sweepsOver: SetOver = $state({ items: 20, languages: 'asked' });
  /** A link showed them, and they are not taken yet. */
  maps: MechanismView['maps'] | null = $state.raw(null);
  sweeps: MechanismView['sweeps'] | null = $state.raw(null);
  /** All else that the link names is there: they are taken again. */
  wantsMaps = $state(false);
  wantsSweeps = $state(false);

  again(): void {
    this.wantsMaps = !!this.maps;
    this.wantsSweeps = !!this.sweeps;
  }

  /** The reader has asked something else: what a link wanted is no longer due. */
  forget(): void {
    this.wantsMap = this.wantsSweep = this.wantsMaps = this.wantsSweeps = false;
    this.maps = this.sweeps = null;
  }

  threshold: number = $derived(Math.min(100, Math.max(50, this.percent || PERCENT)) / 100);
}

export const choice = new Choice();

/** What is left out goes back to its default. Records come from anywhere: their fields pass the same checks as a link's. */
export function applyMechanism({ threshold, mechanism }: ViewState): void {
  const fields = new Map(writeMechanism(mechanism));
  const m = readMechanism((key) => fields.get(key), []) ?? {};
  choice.percent = Math.round((threshold ?? PERCENT / 100) * 100);
  choice.rule = m.rule ?? 'attnlrp';
  choice.target = m.target ?? { kind: 'first' };
  choice.scale = m.scale ?? 'none';
  choice.clean = m.clean ?? null;
  choice.match = m.match ?? 'last';
  choice.wantsMap = m.rule !== undefined;
  choice.wantsSweep = m.match !== undefined;
  choice.maps = m.maps ?? null;
  choice.sweeps = m.sweeps ?? null;
  choice.wantsMaps = choice.wantsSweeps = false;
  if (m.maps) choice.mapsOver = overOf(m.maps);
  if (m.sweeps) choice.sweepsOver = overOf(m.sweeps);
}

const overOf = ({ items, languages, clean }: SetOver): SetOver => ({ items, languages, ...(clean ? { clean } : {}) });

export const sameTarget = (a: RelevanceTarget, b: RelevanceTarget): boolean => JSON.stringify(a) === JSON.stringify(b);
