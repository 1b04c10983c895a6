/** What the reader has chosen, and nothing that can be recomputed: this object is what a link carries. */
import { applyMechanism } from '../mechanism/choice.svelte';
import type { BasisKind } from '../../probe/projection';
import type { COMPARED, FOLLOWED_BY, SHADES, SPREADS, ViewState } from '../../share/view';
import { LANGUAGES, type Device, type Language, type Scenario, type TokenGroup } from '../../types';

/** The views below the first two pictures. */
export const TABS = ['prompt', 'curves', 'lens', 'phases', 'relevance', 'patching', 'compare', 'study', 'models'] as const;
export type Tab = (typeof TABS)[number];

export interface View {
  tab: Tab;
  mode: 'item' | 'text';
  set: string;
  item: string | null;
  contextLanguage: Language;
  questionLanguage: Language;
  text: { context: string; question: string };
  /** The gold answer that a link, a record or the reader gave, with the texts it belongs to: others have none. */
  gold: { context: string; question: string; answer: { text: string; start: number } } | null;
  /** The question of the reader's own text once more, in English; '' where it is not given. */
  english: string;
  /** null: the last one. */
  layer: number | null;
  /** Index into the prompt's tokens; null: the readout. */
  position: number | null;
  /** Chosen in a picture, and lit in all of them; '' is a text's of no named language. */
  language: string | null;
  /** Groups whose paths are drawn. */
  paths: TokenGroup[];
  projection: BasisKind;
  /** The groups' paths as small multiples. */
  apart: boolean;
  /** Ids of the tokens pinned in the lens. */
  pins: number[];
  /** Id of the token that the lens follows; null: the first there is. */
  follow: number | null;
  followBy: (typeof FOLLOWED_BY)[number];
  shade: (typeof SHADES)[number];
  spread: (typeof SPREADS)[number];
  compared: (typeof COMPARED)[number];
  /** The plane that a link, a record or the reader asks for: its id, and the signs of its axes ('p' or 'm' each). What is drawn: plane.svelte.ts. */
  basis: { id: string; signs: string } | null;
  /** Layers of a lassoed range, inclusive; null: all. */
  range: [number, number] | null;
  /** As links have it (charts/zoom.ts); null: all of it. */
  zoom: ViewState['zoom'] | null;
  /** null: the best this browser has. */
  device: Device | null;
  /** Panels left out, for slides. */
  hide: string[];
}

export const view: View = $state({
  tab: 'prompt',
  mode: 'item',
  set: 'world',
  item: null,
  contextLanguage: 'en',
  questionLanguage: 'de',
  text: { context: '', question: '' },
  gold: null,
  english: '',
  layer: null,
  position: null,
  language: null,
  paths: ['question', 'readout'],
  projection: 'joint-pca',
  apart: false,
  pins: [],
  follow: null,
  followBy: 'p',
  shade: 'top',
  spread: 'each',
  compared: 'lens',
  basis: null,
  range: null,
  zoom: null,
  device: null,
  hide: [],
});

/** The part of a view that links and records carry; what others know of it is added in seen.ts. */
export function viewState(): ViewState {
  const { layer, position, pins, follow, followBy, shade, spread, compared } = view;
  return {
    tab: view.tab,
    ...(layer === null ? {} : { layer }),
    ...(position === null ? {} : { token: position }),
    ...(view.language ? { pins: LANGUAGES.filter((l) => l === view.language) } : {}),
    ...(pins.length ? { pinned: [...pins] } : {}),
    groups: [...view.paths],
    projection: view.projection,
    ...(view.zoom ? { zoom: { ...view.zoom } } : {}),
    ...(view.range ? { range: [...view.range] } : {}),
    ...(follow === null ? {} : { follow }),
    ...(view.apart ? { apart: true } : {}),
    ...(shade === 'top' ? {} : { shade }),
    ...(followBy === 'p' ? {} : { followBy }),
    ...(spread === 'each' ? {} : { spread }),
    ...(compared === 'lens' ? {} : { compared }),
  };
}

/** What is left out goes back to its default, so that the same link is the same view whatever was open before. */
export function applyViewState(s: ViewState): void {
  applyMechanism(s);
  view.tab = TABS.find((t) => t === s.tab) ?? 'prompt';
  view.layer = s.layer ?? null;
  view.position = s.token ?? null;
  view.language = s.pins?.[0] ?? null;
  view.pins = [...(s.pinned ?? [])];
  view.paths = s.groups?.length ? [...s.groups] : ['question', 'readout'];
  view.projection = s.projection ?? 'joint-pca';
  view.basis = s.basis ? { id: s.basis, signs: (s.signs ?? [1, 1]).map((n) => (n > 0 ? 'p' : 'm')).join('') } : null;
  view.zoom = s.zoom ? { ...s.zoom } : null;
  view.range = s.range ? [...s.range] : null;
  view.follow = s.follow ?? null;
  view.apart = s.apart ?? false;
  view.shade = s.shade ?? 'top';
  view.followBy = s.followBy ?? 'p';
  view.spread = s.spread ?? 'each';
  view.compared = s.compared ?? 'lens';
  view.hide = [...(s.hide ?? [])];
}

/** The gold answer of the reader's own text, while both texts are those it came with. */
export function goldAnswer(): { text: string; start: number } | null {
  const { gold, text } = view;
  return gold && gold.context === text.context && gold.question === text.question ? { ...gold.answer } : null;
}

/** The same question in English, for what is asked of the reader's own text in another language. */
export const englishWording = (): string => (view.mode === 'text' && view.questionLanguage !== 'en' ? view.english.trim() : '');

export function scenario(context: Language, question: Language): Scenario {
  if (context === 'en') return question === 'en' ? 'en-en' : 'en-x';
  if (context === question) return 'x-x';
  return question === 'en' ? 'x-en' : 'x-y';
}
