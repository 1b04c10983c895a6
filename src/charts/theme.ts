/**
 * Colours, type and the fixed identity of each language and token group.
 *
 * A `Theme` is either literal colours (exports, tests) or CSS custom properties (`cssTheme`), so that the page changes from light to
 * dark without a redraw. Twelve hues cannot all be told apart by every reader: each language therefore also has a marker shape and a dash of its own.
 */
import { GROUPS, LANGUAGES, type Language, type TokenGroup } from '../types';

export interface Theme {
  name: 'light' | 'dark' | 'css';
  background: string;
  /** A quiet step off the background: bands, tracks. */
  surface: string;
  ink: string;
  muted: string;
  /** Hairlines and ticks. */
  line: string;
  /** What is selected: the lit layer, the pinned target. */
  accent: string;
  /** Two ends of a signed scale: relevance for and against. */
  positive: string;
  negative: string;
  groups: Record<TokenGroup, string>;
  languages: Record<Language, string>;
  font: string;
  mono: string;
}

/** System faces first, then Noto for the scripts a system may lack; a downloaded SVG names the same list. */
const FONT =
  "'Inter', system-ui, -apple-system, 'Segoe UI', 'Noto Sans', 'Noto Sans Arabic', 'Noto Sans Devanagari', 'Noto Sans Thai', 'Noto Sans CJK SC', sans-serif";
const MONO = "ui-monospace, 'SF Mono', 'Cascadia Mono', 'Noto Sans Mono', 'DejaVu Sans Mono', monospace";

export const lightTheme: Theme = {
  name: 'light',
  background: '#ffffff',
  surface: '#f4f3f0',
  ink: '#1c1b1a',
  muted: '#66625c',
  line: '#dedbd5',
  accent: '#b3261e',
  positive: '#0b6e99',
  negative: '#b8500f',
  groups: {
    question: '#0067a5',
    answerSpan: '#c04f00',
    readout: '#4a1259',
    context: '#00785a',
    template: '#7b7770',
    answer: '#a3134f',
  },
  languages: {
    en: '#1c1b1a',
    de: '#0067a5',
    es: '#c04f00',
    vi: '#00785a',
    zh: '#b0417f',
    hi: '#a87400',
    ar: '#2a86c7',
    el: '#6b7d00',
    ro: '#882255',
    ru: '#4b3aa3',
    th: '#17857a',
    tr: '#8a5a2b',
  },
  font: FONT,
  mono: MONO,
};

export const darkTheme: Theme = {
  name: 'dark',
  background: '#161513',
  surface: '#22211e',
  ink: '#f0ede6',
  muted: '#a39e94',
  line: '#3a3833',
  accent: '#ff8a7a',
  positive: '#5cc0ea',
  negative: '#f29b54',
  groups: {
    question: '#5fb4ee',
    answerSpan: '#f29b54',
    readout: '#ffd0f2',
    context: '#4fc9a2',
    template: '#99948a',
    answer: '#f27ba5',
  },
  languages: {
    en: '#f0ede6',
    de: '#5fb4ee',
    es: '#f28b46',
    vi: '#3fc79a',
    zh: '#ea8cc0',
    hi: '#e6b43c',
    ar: '#8fd0ff',
    el: '#c3d14f',
    ro: '#e0759f',
    ru: '#a79bf5',
    th: '#5fd3c6',
    tr: '#d3a26c',
  },
  font: FONT,
  mono: MONO,
};

/** Kebab-case names of the custom properties, e.g. `--chart-group-answer-span`. */
const kebab = (s: string): string => s.replace(/[A-Z]/g, (c) => `-${c.toLowerCase()}`);

/** Every colour of a theme as `[custom property, value]`; the page sets these on `:root` and under its dark selector. */
export function themeProperties(theme: Theme): [string, string][] {
  const flat: [string, string][] = (['background', 'surface', 'ink', 'muted', 'line', 'accent', 'positive', 'negative'] as const).map((k) => [
    `--chart-${k}`,
    theme[k],
  ]);
  for (const g of GROUPS) flat.push([`--chart-group-${kebab(g)}`, theme.groups[g]]);
  for (const l of LANGUAGES) flat.push([`--chart-language-${l}`, theme.languages[l]]);
  return flat;
}

/** The properties as CSS declarations, ready to stand between braces. */
export const themeCss = (theme: Theme): string =>
  themeProperties(theme)
    .map(([k, v]) => `${k}: ${v};`)
    .join(' ');

const v = (name: string, fallback: string): string => `var(--chart-${name}, ${fallback})`;

/** Colours by custom property, falling back to the light theme: what the page draws with. */
export const cssTheme: Theme = {
  name: 'css',
  background: v('background', lightTheme.background),
  surface: v('surface', lightTheme.surface),
  ink: v('ink', lightTheme.ink),
  muted: v('muted', lightTheme.muted),
  line: v('line', lightTheme.line),
  accent: v('accent', lightTheme.accent),
  positive: v('positive', lightTheme.positive),
  negative: v('negative', lightTheme.negative),
  groups: Object.fromEntries(GROUPS.map((g) => [g, v(`group-${kebab(g)}`, lightTheme.groups[g])])) as Record<TokenGroup, string>,
  languages: Object.fromEntries(LANGUAGES.map((l) => [l, v(`language-${l}`, lightTheme.languages[l])])) as Record<Language, string>,
  font: FONT,
  mono: MONO,
};

/** Marker shapes, drawn by markers.ts. */
export type Marker = 'circle' | 'square' | 'triangle' | 'diamond' | 'plus' | 'star' | 'down' | 'cross' | 'pentagon' | 'bar' | 'left' | 'right';

export interface LanguageStyle {
  name: string;
  marker: Marker;
  /** stroke-dasharray; '' = solid. */
  dash: string;
}

/** Fixed for good: a reader who learnt that Thai is the bar with short dashes must find it so in an old figure. */
export const LANGUAGE_STYLE: Record<Language, LanguageStyle> = {
  en: { name: 'English', marker: 'circle', dash: '' },
  de: { name: 'German', marker: 'square', dash: '7 3' },
  es: { name: 'Spanish', marker: 'triangle', dash: '2 3' },
  vi: { name: 'Vietnamese', marker: 'diamond', dash: '9 3 2 3' },
  zh: { name: 'Chinese', marker: 'plus', dash: '5 2' },
  hi: { name: 'Hindi', marker: 'star', dash: '1 2.5' },
  ar: { name: 'Arabic', marker: 'down', dash: '12 3' },
  el: { name: 'Greek', marker: 'cross', dash: '4 2 1 2' },
  ro: { name: 'Romanian', marker: 'pentagon', dash: '3 1.5' },
  ru: { name: 'Russian', marker: 'left', dash: '10 2 2 2 2 2' },
  th: { name: 'Thai', marker: 'bar', dash: '3 4' },
  tr: { name: 'Turkish', marker: 'right', dash: '6 2 3 2' },
};

/** Words for the groups, as they stand in labels. */
export const GROUP_NAME: Record<TokenGroup, string> = {
  question: 'question',
  answerSpan: 'answer span',
  readout: 'readout',
  context: 'context',
  template: 'template',
  answer: 'generated answer',
};

const isLanguage = (s: string): s is Language => Object.hasOwn(LANGUAGE_STYLE, s);
/** The style of a language; text in an unnamed language is drawn like English, solid with a circle. */
export const languageStyle = (language: string): LanguageStyle =>
  isLanguage(language) ? LANGUAGE_STYLE[language] : { name: language === '' ? 'your text' : language, marker: 'circle', dash: '' };
export const languageColour = (theme: Theme, language: string): string => (isLanguage(language) ? theme.languages[language] : theme.ink);

/**
 * The style rules behind the class names, included once by the page and inside every exported SVG.
 * Selection is a matter of classes only (`is-lit`, `is-dim`), so lighting a layer everywhere touches no geometry. What is not lit yet
 * is not displayed: an opacity of nought would still be laid out, painted and blended in every frame. What is dimmed one by one is so in
 * its strokes and fills: each see-through element would be a layer of its own to blend.
 */
export const CHART_CSS = `
.chart text { font-variant-numeric: tabular-nums; }
.chart .band, .chart .reveal, .chart .curtain { display: none; }
.chart .band.is-lit, .chart .reveal.is-lit, .chart .curtain.is-out { display: inline; }
.chart .mark.is-lit { stroke: ${cssTheme.ink}; stroke-width: 2px; fill-opacity: 1; stroke-opacity: 1; }
.chart .path.is-lit .line { stroke-width: 2.6px; stroke-opacity: 1; }
.chart .name.is-lit { font-weight: 700; }
.chart .row-text.is-lit, .chart .tick.is-lit { font-weight: 700; fill: ${cssTheme.ink}; }
.chart .is-dim { fill-opacity: 0.18; stroke-opacity: 0.18; }
.chart .is-context .is-dim { fill-opacity: 0.08; stroke-opacity: 0.08; }
.chart .path.is-lit .line.is-dim { stroke-opacity: 0.18; }
.chart .is-out { opacity: 0.18; }
.chart .curtain.is-out { opacity: 1; fill-opacity: 0.82; }
.chart .tick.is-out, .chart .mark.is-out { opacity: 1; fill-opacity: 0.18; stroke-opacity: 0.18; }
.chart .readings tspan { unicode-bidi: isolate; }
`.trim();
