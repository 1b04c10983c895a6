/** Quiet axes: hairlines, few ticks, words instead of boxes. */
import { lit, SIZE } from './chart';
import type { Box } from './labels';
import { h, num, type SvgNode } from './svg';
import { short } from './text';
import type { Theme } from './theme';

export interface Scale {
  (v: number): number;
  ticks(count?: number): number[];
}

/** Horizontal hairlines with their values left of the plot; `zero` is drawn stronger where it is inside. */
export function yAxis(plot: Box, scale: Scale, theme: Theme, options: { count?: number; format?: (v: number) => string; zero?: boolean; name?: string } = {}): SvgNode {
  const ticks = scale.ticks(options.count ?? Math.max(2, Math.round(plot.h / 50)));
  const format = options.format ?? short;
  return h(
    'g',
    { class: 'axis axis-y', 'aria-hidden': 'true', 'font-size': SIZE.small, fill: theme.muted },
    h('path', { d: ticks.map((t) => `M${num(plot.x)},${num(scale(t))}H${num(plot.x + plot.w)}`).join(''), stroke: theme.line, fill: 'none', 'stroke-opacity': 0.7 }),
    options.zero && scale(0) >= plot.y - 0.5 && scale(0) <= plot.y + plot.h + 0.5 ? h('path', { d: `M${num(plot.x)},${num(scale(0))}H${num(plot.x + plot.w)}`, stroke: theme.muted, fill: 'none' }) : null,
    ticks.map((t) => h('text', { x: plot.x - 6, y: scale(t) + 4, 'text-anchor': 'end' }, format(t))),
    options.name ? h('text', { class: 'axis-name', x: 0, y: plot.y - 10, fill: theme.ink }, options.name) : null,
  );
}

/** Which layers get a number: all when there is room, else every n-th; always first and last. */
export function layerTicks(layers: number[], step: number): number[] {
  const n = Math.max(1, Math.ceil(22 / step));
  const nice = [1, 2, 4, 5, 6, 8, 10, 12, 16, 20].find((k) => k >= n) ?? n;
  const last = layers[layers.length - 1];
  return layers.filter((l, i) => i === 0 || l === last || (l % nice === 0 && last - l >= nice * 0.6));
}

/** Layer numbers under a plot, each lit with its layer. */
export function layerAxis(layers: number[], x: (layer: number) => number, y: number, theme: Theme, selected: number | null | undefined, name?: { text: string; x: number }): SvgNode {
  const step = layers.length > 1 ? Math.abs(x(layers[1]) - x(layers[0])) / Math.max(1, Math.abs(layers[1] - layers[0])) : 40;
  return h(
    'g',
    { class: 'axis axis-layer', 'aria-hidden': 'true', 'font-size': SIZE.small, fill: theme.muted },
    layerTicks(layers, step).map((l) => h('text', { class: lit('tick', l === selected), 'data-layer': l, x: x(l), y, 'text-anchor': 'middle' }, String(l))),
    name ? h('text', { class: 'axis-name', x: name.x, y: y + 17, 'text-anchor': 'end', fill: theme.ink }, name.text) : null,
  );
}

/** Invisible columns, one per layer, that the page lights by class. */
export function layerBands(layers: number[], x: (layer: number) => number, plot: Box, theme: Theme, selected: number | null | undefined): SvgNode {
  const step = layers.length > 1 ? Math.abs(x(layers[1]) - x(layers[0])) : plot.w;
  return h(
    'g',
    { class: 'bands', 'aria-hidden': 'true' },
    layers.map((l) => h('rect', { class: lit('band', l === selected), 'data-layer': l, x: x(l) - Math.min(step, 24) / 2, y: plot.y, width: Math.min(step, 24), height: plot.h, fill: theme.surface })),
  );
}

/** Moves labels apart along one direction so that neighbours keep `gap`, staying inside [lo, hi] as far as they fit; order is kept. */
export function spreadOut(at: number[], gap: number, lo: number, hi: number): number[] {
  const order = at.map((_, i) => i).sort((a, b) => at[a] - at[b] || a - b);
  const out = [...at];
  let floor = lo;
  for (const i of order) {
    out[i] = Math.max(at[i], floor);
    floor = out[i] + gap;
  }
  let ceiling = hi;
  for (const i of [...order].reverse()) {
    if (out[i] > ceiling) out[i] = ceiling;
    ceiling = out[i] - gap;
  }
  return out;
}
