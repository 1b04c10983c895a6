/** What of relevance and patching is on show: that, and not what the lists say by now, goes into links and records. */
import type { PatchSet } from '../../probe/patch-set';
import type { Match } from '../../probe/patching';
import type { RelevanceSet } from '../../probe/relevance-set';
import type { RecordedSet } from '../../share/sets';
import type { MechanismView, ViewState } from '../../share/view';
import type { Ask } from '../../types';
import { compare } from '../state/compare.svelte';
import { run } from '../state/run.svelte';
import { view } from '../state/view.svelte';
import { fits, type Beside } from './about';
import { choice, PERCENT, sameTarget } from './choice.svelte';
import { patchSets, relevanceSets, type SetResult, type SetWork } from './sets.svelte';
import { patching, relevance, type Slot } from './work.svelte';

const madeBy = (slot: Slot): Beside['made'] => (slot === 'A' ? run.shown?.main : compare.b)?.provenance ?? null;

/** A slot's model beside what the controls ask, which is what a link asks. */
export const asked = (slot: Slot): Beside => ({ made: madeBy(slot), set: view.set, contextLanguage: view.contextLanguage, questionLanguage: view.questionLanguage });

/** A slot's model beside what the run on show asked, which is what a record holds. */
export function shown(slot: Slot): Beside {
  const ask: Ask | undefined = run.shown?.main.ask;
  const set = ask && 'item' in ask ? (ask.set ?? (typeof ask.item === 'string' ? null : ask.item.set)) : null;
  return { made: madeBy(slot), set, contextLanguage: ask?.contextLanguage, questionLanguage: ask?.questionLanguage };
}

function fitting<S extends RelevanceSet | PatchSet>(work: SetWork<S>, beside: (slot: Slot) => Beside): [Slot, SetResult<S>][] {
  return (Object.entries(work.results) as [Slot, SetResult<S>][]).filter(([slot, { set }]) => set.items.length > 0 && fits(set, beside(slot)));
}

/** The maps over many items that the two-phase strip of the run on show may speak of. */
export const mapsOnShow = (): SetResult<RelevanceSet> | null => fitting(relevanceSets, shown).find(([slot]) => slot === 'A')?.[1] ?? null;

/** The sets that belong to the models and to the question on show, for a record. */
export const recordedSets = (): RecordedSet[] => [...fitting(relevanceSets, shown), ...fitting(patchSets, shown)].map(([slot, { of, set }]) => ({ slot, model: of, set }));

/** How the groups of a sweep met, as it was asked for: by the last token means only where lengths differ. */
export const askedMatch = (groups: readonly { match: Match }[]): 'last' | 'mean' => (groups.some(({ match }) => match === 'mean') ? 'mean' : 'last');

/** The fields of a view that are the mechanism's. What a link asked for and what runs count as on show until something else is. */
export function mechanismView(): Pick<ViewState, 'threshold' | 'mechanism'> {
  const mechanism: MechanismView = { ...singleView(), ...setsView() };
  // a link's single rule, target and match are those of its sets too, where these have no other
  const { maps, sweeps } = mechanism;
  if (maps?.rule && !mechanism.rule) [mechanism.rule, mechanism.target] = [maps.rule, maps.target];
  if (sweeps?.match && !mechanism.match) mechanism.match = sweeps.match;
  if (maps) {
    const { rule, target, ...over } = maps;
    mechanism.maps = { ...over, ...(rule && rule !== mechanism.rule ? { rule } : {}), ...(target && !sameTarget(target, mechanism.target ?? { kind: 'first' }) ? { target } : {}) };
  }
  if (sweeps) {
    const { match, ...over } = sweeps;
    mechanism.sweeps = { ...over, ...(match && match !== mechanism.match ? { match } : {}) };
  }
  if (choice.scale === 'layer' && mechanism.rule) mechanism.scale = 'layer';
  return {
    ...(choice.threshold === PERCENT / 100 ? {} : { threshold: choice.threshold }),
    ...(Object.keys(mechanism).length > 0 ? { mechanism } : {}),
  };
}

function singleView(): MechanismView {
  const main = run.shown?.main ?? null;
  const map = relevance.A.of(main) ?? relevance.A.going(main) ?? (choice.wantsMap ? choice : null);
  const sweep = patching.A.of(main);
  const going = patching.A.going(main);
  const cleanAsk = sweep?.cleanAsk ?? going?.clean;
  const clean = cleanAsk ? cleanOf(cleanAsk) : choice.wantsSweep ? choice.clean : null;
  const match = sweep ? askedMatch(sweep.groups) : going ? (going.match === 'mean' ? 'mean' : 'last') : choice.wantsSweep ? choice.match : null;
  return {
    ...(map ? { rule: map.rule ?? 'attnlrp', target: map.target ?? { kind: 'first' } } : {}),
    ...(clean ? { clean } : {}),
    ...(match ? { match } : {}),
  };
}

function cleanOf(ask: Ask): MechanismView['clean'] | null {
  return 'item' in ask ? { item: typeof ask.item === 'string' ? ask.item : ask.item.id, language: ask.questionLanguage } : null;
}

function setsView(): Pick<MechanismView, 'maps' | 'sweeps'> {
  // a link to text of the reader's own names no set: it would be taken over another one
  if (view.mode === 'text') return {};
  const mapped = fitting(relevanceSets, asked)[0]?.[1];
  const swept = fitting(patchSets, asked)[0]?.[1];
  const maps = mapped ? mapped.over && { ...mapped.over, rule: mapped.set.rule, target: mapped.set.target } : choice.maps;
  const sweeps = swept ? swept.over && { ...swept.over, match: askedMatch(swept.set.items.flatMap((item) => item.groups)) } : choice.sweeps;
  return { ...(maps ? { maps } : {}), ...(sweeps ? { sweeps } : {}) };
}
