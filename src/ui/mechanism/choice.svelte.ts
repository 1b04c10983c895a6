/** What the reader has chosen for relevance and patching: the part that links and records carry. */
import type { RelevanceRule, RelevanceTarget } from '../../probe/relevance';
import { readMechanism, writeMechanism } from '../../share/mechanism';
import type { SetOver, ViewState } from '../../share/view';
import type { Language } from '../../types';

const PERCENT = 95;

class Choice {
  rule: RelevanceRule = $state('attnlrp');
  target: RelevanceTarget = $state.raw({ kind: 'first' });
  /** Of MRD. */
  percent = $state(PERCENT);
  scale: 'none' | 'layer' = $state('none');
  match: 'last' | 'mean' = $state('last');
  /** The clean run's question; null: the first there is. */
  clean: { item: string; language: Language } | null = $state.raw(null);
  /** Something was computed by these choices: a link says so. */
  map = $state(false);
  sweep = $state(false);
  /** A link showed a map or a sweep: its view computes it as soon as the run is there. */
  wantsMap = $state(false);
  wantsSweep = $state(false);

  /** What maps and sweeps over many items would be taken over. */
  mapsOver: SetOver = $state({ items: 20, languages: 'asked' });
  sweepsOver: SetOver = $state({ items: 20, languages: 'asked' });
  /** And what those on show were: a link says so. */
  maps: SetOver | null = $state.raw(null);
  sweeps: SetOver | null = $state.raw(null);
  /** A link showed them, and all else that it names is there: they are taken again. */
  wantsMaps = $state(false);
  wantsSweeps = $state(false);

  again(): void {
    this.wantsMaps = this.maps !== null;
    this.wantsSweeps = this.sweeps !== null;
  }

  threshold: number = $derived(Math.min(100, Math.max(50, this.percent || PERCENT)) / 100);
}

export const choice = new Choice();

/** The fields of a view that are the mechanism's. */
export function mechanismView(): Pick<ViewState, 'threshold' | 'mechanism'> {
  const mechanism = {
    ...(choice.map || choice.maps ? { rule: choice.rule, target: choice.target } : {}),
    ...(choice.sweep && choice.clean ? { clean: choice.clean } : {}),
    ...(choice.sweep || choice.sweeps ? { match: choice.match } : {}),
    ...(choice.maps ? { maps: choice.maps } : {}),
    ...(choice.sweeps ? { sweeps: choice.sweeps } : {}),
  };
  return {
    ...(choice.threshold === PERCENT / 100 ? {} : { threshold: choice.threshold }),
    ...(Object.keys(mechanism).length > 0 ? { mechanism } : {}),
  };
}

/** What is left out goes back to its default. Records come from anywhere: their fields pass the same checks as a link's. */
export function applyMechanism({ threshold, mechanism }: ViewState): void {
  const fields = new Map(writeMechanism(mechanism));
  const m = readMechanism((key) => fields.get(key), []) ?? {};
  choice.percent = Math.round((threshold ?? PERCENT / 100) * 100);
  choice.rule = m.rule ?? 'attnlrp';
  choice.target = m.target ?? { kind: 'first' };
  choice.clean = m.clean ?? null;
  choice.match = m.match ?? 'last';
  choice.map = choice.wantsMap = m.rule !== undefined;
  choice.sweep = choice.wantsSweep = m.match !== undefined;
  choice.maps = m.maps ?? null;
  choice.sweeps = m.sweeps ?? null;
  choice.wantsMaps = choice.wantsSweeps = false;
  if (m.maps) choice.mapsOver = { ...m.maps };
  if (m.sweeps) choice.sweepsOver = { ...m.sweeps };
}

export const sameTarget = (a: RelevanceTarget, b: RelevanceTarget): boolean => JSON.stringify(a) === JSON.stringify(b);
