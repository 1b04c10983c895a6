/**
 * Curves over layers: `layerCurves` (similarities, norms, lens probability; lines and bands) and `patchCurves` (effect of a patch by layer).
 * Lines carry their names at their right ends instead of a legend.
 */
import { scaleLinear } from 'd3-scale';
import { area } from 'd3-shape';
import type { Language, TokenGroup } from '../types';
import { layerAxis, layerBands, spreadOut, yAxis } from './axes';
import { caught, frame, SIZE, type Cell, type Chart, type ChartOptions, type Hit } from './chart';
import type { Box } from './labels';
import { markerPath } from './markers';
import { h, linePath, num, round, type SvgNode } from './svg';
import { fit, short, textWidth, wrap } from './text';
import { cssTheme, languageColour, languageStyle, type Theme } from './theme';

export interface LayerSeries {
  name: string;
  /** Values by layer; NaN is a gap. */
  values: ArrayLike<number>;
  /** Spread by layer, drawn as a band behind the line. */
  low?: ArrayLike<number>;
  high?: ArrayLike<number>;
  /** What the band's edges are, e.g. lowest and highest. Default low and high. */
  bounds?: readonly [string, string];
  language?: Language | (string & {});
  group?: TokenGroup;
  /** Colour, dash and marker of this language, for what is no language itself. */
  like?: Language;
  /** Of two compared runs: A is drawn solid, B dashed and hollow, whatever their language. */
  slot?: 'A' | 'B';
  /** A layer marked on the line itself, e.g. an MRD; null: none. */
  mark?: number | null;
  /** Emphasised; when any series is, the others step back, and are named by their language's code. */
  pinned?: boolean;
}
export interface LayerCurvesData {
  series: LayerSeries[];
  /** Layer numbers; default 0, 1, 2 … */
  layers?: number[];
  /** What is measured, with its unit: stands above the axis. */
  y: string;
  /** Fixed range; else from the data. */
  domain?: [number, number];
  /** Horizontal references, e.g. chance or "all recovered". */
  references?: { value: number; text: string }[];
  /** Layers marked by a vertical line, e.g. an MRD. */
  marks?: { layer: number; text: string; group?: TokenGroup }[];
  format?: (v: number) => string;
}

const finite = (v: ArrayLike<number> | undefined): number[] => (v ? Array.from(v).filter((x) => Number.isFinite(x)) : []);

export function layerCurves(data: LayerCurvesData, options: ChartOptions & { compact?: boolean }): Chart {
  return curves('layer-curves', data, options);
}

function colourOf(s: LayerSeries, theme: Theme, byGroup: boolean): string {
  if (byGroup && s.group) return theme.groups[s.group];
  const language = s.like ?? s.language;
  if (language !== undefined) return languageColour(theme, language);
  return s.group ? theme.groups[s.group] : theme.ink;
}

function curves(kind: string, data: LayerCurvesData, options: ChartOptions & { compact?: boolean }): Chart {
  const theme = options.theme ?? cssTheme;
  const { width } = options;
  const compact = options.compact ?? false;
  const height = options.height ?? Math.round(Math.max(220, Math.min(380, width * 0.42)));
  const count = Math.max(0, ...data.series.map((s) => s.values.length));
  const layers = data.layers ?? Array.from({ length: count }, (_, l) => l);
  const format = data.format ?? short;
  const anyPinned = data.series.some((s) => s.pinned);
  const strong = (s: LayerSeries): boolean => !anyPinned || s.pinned === true;
  const byGroup = new Set(data.series.map((s) => s.group)).size > 1;

  // where there is room every line is named: those with emphasis in full, a language of the context by its code
  const few = data.series.filter((s) => strong(s) || s.language).length <= 14;
  const named = compact ? [] : few ? data.series.filter((s) => strong(s) || s.language) : data.series.filter(strong).length <= 12 ? data.series.filter(strong) : [];
  const nameOf = (s: LayerSeries): string => (strong(s) || !s.language ? s.name : s.language);
  const nameRoom = Math.min(width * 0.32, Math.max(0, ...named.map((s) => textWidth(nameOf(s), SIZE.text) * 1.04 + 18)));
  const plot: Box = { x: 38, y: compact ? 24 : 30, w: width - 38 - Math.max(14, nameRoom), h: height - (compact ? 24 : 30) - (compact ? 22 : 44) };
  const all = data.series.flatMap((s) => [...finite(s.values), ...finite(s.low), ...finite(s.high)]);
  if (all.length === 0) all.push(0, 1);
  const refs = data.references ?? [];
  let lo = Math.min(...all, ...refs.map((r) => r.value));
  let hi = Math.max(...all, ...refs.map((r) => r.value));
  if (hi - lo < 1e-9) {
    lo -= 0.5;
    hi += 0.5;
  }
  const y = scaleLinear(data.domain ?? [lo, hi], [plot.y + plot.h, plot.y]);
  if (!data.domain) y.nice(4);
  const x = scaleLinear([layers[0] ?? 0, layers[layers.length - 1] ?? 1], [plot.x + 6, plot.x + plot.w - 6]);
  const selected = options.selection?.layer;

  const order = [...data.series].sort((a, b) => Number(strong(a)) - Number(strong(b)));
  const drawn = order.map((s): SvgNode => {
    const on = strong(s);
    const colour = colourOf(s, theme, byGroup);
    const style = languageStyle(s.like ?? s.language ?? 'en');
    const px = layers.map((l) => x(l));
    const py = layers.map((_, i) => (i < s.values.length ? y(s.values[i]) : NaN));
    const lastAt = py.reduce((k, v, i) => (Number.isFinite(v) ? i : k), -1);
    return h(
      'g',
      { class: `path ${on ? 'is-pinned' : 'is-context'}`, 'data-language': s.language, 'data-group': s.group, 'data-slot': s.slot, role: 'img', 'aria-label': `${s.name}: ${describe(s, layers, format)}` },
      s.low && s.high ? h('path', { class: 'spread', d: bandPath(layers, s.low, s.high, x, y), fill: colour, 'fill-opacity': on ? 0.13 : 0.065 }) : null,
      h('path', { class: 'line', d: linePath(px, py), fill: 'none', stroke: colour, 'stroke-opacity': on ? null : 0.5, 'stroke-width': on ? 1.8 : 1, 'stroke-dasharray': (s.slot ? (s.slot === 'B' ? '5 3' : '') : style.dash) || null, 'stroke-linejoin': 'round', 'stroke-linecap': 'round' }),
      lastAt >= 0 && (s.like ?? s.language) !== undefined && on ? h('path', { class: 'end', d: markerPath(style.marker, px[lastAt], py[lastAt], 3.2), fill: s.slot === 'B' ? theme.background : colour, stroke: s.slot === 'B' ? colour : null }) : null,
      s.mark === null || s.mark === undefined || !Number.isFinite(py[layers.indexOf(s.mark)]) ? null : h('circle', { class: 'mark', 'data-layer': s.mark, cx: px[layers.indexOf(s.mark)], cy: py[layers.indexOf(s.mark)], r: 4.5, fill: theme.background, stroke: colour, 'stroke-width': 2 }),
      on ? px.map((at, i) => (Number.isFinite(py[i]) ? h('circle', { class: layers[i] === selected ? 'reveal is-lit' : 'reveal', 'data-layer': layers[i], cx: at, cy: py[i], r: 3.5, fill: colour, stroke: theme.background, 'stroke-width': 1.5 }) : null)) : null,
    );
  });

  const lastOf = (s: LayerSeries): number => {
    for (let i = s.values.length - 1; i >= 0; i--) if (Number.isFinite(s.values[i])) return s.values[i];
    return NaN;
  };
  const labelled = named.filter((s) => Number.isFinite(lastOf(s)));
  // a name too long for its room takes two lines
  const lines = labelled.map((s) => wrap(nameOf(s), nameRoom - 4, SIZE.text * 1.04));
  const apart = lines.some((l) => l.length > 1) ? 28 : Math.min(15, plot.h / Math.max(1, labelled.length - 1));
  const labelY = spreadOut(labelled.map((s) => y(lastOf(s))), apart, plot.y, plot.y + plot.h);
  const bold = labelled.filter(strong).length <= 4;
  // a name that was moved away from its line's end is led back to it
  const leaders = labelled.map((s, i) => (anyPinned && Math.abs(labelY[i] - y(lastOf(s))) > 4 ? h('path', { class: 'leader', d: `M${num(plot.x + plot.w - 4)},${num(y(lastOf(s)))}L${num(plot.x + plot.w + 4)},${num(labelY[i])}`, fill: 'none', stroke: colourOf(s, theme, byGroup), 'stroke-width': 0.7, 'stroke-opacity': 0.6 }) : null));
  const names = labelled.map((s, i) =>
    h('text', { class: 'name', 'data-language': s.language, 'data-group': s.group, x: plot.x + plot.w + 6, y: labelY[i] + 4, 'font-size': strong(s) ? null : SIZE.small, 'font-weight': bold && strong(s) ? 600 : null, fill: colourOf(s, theme, byGroup) }, lines[i].length === 1 ? lines[i][0] : lines[i].map((line, k) => h('tspan', { x: plot.x + plot.w + 6, dy: k ? 13 : -6.5 * (lines[i].length - 1) }, `${line} `))),
  );

  const finding = options.label ?? curvesFinding(data, order.filter(strong), layers, format);
  const inside = (v: number): boolean => v >= Math.min(...y.domain()) - 1e-9 && v <= Math.max(...y.domain()) + 1e-9;
  return {
    svg: frame(
      kind,
      options,
      height,
      finding,
      layerBands(layers, x, plot, theme, selected),
      yAxis(plot, y, theme, { format, zero: true, name: fit(data.y, width - 8, SIZE.text) }),
      layerAxis(layers, x, plot.y + plot.h + 17, theme, selected, compact ? undefined : { text: 'layer →', x: plot.x + plot.w }),
      refs.filter((r) => inside(r.value)).map((r) => h('g', { class: 'reference', 'aria-hidden': 'true' }, h('path', { d: `M${num(plot.x)},${num(y(r.value))}H${num(plot.x + plot.w)}`, stroke: theme.muted, 'stroke-dasharray': '2 3' }), h('text', { x: plot.x + 6, y: y(r.value) + (y(r.value) < plot.y + 14 ? 13 : -5), 'font-size': SIZE.small, fill: theme.muted }, r.text))),
      (data.marks ?? []).map((m) => {
        const colour = m.group ? theme.groups[m.group] : theme.accent;
        const right = x(m.layer) > plot.x + plot.w * 0.6;
        return h('g', { class: 'layer-mark', 'data-layer': m.layer }, h('path', { d: `M${num(x(m.layer))},${num(plot.y)}V${num(plot.y + plot.h)}`, stroke: colour, 'stroke-dasharray': '4 3' }), h('text', { x: x(m.layer) + (right ? -5 : 5), y: plot.y + 11, 'text-anchor': right ? 'end' : 'start', 'font-size': SIZE.small, fill: colour }, m.text));
      }),
      drawn,
      leaders,
      names,
    ),
    width,
    height,
    title: options.title ?? `${data.y}, by layer`,
    finding,
    table: {
      columns: ['layer', ...data.series.flatMap((s) => (s.low && s.high ? [s.name, ...(s.bounds ?? ['low', 'high']).map((b) => `${s.name}, ${b}`)] : [s.name]))],
      rows: layers.map((l, i): Cell[] => [l, ...data.series.flatMap((s): Cell[] => (s.low && s.high ? [s.values[i] ?? null, s.low[i] ?? null, s.high[i] ?? null] : [s.values[i] ?? null]))]),
    },
    locate(px, py) {
      if (layers.length === 0 || px < plot.x - 12 || px > plot.x + plot.w + 12 || py < plot.y - 12 || py > plot.y + plot.h + 12) return null;
      const i = layers.reduce((best, l, k) => (Math.abs(x(l) - px) < Math.abs(x(layers[best]) - px) ? k : best), 0);
      const here = data.series.filter((s) => Number.isFinite(s.values[i]));
      if (here.length === 0) return { layer: layers[i], x: x(layers[i]), y: py, text: `layer ${layers[i]}: no value` };
      return hitOf(here.reduce((a, b) => (Math.abs(y(b.values[i]) - py) < Math.abs(y(a.values[i]) - py) ? b : a)), i);
    },
    at(layer) {
      const i = layers.indexOf(layer);
      return i < 0 ? [] : data.series.filter((s) => Number.isFinite(s.values[i])).sort((a, b) => b.values[i] - a.values[i]).map((s) => hitOf(s, i));
    },
    lasso: (x0, _y0, x1) => caught(layers, layers.map((l) => x(l)), layers.map(() => 0), [x0, 0, x1, 0]),
  };
  function hitOf(s: LayerSeries, i: number): Hit {
    return { layer: layers[i], language: s.language, group: s.group, x: x(layers[i]), y: y(s.values[i]), text: `${s.name}, layer ${layers[i]}: ${format(s.values[i])}${s.low && s.high ? ` (${between(s, i, format)})` : ''}` };
  }
}

function bandPath(layers: number[], low: ArrayLike<number>, high: ArrayLike<number>, x: (v: number) => number, y: (v: number) => number): string {
  const band = area<number>()
    .defined((_, i) => Number.isFinite(low[i]) && Number.isFinite(high[i]))
    .x((layer) => round(x(layer)))
    .y0((_, i) => round(y(low[i])))
    .y1((_, i) => round(y(high[i])));
  return band(layers) ?? '';
}

/** The band's edges at one layer, in words. */
const between = (s: LayerSeries, i: number, format: (v: number) => string): string => {
  const [low, high] = [format(s.low?.[i] ?? NaN), format(s.high?.[i] ?? NaN)];
  return s.bounds ? `${s.bounds[0]} ${low}, ${s.bounds[1]} ${high}` : `${low} to ${high}`;
};

function describe(s: LayerSeries, layers: number[], format: (v: number) => string): string {
  let top = -1;
  let last = -1;
  let first = -1;
  for (let i = 0; i < s.values.length; i++) {
    if (!Number.isFinite(s.values[i])) continue;
    if (first < 0) first = i;
    last = i;
    if (top < 0 || s.values[i] > s.values[top]) top = i;
  }
  if (top < 0) return 'no value';
  const band = s.low && s.high ? ` (there ${between(s, top, format)})` : '';
  return `${format(s.values[first])} at layer ${layers[first]}, highest ${format(s.values[top])} at layer ${layers[top]}${band}, ${format(s.values[last])} at layer ${layers[last]}`;
}

function curvesFinding(data: LayerCurvesData, strong: LayerSeries[], layers: number[], format: (v: number) => string): string {
  if (strong.length === 0) return `${data.y}: nothing to show.`;
  const shown = strong.slice(-3).map((s) => `${s.name} ${describe(s, layers, format)}`);
  return `${data.y} by layer: ${shown.join('; ')}${strong.length > 3 ? `; and ${strong.length - 3} more` : ''}.`;
}

export interface PatchCurvesData {
  /** Share of the logit difference recovered, per patched group and layer; 0 = nothing, 1 = all. No group: positions named one by one. */
  series: { group?: TokenGroup; effect: ArrayLike<number>; low?: ArrayLike<number>; high?: ArrayLike<number>; name?: string }[];
  layers?: number[];
  marks?: LayerCurvesData['marks'];
}

const PATCH_NAME: Partial<Record<TokenGroup, string>> = { question: 'question', answerSpan: 'answer span', readout: 'readout' };

/** Patching [O]: recovered share of the logit difference when the clean run's h[l] is put into the corrupted run at one group. */
export function patchCurves(data: PatchCurvesData, options: ChartOptions): Chart {
  return curves(
    'patch-curves',
    {
      series: data.series.map((s) => ({ name: s.name ?? (s.group ? (PATCH_NAME[s.group] ?? s.group) : 'positions'), group: s.group, values: s.effect, low: s.low, high: s.high })),
      layers: data.layers,
      y: 'Recovered share of the logit difference',
      references: [{ value: 1, text: 'all recovered' }],
      marks: data.marks,
    },
    { title: 'Effect of patching one token group, by layer', ...options },
  );
}
