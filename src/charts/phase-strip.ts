/**
 * The two-phase strip: layers from left to right, the two phases as spans, and under them the evidence at hand, named.
 * Phases [O] rest on MRD [R]; without relevance no span is drawn, only the evidence, and the strip says so.
 */
import { scaleLinear } from 'd3-scale';
import type { TokenGroup } from '../types';
import { layerAxis, layerBands } from './axes';
import { caught, frame, SIZE, type Cell, type Chart, type ChartOptions, type Hit } from './chart';
import type { Box } from './labels';
import { h, num, type SvgNode } from './svg';
import { fit, short } from './text';
import { cssTheme } from './theme';

/** Nothing in the prompt belongs to the group; its relevance has values that are NaN or infinite; it has none; nobody has computed it. */
export type Unknown = 'absent' | 'not finite' | 'no relevance' | 'not computed';

/** In the middle of a sentence. */
function whyUnknown(why: Unknown, of: string): string {
  if (why === 'not computed') return 'relevance has not been computed';
  if (why === 'absent') return `there is no ${of}`;
  return why === 'not finite' ? `the relevance of the ${of} is not finite` : `the ${of} has no relevance`;
}

export interface PhaseStripData {
  /** Last layer number L. */
  layers: number;
  /** MRD of question and answer span (or the mean over items), as a layer; or why it is not known. */
  question: number | Unknown;
  answer: number | Unknown;
  /** Spread over items in layers (one standard deviation each way). */
  questionSpread?: number;
  answerSpread?: number;
  /** Rows of evidence, each by layer 0..L; drawn as areas from the row's own minimum to its maximum. */
  tracks?: { name: string; values: ArrayLike<number>; group?: TokenGroup; mark?: number | null }[];
  /** What the strip rests on: 'relevance (MRD at 95 %)' or 'similarity and lens'. */
  evidence: string;
}

export function phaseStrip(data: PhaseStripData, options: ChartOptions): Chart {
  const theme = options.theme ?? cssTheme;
  const { width } = options;
  const tracks = data.tracks ?? [];
  const spanH = 26;
  const trackH = 48;
  const topH = 46;
  const height = options.height ?? topH + spanH + tracks.length * trackH + 46;
  const plot: Box = { x: 12, y: topH, w: width - 24, h: spanH + tracks.length * trackH };
  const layers = Array.from({ length: data.layers + 1 }, (_, l) => l);
  const x = scaleLinear([0, Math.max(1, data.layers)], [plot.x + 4, plot.x + plot.w - 4]);
  const half = (x(1) - x(0)) / 2;
  const selected = options.selection?.layer;

  /** MRD: the layer from which on the group's relevance stays low, with its spread over items. */
  const depth = (at: number, group: TokenGroup, spread: number | undefined): SvgNode[] => {
    const b = Math.min(plot.x + plot.w, x(at) + half);
    const colour = theme.groups[group];
    return [
      h('path', { class: 'mrd', 'data-group': group, d: `M${num(b)},${num(plot.y)}v${spanH}`, stroke: colour, 'stroke-width': 2.5 }),
      spread ? h('path', { class: 'spread', d: `M${num(Math.max(plot.x, b - spread * 2 * half))},${num(plot.y + spanH / 2)}H${num(Math.min(plot.x + plot.w, b + spread * 2 * half))}`, stroke: colour, 'stroke-width': 1.2 }) : h('g'),
    ];
  };
  const span = (from: number, to: number, group: TokenGroup, label: string): SvgNode => {
    const a = Math.max(plot.x, x(from) - half);
    const b = Math.min(plot.x + plot.w, x(to) + half);
    return h('rect', { class: 'phase', 'data-group': group, x: a, y: plot.y, width: Math.max(1, b - a), height: spanH, rx: 2, fill: theme.groups[group], 'fill-opacity': 0.18, role: 'img', 'aria-label': `${label}: blocks ${short(from)} to ${short(to)}` });
  };
  const q = typeof data.question === 'number' ? data.question : null;
  const a = typeof data.answer === 'number' ? data.answer : null;
  const noQuestion = typeof data.question === 'number' ? '' : whyUnknown(data.question, 'question');
  const noAnswer = typeof data.answer === 'number' ? '' : whyUnknown(data.answer, 'answer span');
  const ordered = q !== null && a !== null && a > q;
  const share = (l: number): string => `${short(l)} (${Math.round((l / Math.max(1, data.layers)) * 100)} %)`;
  const none = q !== null && a !== null && !ordered ? `MRD: question layer ${short(q)}, answer span layer ${short(a)}, not after it` : null;
  const words: SvgNode[] = [];
  const say = (head: string, more: string, at: { x: number; end?: boolean; room: number }, fill: string): void => {
    const place = { x: at.x, ...(at.end ? { 'text-anchor': 'end' } : {}) };
    words.push(h('text', { ...place, y: 16, 'font-weight': 600, fill }, head), h('text', { ...place, y: 32, 'font-size': SIZE.small, fill: theme.muted }, fit(more, at.room, SIZE.small)));
  };
  const left = { x: plot.x, room: plot.w };
  if (none !== null) say('No two phases here', none, left, theme.ink);
  else if (q === null) say('No phase boundary drawn', `${noQuestion}; evidence: ${data.evidence}`, left, theme.ink);
  else {
    const at = Math.min(Math.max(Math.min(plot.x + plot.w, x(q) + half), plot.x + 130), width - 130);
    say('Question encoding', `to layer ${share(q)}`, { ...left, room: at - plot.x }, theme.groups.question);
    if (ordered) say('Answer retrieval', `to layer ${share(a)}`, { x: at, room: plot.x + plot.w - at }, theme.groups.answerSpan);
    else say('', noAnswer, { x: plot.x + plot.w, end: true, room: plot.w - 130 }, theme.muted);
  }

  const rows = tracks.map((t, k): SvgNode => {
    const top = plot.y + spanH + k * trackH + 20;
    const base = top + trackH - 24;
    const values = Array.from(t.values);
    const fin = values.filter(Number.isFinite);
    const lo = Math.min(...fin, Infinity);
    const hi = Math.max(...fin, -Infinity);
    const y = scaleLinear([lo, hi > lo ? hi : lo + 1], [base, top + 2]);
    const colour = t.group ? theme.groups[t.group] : theme.ink;
    let line = '';
    let area = '';
    let pen = false;
    values.forEach((v, l) => {
      if (!Number.isFinite(v)) {
        pen = false;
        return;
      }
      line += `${pen ? 'L' : 'M'}${num(x(l))},${num(y(v))}`;
      area += `${pen ? 'L' : `${area === '' ? '' : 'Z'}M${num(x(l))},${num(base)}L`}${num(x(l))},${num(y(v))}`;
      if (l === values.length - 1 || !Number.isFinite(values[l + 1])) area += `L${num(x(l))},${num(base)}`;
      pen = true;
    });
    return h(
      'g',
      { class: 'track', 'data-group': t.group, role: 'img', 'aria-label': `${t.name}: ${fin.length > 0 ? `from ${short(lo)} to ${short(hi)}` : 'no value'}${t.mark === null || t.mark === undefined ? '' : `, marked at layer ${t.mark}`}` },
      h('path', { d: area === '' ? 'M0,0' : `${area}Z`, fill: colour, 'fill-opacity': 0.12 }),
      h('path', { class: 'line', d: line || 'M0,0', fill: 'none', stroke: colour, 'stroke-width': 1.3 }),
      t.mark === null || t.mark === undefined ? null : h('circle', { class: 'mark', 'data-layer': t.mark, cx: x(t.mark), cy: Number.isFinite(values[t.mark]) ? y(values[t.mark]) : base, r: 3.5, fill: colour }),
      h('text', { x: plot.x, y: top - 4, 'font-size': SIZE.small, fill: theme.muted }, fit(`${t.name}${fin.length > 0 ? ` · ${short(lo)} to ${short(hi)}` : ' · no value'}`, plot.w, SIZE.small)),
    );
  });

  const finding =
    options.label ??
    (q === null
      ? `No phase boundary: ${noQuestion}. ${tracks.map((t) => (t.mark === null || t.mark === undefined ? '' : `${t.name}: layer ${t.mark}. `)).join('')}Evidence: ${data.evidence}.`
      : none !== null
        ? `No two phases here: ${none}. Evidence: ${data.evidence}.`
        : `Question encoding ends at layer ${share(q)} of ${data.layers}; ${ordered ? `answer retrieval runs to layer ${share(a)}` : noAnswer}. Evidence: ${data.evidence}.`);
  /** Of a layer, where phases are drawn. */
  const phase = (l: number): string => (q === null || none !== null || l < 1 ? '' : l <= q ? 'question encoding' : ordered && l <= a ? 'answer retrieval' : '');
  return {
    svg: frame(
      'phase-strip',
      options,
      height,
      finding,
      h('g', { class: 'words', 'aria-hidden': 'true' }, words),
      layerBands(layers, x, plot, theme, selected),
      h('rect', { class: 'rail', x: plot.x, y: plot.y, width: plot.w, height: spanH, rx: 2, fill: 'none', stroke: theme.line }),
      q !== null && q >= 1 && none === null ? span(1, q, 'question', 'question encoding') : null,
      ordered ? span(q + 1, a, 'answerSpan', 'answer retrieval') : null,
      q !== null && q >= 1 ? depth(q, 'question', data.questionSpread) : null,
      a !== null && q !== null ? depth(a, 'answerSpan', data.answerSpread) : null,
      layers.slice(1, -1).map((l) => h('path', { d: `M${num(x(l))},${num(plot.y + spanH - 4)}v4`, stroke: theme.line })),
      rows,
      layerAxis(layers, x, plot.y + plot.h + 16, theme, selected, { text: fit(`layer → · evidence: ${data.evidence}`, plot.w, SIZE.text), x: plot.x + plot.w }),
    ),
    width,
    height,
    title: options.title ?? (q === null ? 'Evidence of the two phases, by layer' : ordered ? 'Two phases: question encoding, then answer retrieval' : 'Question and answer span, by layer'),
    finding,
    table: {
      columns: ['layer', 'phase', ...tracks.map((t) => t.name)],
      rows: layers.map((l): Cell[] => [l, phase(l), ...tracks.map((t) => t.values[l] ?? null)]),
    },
    locate(px, py) {
      if (px < plot.x || px > plot.x + plot.w || py < plot.y || py > plot.y + plot.h + 20) return null;
      const l = Math.max(0, Math.min(data.layers, Math.round(x.invert(px))));
      return { ...hitOf(l), y: py };
    },
    at: (l) => (l >= 0 && l <= data.layers ? [hitOf(l)] : []),
    lasso: (x0, _y0, x1) => caught(layers, layers.map((l) => x(l)), layers.map(() => 0), [x0, 0, x1, 0]),
  };
  function hitOf(l: number): Hit {
    return { layer: l, x: x(l), y: plot.y + spanH, text: [`layer ${l}`, ...tracks.map((t) => `${t.name} ${short(t.values[l] ?? NaN)}`)].join(' · ') };
  }
}
