/** What every chart takes and gives. */
import { h, renderToString, type SvgNode } from './svg';
import { CHART_CSS, cssTheme, lightTheme, themeProperties, type Theme } from './theme';
import { wrap } from './text';
import type { Box } from './labels';
import type { NamedZoom, Zoom } from './zoom';
import type { Language, TokenGroup } from '../types';

export type Cell = string | number | null;
/** The data-table twin: the same facts as the picture, for a table, *copy data* and CSV. */
export interface Table {
  columns: string[];
  rows: Cell[][];
}

/** What lies under a pointer. Coordinates are those of the chart's viewBox. */
export interface Hit {
  /** Left out where a name is meant, which is of all layers. */
  layer?: number;
  token?: number;
  language?: string;
  group?: TokenGroup;
  x: number;
  y: number;
  /** The fact in words: tooltip and live region. */
  text: string;
}

export interface Selection {
  layer?: number | null;
  token?: number | null;
  language?: Language | string | null;
  group?: TokenGroup | null;
}

/** A plot that can be zoomed; of several in one chart, all are of one size and zoomed alike. */
export interface Zoomable {
  width: number;
  height: number;
  /** As it is drawn, in its own px. */
  at: Zoom;
  /** Where the plot begins that a point of the viewBox lies in. */
  corner(x: number, y: number): [number, number];
  /** What a zoom in its px is called in links, records and `TrajectoryOptions.zoom`; null: all of it. */
  name(zoom: Zoom): NamedZoom | null;
}

export interface ChartOptions {
  width: number;
  /** Charts made of rows choose their own height when it is left out. */
  height?: number;
  theme?: Theme;
  selection?: Selection;
  /** Replaces the default title. */
  title?: string;
  /** Replaces the default aria-label. */
  label?: string;
}

export interface Chart {
  svg: SvgNode;
  width: number;
  height: number;
  /** What is shown. */
  title: string;
  /** The finding in a sentence: the text alternative. */
  finding: string;
  table: Table;
  /** Where marks of a layer have no element of their own to light: the path round them, for each element of class `ring`. */
  rings?(layer: number): string[];
  /** Where it can be zoomed. */
  zoom?: Zoomable;
  /** The datum nearest to a point of the viewBox, or null when nothing is near. Pure, well under a millisecond. */
  locate(x: number, y: number): Hit | null;
  /** The data of one layer, in the order of the picture: what the arrow keys walk. */
  at?(layer: number): Hit[];
  /** Layers stand on top of each other, the deepest on top: up and down change the layer, left and right walk its data. Default: the other way. */
  rows?: boolean;
  /** The lowest and the highest layer with a mark inside a box: what a lasso catches. null when it catches nothing. */
  lasso?(x0: number, y0: number, x1: number, y1: number): [number, number] | null;
}

/**
 * What of a picture is the same however it is shaded, lit or dimmed is made once, as long as its data and what it goes by are the same.
 * The last of each data is kept.
 */
export function rememberer<Data extends object, Laid>(): (of: Data, theme: Theme, by: unknown[], make: () => Laid) => Laid {
  const last = new WeakMap<Data, { theme: Theme; key: string; laid: Laid }>();
  return (of, theme, by, make) => {
    const key = JSON.stringify(by);
    const before = last.get(of);
    if (before?.key === key && before.theme === theme) return before.laid;
    const laid = make();
    last.set(of, { theme, key, laid });
    return laid;
  };
}

/** Text sizes in px; nothing is smaller than 11. */
export const SIZE = { small: 11, text: 12, strong: 13 } as const;

/** The root element: viewBox, role, aria-label. The finding is the label, so a reader who cannot see it is told what it shows. */
export function frame(kind: string, options: ChartOptions, height: number, label: string, ...children: Parameters<typeof h>[2][]): SvgNode {
  const theme = options.theme ?? cssTheme;
  return h(
    'svg',
    {
      xmlns: 'http://www.w3.org/2000/svg',
      class: `chart chart-${kind}`,
      viewBox: `0 0 ${Math.round(options.width)} ${Math.round(height)}`,
      width: options.width,
      height,
      role: 'img',
      'aria-label': options.label ?? label,
      'font-family': theme.font,
      'font-size': SIZE.text,
      fill: theme.ink,
    },
    ...children,
  );
}

/** `class` with `is-lit` where the element belongs to the selected layer, token or language. */
export const lit = (name: string, on: boolean): string => (on ? `${name} is-lit` : name);

/** Custom properties replaced by a theme's literal colours: drawing programs other than browsers do not know `var()`. */
export function literal(text: string, theme: Theme): string {
  const values = new Map(themeProperties(theme));
  return text.replace(/var\((--chart-[a-z-]+), (#[0-9a-f]+)\)/g, (_, name: string, fallback: string) => values.get(name) ?? fallback);
}

/**
 * A chart as a file of its own: XML header, title and description, background, fonts, style rules; literal colours only.
 * @param caution stands under the title: what must not be parted from the picture
 */
export function standalone(chart: Chart, theme: Theme = lightTheme, caution: string | null = null): string {
  const root = chart.svg;
  // a figure that travels needs its title and some air; the chart keeps its own coordinates
  const pad = 20;
  const lines = wrap(chart.title, chart.width, 14.5);
  const warned = caution === null ? [] : wrap(caution, chart.width, SIZE.strong);
  const head = 8 + 18 * (lines.length + warned.length);
  const w = Math.round(chart.width) + 2 * pad;
  const ht = Math.round(chart.height) + 2 * pad + head;
  const node = h(
    'svg',
    { ...root.attrs, viewBox: `${-pad} ${-pad - head} ${w} ${ht}`, width: w, height: ht },
    h('title', {}, chart.title),
    h('desc', {}, caution === null ? chart.finding : `${caution} ${chart.finding}`),
    h('style', {}, CHART_CSS),
    h('rect', { class: 'background', x: -pad, y: -pad - head, width: w, height: ht, fill: theme.background }),
    lines.map((line, i) => h('text', { class: 'title', x: 0, y: -head + 10 + 18 * i, 'font-size': 14, 'font-weight': 600, fill: theme.ink }, line)),
    warned.map((line, i) => h('text', { class: 'caution', x: 0, y: -head + 10 + 18 * (lines.length + i), 'font-size': SIZE.strong, fill: theme.accent }, line)),
    root.children,
  );
  return `<?xml version="1.0" encoding="UTF-8"?>\n${literal(renderToString(node), theme)}\n`;
}

/** The range of layers among those points that lie in a box with any two opposite corners. */
export function caught(layers: ArrayLike<number>, xs: ArrayLike<number>, ys: ArrayLike<number>, box: [number, number, number, number]): [number, number] | null {
  const [left, right] = [Math.min(box[0], box[2]), Math.max(box[0], box[2])];
  const [top, bottom] = [Math.min(box[1], box[3]), Math.max(box[1], box[3])];
  let lo = Infinity;
  let hi = -Infinity;
  for (let i = 0; i < layers.length; i++) {
    if (!(xs[i] >= left && xs[i] <= right && ys[i] >= top && ys[i] <= bottom)) continue;
    lo = Math.min(lo, layers[i]);
    hi = Math.max(hi, layers[i]);
  }
  return lo <= hi ? [lo, hi] : null;
}

export const inside = (box: Box, x: number, y: number): boolean => x >= box.x && x <= box.x + box.w && y >= box.y && y <= box.y + box.h;

/** Nearest of many points by squared distance, within `reach` px. */
export function nearest(xs: ArrayLike<number>, ys: ArrayLike<number>, x: number, y: number, reach: number): number {
  let best = -1;
  let bestD = reach * reach;
  for (let i = 0; i < xs.length; i++) {
    const d = (xs[i] - x) ** 2 + (ys[i] - y) ** 2;
    if (d <= bestD) {
      bestD = d;
      best = i;
    }
  }
  return best;
}
