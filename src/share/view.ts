/** The state of a view: what was looked at, not what came out. Part of links and of records; read with clamps, never with trust. */
import type { RelevanceRule, RelevanceTarget } from '../probe/relevance';
import { GROUPS, LANGUAGES, type Language, type TokenGroup } from '../types';

export const PROJECTIONS = ['joint-pca', 'layer-pca', 'plane'] as const;
export type Projection = (typeof PROJECTIONS)[number];

/** What the relevance and patching views show. */
export interface MechanismView {
  /** Set where a map was on show: a page that opens the link computes it again. */
  rule?: RelevanceRule;
  target?: RelevanceTarget;
  /** Set where a sweep was on show: the question whose states were put in. */
  clean?: { item: string; language: Language };
  match?: 'last' | 'mean';
  /** Each layer shaded by its own largest value; left out: one scale for all. */
  scale?: 'layer';
  /** Set where maps over many items were on show; with rule and target where those are not the single map's. */
  maps?: SetOver & { rule?: RelevanceRule; target?: RelevanceTarget };
  /** Set where sweeps over many items were on show; with the match where that is not the single sweep's. */
  sweeps?: SetOver & { match?: 'last' | 'mean' };
}

/** How many items a set takes; which languages: the asked one, or all eleven in turn. */
export const SET_SIZES = [20, 50, 100, 200] as const;
export interface SetOver {
  items: (typeof SET_SIZES)[number];
  languages: 'asked' | 'all';
  /** Sweeps: the clean question is the English one; left out, another in the same language. */
  clean?: 'en';
}

/** Words of single choices; the first of each is what the page shows of itself, and is left out. */
export const SHADES = ['top', 'followed', 'entropy'] as const;
export const FOLLOWED_BY = ['p', 'rank'] as const;
export const SPREADS = ['each', 'range', 'quartiles'] as const;
export const COMPARED = ['lens', 'retrieval', 'alignment'] as const;
export const ALIGNED = ['nearest', 'back', 'raw', 'centred', 'answer-raw', 'answer-centred'] as const;
type Other<T extends readonly string[]> = T extends readonly [string, ...infer R] ? R[number] : never;

/** Question alignment over the item set, as it was measured and is looked at. */
export const ALIGNMENT_SIZES = [20, 50, 100] as const;
export interface AlignmentView {
  items: (typeof ALIGNMENT_SIZES)[number];
  /** Each question put to its own passage; left out, all to the same one. */
  passage?: 'own';
  /** Beside English; left out: all eleven. */
  languages?: Language[];
  how?: Other<typeof ALIGNED>;
}

export interface ViewState {
  /** Which of the page's views is open; a plain word, unknown ones are for the page to ignore. */
  tab?: string;
  layer?: number;
  /** Index into the tokens. */
  token?: number;
  /** Languages drawn with emphasis: the first is the one chosen in the pictures. */
  pins?: Language[];
  /** Ids of the tokens pinned in the lens, followed through the layers. */
  pinned?: number[];
  /** Groups whose paths are drawn. */
  groups?: TokenGroup[];
  projection?: Projection;
  /** Id of the fitted basis: the same id is the same picture. */
  basis?: string;
  /** Signs of the two axes as seen, relative to the fixed rule. */
  signs?: [1 | -1, 1 | -1];
  /** d3-zoom's transform in px of a plot 1000 wide and h high (540 where it is left out): another plot shows as much, about the same middle. */
  zoom?: { k: number; x: number; y: number; h?: number };
  /** Layers of a lassoed range, inclusive. */
  range?: [number, number];
  /** Token id followed by the lens. */
  follow?: number;
  /** MRD threshold, 0.5..1. */
  threshold?: number;
  /** The groups' paths as small multiples. */
  apart?: boolean;
  /** What the lens grid is shaded by. */
  shade?: Other<typeof SHADES>;
  /** What the followed tokens are drawn by. */
  followBy?: Other<typeof FOLLOWED_BY>;
  /** Many languages' curves as one with a band. */
  spread?: Other<typeof SPREADS>;
  /** The measure of two models side by side. */
  compared?: Other<typeof COMPARED>;
  /** Set where the alignment over the item set was on show. */
  alignment?: AlignmentView;
  /** What the relevance and patching views show. */
  mechanism?: MechanismView;
  /** Panels left out (slides). */
  hide?: string[];
}

/** Limits that out-of-range values are clamped to. */
export const LIMITS = { layer: 1000, token: 1_000_000, follow: 10_000_000, pinned: 24, zoom: 200, pan: 1_000_000, height: 10_000 } as const;

export const isLanguage = (s: string): s is Language => (LANGUAGES as readonly string[]).includes(s);
export const isGroup = (s: string): s is TokenGroup => (GROUPS as readonly string[]).includes(s);
export const isWord = (s: string): boolean => /^[A-Za-z][\w-]{0,31}$/.test(s);
export const isHex = (s: string): boolean => /^[0-9a-f]{8,64}$/.test(s);

/** A whole number within [0, max]; says what it did. null when it is no number at all. */
export function whole(text: string, max: number, name: string, remarks: string[]): number | null {
  const n = Number(text);
  if (text.trim() === '' || !Number.isFinite(n)) {
    remarks.push(`${name} is not a number and was left out.`);
    return null;
  }
  const c = Math.min(max, Math.max(0, Math.round(n)));
  if (c !== n) remarks.push(`${name} ${n} was brought to ${c}.`);
  return c;
}

export function real(text: string, lo: number, hi: number, name: string, remarks: string[]): number | null {
  const n = Number(text);
  if (text.trim() === '' || !Number.isFinite(n)) {
    remarks.push(`${name} is not a number and was left out.`);
    return null;
  }
  const c = Math.min(hi, Math.max(lo, n));
  if (c !== n) remarks.push(`${name} ${n} was brought to ${c}.`);
  return c;
}

/** The whole numbers of a comma list, each once, at most `most` of them. */
export function wholes(text: string, max: number, most: number, name: string, remarks: string[]): number[] {
  const out = new Set<number>();
  for (const part of text.split(',')) {
    const n = part === '' ? null : whole(part, max, name, remarks);
    if (n !== null) out.add(n);
  }
  if (out.size > most) remarks.push(`${name}s are more than ${most}: the first ${most} are kept.`);
  return [...out].slice(0, most);
}

/** The known words of a comma list, each once; the others are named. */
export function words<T extends string>(text: string, known: (s: string) => s is T, name: string, remarks: string[]): T[] {
  const out: T[] = [];
  for (const w of text.split(',')) {
    if (w === '') continue;
    if (!known(w)) remarks.push(`${name} “${w.slice(0, 24)}” is not known here and was left out.`);
    else if (!out.includes(w)) out.push(w);
  }
  return out;
}
