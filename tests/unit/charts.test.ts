import { describe, expect, it } from 'vitest';
import {
  cssTheme,
  darkTheme,
  errorStack,
  fit,
  h,
  isolated,
  layerCurves,
  leastSquares,
  lensColumn,
  lensGrid,
  lightTheme,
  matrix,
  patchCurves,
  phaseStrip,
  promptText,
  profile,
  relevanceHeatmap,
  renderPretty,
  renderToString,
  scatterFit,
  scriptOf,
  smallMultiples,
  standalone,
  tokenText,
  trajectory,
  trajectoryDomain,
  type Chart,
  type Hit,
  type PhaseStripData,
} from '../../src/charts';
import { LANGUAGES, type TokenInfo } from '../../src/types';
import { alignment, errors, f1Matrix, lens, pair, patch, relevance, scatter, twelve } from '../fixtures/charts/data';

/** Every chart passes here: snapshot, label, no text under 11 px, nothing unescaped, no NaN. */
async function check(name: string, chart: Chart): Promise<void> {
  const svg = renderPretty(chart.svg);
  await expect(svg + '\n').toMatchFileSnapshot(`../fixtures/charts/${name}.svg`);
  expect(chart.svg.attrs['aria-label']).toBeTruthy();
  expect(chart.finding.length).toBeGreaterThan(20);
  expect(svg).not.toMatch(/NaN|undefined|Infinity/);
  for (const m of svg.matchAll(/font-size="([\d.]+)"/g)) expect(Number(m[1])).toBeGreaterThanOrEqual(11);
  for (const row of chart.table.rows) expect(row).toHaveLength(chart.table.columns.length);
}

/** The points of a trajectory's lines as drawn, each with its place in its line: its layer, where none is left out. */
function lineSpots(chart: Chart): [number, number, number][] {
  const lines = [...renderToString(chart.svg).matchAll(/class="line" d="([^"]*)"/g)];
  return lines.flatMap(([, d]) => [...d.matchAll(/[ML](-?[\d.]+),(-?[\d.]+)/g)].map((m, i): [number, number, number] => [i, Number(m[1]), Number(m[2])]));
}

describe('the SVG tree', () => {
  it('escapes text and attributes, whatever a token holds', () => {
    expect(renderToString(h('text', { 'aria-label': '"<&' }, '<script>&\u0000\uD800'))).toBe('<text aria-label="&quot;&lt;&amp;">&lt;script&gt;&amp;\uFFFD\uFFFD</text>');
  });
  it('rounds to three places and drops empty attributes', () => {
    expect(renderToString(h('g', { x: 1.23456, y: -0.0001, z: null, on: true, off: false }))).toBe('<g x="1.235" y="0" on=""/>');
  });
  it('never tears a grapheme when it cuts', () => {
    for (const text of ['क्षत्रिय विद्यालय', 'กรุงเทพมหานครฯ', '👩‍👩‍👧‍👦👩‍👩‍👧‍👦👩‍👩‍👧‍👦']) {
      const whole = new Set([...new Intl.Segmenter('und', { granularity: 'grapheme' }).segment(text)].map((s) => s.index + s.segment.length));
      for (let w = 10; w < 120; w += 7) {
        const cut = fit(text, w, 12);
        if (cut !== text) expect([0, ...whole]).toContain(cut.length - 1);
      }
    }
  });
});

describe('marks', () => {
  it('trajectory, a pair of languages', () => check('trajectory-pair', trajectory(pair, { width: 900, theme: lightTheme, selection: { layer: 7 } })));
  it('trajectory, twelve languages, dark', () => check('trajectory-twelve', trajectory(twelve, { width: 900, theme: darkTheme })));
  it('trajectory, narrow', () => check('trajectory-narrow', trajectory(pair, { width: 360, theme: lightTheme })));
  it('trajectory, a range of layers', async () => {
    const chart = trajectory(pair, { width: 700, theme: lightTheme, range: [3, 6] });
    await check('trajectory-range', chart);
    const svg = renderToString(chart.svg);
    // of each path all of it, dim, and over it the four layers inside, their line and their dots
    const count = (cls: string): number[] => [...svg.matchAll(new RegExp(`class="${cls}" d="([^"]*)"`, 'g'))].map((m) => (m[1].match(/[ML]/g) ?? []).length);
    expect(count('line is-dim')).toEqual([13, 13, 13, 13]);
    expect(count('line')).toEqual([4, 4, 4, 4]);
    expect(count('dot')).toEqual([4, 4, 4, 4]);
    expect(count('start')).toEqual([0, 0, 0, 0]);
    expect(chart.finding).toMatch(/^From layer 3 to 6, in this plane/);
  });
  it('a lasso catches the layers in its box, the arrow keys what lies at one', () => {
    const chart = trajectory(pair, { width: 700, theme: lightTheme });
    const spots = lineSpots(chart);
    const [, x, y] = spots.find(([layer]) => layer === 5) as number[];
    const inside = spots.filter((s) => Math.abs(s[1] - x) <= 9 && Math.abs(s[2] - y) <= 9).map((s) => s[0]);
    expect(chart.lasso?.(x + 9, y - 9, x - 9, y + 9)).toEqual([Math.min(...inside), Math.max(...inside)]);
    expect(chart.lasso?.(-50, -50, -20, -20)).toBeNull();
    expect(chart.lasso?.(-1e4, -1e4, 1e4, 1e4)).toEqual([0, 12]);
    const here = chart.at?.(5) ?? [];
    expect(here).toHaveLength(pair.paths.length);
    for (const hit of here) {
      expect(hit.text).toContain('layer 5');
      expect(chart.locate(hit.x, hit.y)?.layer).toBe(5);
    }
    const curves = layerCurves(alignment, { width: 600 });
    const [a, b] = [curves.at?.(2)[0], curves.at?.(4)[0]];
    expect(curves.lasso?.((b?.x ?? 0) + 3, 0, (a?.x ?? 0) - 3, 9)).toEqual([2, 4]);
    expect(lensColumn({ cells: lens() }, { width: 400 }).at?.(3).map((h) => h.text)).toEqual([expect.stringContaining('layer 3')]);
  });
  it('lens column', () => check('lens-column', lensColumn({ cells: lens() }, { width: 900, theme: lightTheme, selection: { layer: 7 } })));
  it('lens column, narrow', () => check('lens-column-narrow', lensColumn({ cells: lens() }, { width: 360, theme: lightTheme })));
  it('lens grid', () => check('lens-grid', lensGrid({ cells: [...lens(12, 40), ...lens(12, 41)], positions: [{ position: 40, text: '?' }, { position: 41, text: '\n' }] }, { width: 900, theme: lightTheme })));

  const theme = lightTheme;
  const selection = { layer: 7 };
  it('layer curves with a band and a reference', () => check('layer-curves', layerCurves(alignment, { width: 900, theme, selection })));
  it('layer curves, a band over languages with one language in it', async () => {
    const bounds = ['lowest', 'highest'] as const;
    const chart = layerCurves(
      { y: 'cosine · shaded: lowest to highest', series: [{ name: 'mean of 11 languages', values: [0.2, 0.5, 0.9], low: [0.1, 0.4, 0.7], high: [0.4, 0.8, 1], bounds }, { name: 'Thai', language: 'th', values: [0.1, 0.6, 0.8] }] },
      { width: 600, theme },
    );
    await check('layer-curves-languages', chart);
    expect(chart.table.columns).toEqual(['layer', 'mean of 11 languages', 'mean of 11 languages, lowest', 'mean of 11 languages, highest', 'Thai']);
    expect(chart.table.rows[1]).toEqual([1, 0.5, 0.4, 0.8, 0.6]);
    expect(chart.finding).toContain('highest 0.9 at layer 2 (there lowest 0.7, highest 1)');
  });
  it('patch curves', () => check('patch-curves', patchCurves(patch, { width: 900, theme, selection })));
  const tracks = [{ name: 'question relevance', group: 'question' as const, values: patch.series[0].effect, mark: 5 }];
  it('phase strip', () => check('phase-strip', phaseStrip({ layers: 12, question: 5, answer: 9, questionSpread: 0.8, answerSpread: 1.1, evidence: 'relevance (MRD at 95 %)', tracks }, { width: 900, theme, selection })));
  it('phase strip without relevance draws no boundary', async () => {
    const chart = phaseStrip({ layers: 12, question: 'not computed', answer: 'not computed', evidence: 'similarity and lens', tracks }, { width: 600, theme });
    await check('phase-strip-evidence', chart);
    expect(renderToString(chart.svg)).not.toContain('class="phase"');
    expect(chart.finding).toContain('No phase boundary');
  });
  it('phase strip where the answer comes no later names no phase at all, and marks both depths', () => {
    const chart = phaseStrip({ layers: 12, question: 8, answer: 6, evidence: 'relevance' }, { width: 600 });
    const svg = renderToString(chart.svg);
    expect(chart.finding).toMatch(/^No two phases here: MRD: question layer 8, answer span layer 6/);
    expect(`${svg} ${chart.title} ${JSON.stringify(chart.table.rows)}`).not.toMatch(/question encoding|answer retrieval|class="phase"/i);
    expect(svg.match(/class="mrd"/g)).toHaveLength(2);
  });
  it('phase strip says why it has no depth', () => {
    const said = (question: PhaseStripData['question'], answer: PhaseStripData['answer']): string => {
      const chart = phaseStrip({ layers: 12, question, answer, evidence: 'relevance' }, { width: 700 });
      return `${chart.finding} ${[...renderToString(chart.svg).matchAll(/<text[^>]*>([^<]*)</g)].map((m) => m[1]).join(' ')}`;
    };
    for (const [why, words] of [['not computed', 'relevance has not been computed'], ['absent', 'there is no question'], ['not finite', 'the relevance of the question is not finite'], ['no relevance', 'the question has no relevance']] as const) {
      expect(said(why, 3).split(words)).toHaveLength(3);
      if (why !== 'not computed') expect(said(why, 3)).not.toContain('computed');
    }
    for (const [why, words] of [['absent', 'there is no answer span'], ['not finite', 'the relevance of the answer span is not finite'], ['no relevance', 'the answer span has no relevance']] as const) {
      expect(said(5, why).split(words)).toHaveLength(3);
      if (why !== 'absent') expect(said(5, why)).not.toContain('there is no');
    }
  });
  it('relevance heatmap', async () => {
    const chart = relevanceHeatmap(relevance(44), { width: 900, theme, selection: { layer: 7, token: 12 } });
    await check('relevance', chart);
    expect(chart.finding).toContain('1 values are not finite');
    expect(renderToString(chart.svg)).toContain('not-finite');
    expect(chart.locate(34 + 20, 100)?.token).toBe(1);
  });
  it('relevance heatmap: every group that is there has its name, and the depth it is given', () => {
    const data = relevance(44);
    const groupMrd = { template: 7, context: 7, answerSpan: 9, question: 5, readout: 12 };
    const svg = renderToString(relevanceHeatmap({ ...data, groupMrd }, { width: 900, theme }).svg);
    for (const [group, name] of [['template', 'template'], ['context', 'context'], ['answerSpan', 'answer span'], ['question', 'question'], ['readout', 'readout']]) {
      expect(svg, group).toMatch(new RegExp(`<text class="name" data-group="${group}"[^>]*>${name}</text>`));
      expect(svg, group).toMatch(new RegExp(`class="group-mrd" data-group="${group}" data-layer="${groupMrd[group as keyof typeof groupMrd]}"`));
    }
    // two depths that would be written over each other: one is
    const beside = renderToString(relevanceHeatmap({ ...data, tokens: data.tokens.map((t, i) => ({ ...t, group: i < 1 ? 'template' : 'question' })), groupMrd: { template: 5, question: 5 } }, { width: 900, theme }).svg);
    expect(beside.match(/>MRD 5</g)).toHaveLength(1);
    expect(beside).toMatch(/data-group="question" data-layer="5"[^>]*><path[^>]*><path[^>]*><text/);
  });
  it('layer curves carry a mark on their own line', () => {
    const svg = renderToString(layerCurves({ y: 'relevance', series: [{ name: 'question', group: 'question', values: [1, 2, 0], mark: 1 }, { name: 'readout', group: 'readout', values: [0, NaN, 3], mark: 1 }] }, { width: 500, theme }).svg);
    expect([...svg.matchAll(/<circle class="mark" data-layer="(\d)"/g)].map((m) => m[1])).toEqual(['1']);
  });
  it('relevance of 600 tokens is a handful of map elements', () => {
    const chart = relevanceHeatmap(relevance(600, 37), { width: 1200, theme });
    expect((renderToString(chart.svg).match(/class="cells/g) ?? []).length).toBeLessThanOrEqual(21);
  });
  it('profile', () => check('profile', profile({ name: 'Paris', group: 'answerSpan', values: patch.series[1].effect, mrd: 8 }, { width: 600, theme, selection })));
  it('matrix', () => check('matrix', matrix(f1Matrix, { width: 900, theme })));
  it('matrix turned on a narrow screen', () => check('matrix-narrow', matrix(f1Matrix, { width: 360, theme: darkTheme })));
  it('error stack', () => check('error-stack', errorStack(errors, { width: 900, theme })));
  it('scatter with a fit', () => check('scatter', scatterFit(scatter, { width: 900, theme })));
  it('scatter refuses a line under five points, and without spread', async () => {
    const chart = scatterFit({ ...scatter, points: scatter.points.slice(0, 4) }, { width: 500, theme });
    await check('scatter-four', chart);
    expect(renderToString(chart.svg)).not.toContain('class="fit"');
    expect(chart.finding).toContain('fewer than five');
    expect(leastSquares(Array.from({ length: 6 }, (_, y) => ({ x: 1, y })))).toBeNull();
    expect(leastSquares(Array.from({ length: 6 }, (_, x) => ({ x, y: 2 * x + 1 })))).toMatchObject({ slope: 2, intercept: 1, r: 1, n: 6 });
  });
  it('scatter keeps its axes within what can be, and names its series where there are two', () => {
    const points = [0, 100, 50].map((v, i) => ({ x: v, y: 100 - v, label: `p${i}`, series: i % 2 ? 'post-trained' : 'base' }));
    const svg = renderToString(scatterFit({ points, x: 'oracle', y: 'F1', limits: { x: [0, 100], y: [0, 100] } }, { width: 500, theme }).svg);
    expect([...svg.matchAll(/>(−?\d+)</g)].map((m) => Number(m[1].replace('−', '-'))).filter((v) => v < 0 || v > 100)).toEqual([]);
    expect(svg).toMatch(/class="legend".*>post-trained<.*>base</s);
    const alike = renderToString(scatterFit({ points: points.map((p) => ({ ...p, x: 0 })), x: 'oracle', y: 'F1', limits: { x: [0, 100] } }, { width: 500, theme }).svg);
    expect(alike).toMatch(/text-anchor="middle">100</);
    expect(renderToString(scatterFit({ points: points.map((p) => ({ ...p, series: 'base' })), x: 'x', y: 'y' }, { width: 500, theme }).svg)).not.toContain('legend');
  });
  it('no name is cut on a narrow screen where a second line holds it', () => {
    const series = ['question alignment', 'readout–answer similarity', 'gold token’s probability'].map((name, k) => ({ name, values: [0, 0.1 * k, 0.2 * k] }));
    const svg = renderToString(layerCurves({ series, y: 'A minus B' }, { width: 358, theme }).svg);
    const names = [...svg.matchAll(/<text class="name"[^>]*>(.*?)<\/text>/g)].map((m) => m[1].replace(/<[^>]*>/g, '').trim());
    expect(names).toEqual(series.map((s) => s.name));
    const phases = renderToString(phaseStrip({ layers: 8, question: 5, answer: 3, evidence: 'relevance' }, { width: 358, theme }).svg);
    expect(phases).toMatch(/>No two phases here<.*>MRD: question layer 5, answer span layer 3, not after it</s);
  });
  it('scatter names what lies on one spot once, draws no line where it is told not to, and loses no word of what is said instead', () => {
    const languages = LANGUAGES.slice(1);
    const names = (svg: string): string[] => [...svg.matchAll(/class="name"[^>]*>([^<]*)</g)].map((m) => m[1]);
    const heap = scatterFit({ points: languages.map((language) => ({ x: 0, y: 100, label: language, language })), x: 'base', y: 'post', limits: { x: [0, 100], y: [0, 100] } }, { width: 500, theme });
    expect(names(renderToString(heap.svg))).toEqual(['all 11 at (0, 100)']);
    const at = /class="mark point"[^>]*>.*?d="M([\d.]+),([\d.]+)/s.exec(renderToString(heap.svg));
    expect(heap.locate(Number(at?.[1]), Number(at?.[2]))?.text).toMatch(new RegExp(`^${languages.join(', ')}: `));
    const some = scatterFit({ points: languages.map((language, i) => ({ x: i < 7 ? 0 : 10 * Math.min(i, 9), y: i < 7 ? 100 : 5 * Math.min(i, 9), label: language })), x: 'x', y: 'y' }, { width: 500, theme });
    expect(names(renderToString(some.svg))).toEqual(['7 at (0, 100)', 'th, tr', 'ro', 'ru']);

    const line = { points: [1, 2, 3, 4, 5, 6].map((v) => ({ x: v, y: v * v, label: `p${v}` })), x: 'x', y: 'y' };
    expect(renderToString(scatterFit(line, { width: 500, theme }).svg)).toContain('class="fit"');
    const note = 'all points: no line: all 24 points lie at 0 or 100 %; within Passage base: the points do not vary in one direction; within Passage post-trained: the points do not vary';
    const told = renderToString(scatterFit({ ...line, line: false, note }, { width: 500, theme }).svg);
    expect(told).not.toContain('class="fit"');
    expect([...told.matchAll(/class="statement"[^>]*>([^<]*)</g)].map((m) => m[1]).join(' ')).toBe(note);
  });
  it('small multiples share their scales and answer the pointer', async () => {
    const domain = trajectoryDomain(pair.paths);
    const chart = smallMultiples(
      ['question', 'readout'].map((g) => ({ title: g, build: (s) => trajectory({ ...pair, paths: pair.paths.filter((p) => p.group === g) }, { ...s, theme, compact: true, domain }) })),
      { width: 900, theme },
    );
    await check('small-multiples', chart);
    // what all panels end with is said once
    expect(chart.finding.split('Joint PCA of')).toHaveLength(2);
    expect(chart.finding).toMatch(/^question: .* readout: .*Joint PCA of/s);
    const [, x, y] = lineSpots(chart).find(([layer]) => layer === 5) as number[];
    expect(chart.locate(x, y + 20)?.layer).toBe(5);
  });
  it('the prompt: groups, wrapped lines, right-to-left ones from the right', async () => {
    const token = (text: string, group: TokenInfo['group'], id: number): TokenInfo => ({ id, text, group, start: 0, end: 0, special: text.startsWith('<') });
    const tokens = [
      token('<|user|>', 'template', 2),
      ...'Bruno was born in Oslo . Edith lives in Brno and works in a mill .'.split(' ').map((w, i) => token(`${w} `, w === 'Oslo' ? 'answerSpan' : 'context', 10 + i)),
      token('\n', 'template', 3),
      token('أين', 'question', 40),
      token(' وُلد', 'question', 41),
      token('', 'question', 42),
      token(' برونو؟', 'question', 43),
      token('<|assistant|>', 'readout', 4),
    ];
    const chart = promptText({ tokens }, { width: 360, theme });
    await check('prompt', chart);
    const svg = renderToString(chart.svg);
    expect(svg).toMatch(/x="360"[^>]* direction="rtl"[^>]*><tspan data-group="question"[^>]*>أين وُلد برونو؟<\/tspan>/);
    expect(chart.table.rows).toHaveLength(tokens.length);
    expect(chart.finding).toContain('4 question');
    // a mark of the template before it does not turn an Arabic line round
    expect(renderToString(promptText({ tokens: [token('<|user|>', 'template', 2), token('من بين', 'context', 5)] }, { width: 360, theme }).svg)).toContain('direction="rtl"');
    // nothing is lost, nothing is torn
    expect([...svg.matchAll(/<tspan[^>]*>([^<]*)<\/tspan>/g)].map((m) => m[1].replace(/[\u2066\u2069]/g, '')).join('')).toBe(tokens.map((t) => t.text.replace('\n', '↵').replace('<', '&lt;').replace('>', '&gt;')).join(''));
  });
  it('every fact that a pointer is told lies on the arrow keys’ way', () => {
    const size = { width: 500 };
    const cells = [...lens(12, 40), ...lens(12, 41)];
    const charts: Chart[] = [
      trajectory(pair, size),
      layerCurves(alignment, size),
      patchCurves(patch, size),
      lensColumn({ cells: lens() }, size),
      lensGrid({ cells, positions: [40, 41].map((position) => ({ position, text: '?' })) }, size),
      phaseStrip({ layers: 12, question: 5, answer: 9, evidence: 'relevance', tracks }, size),
      relevanceHeatmap(relevance(44), size),
      profile({ name: 'Paris', values: [...patch.series[1].effect.slice(0, 5), NaN], mrd: 3 }, size),
    ];
    for (const chart of charts) {
      const fact = (h: Hit): string => `${h.layer} ${h.token} ${h.text}`;
      const walked = new Set(Array.from({ length: 40 }, (_, l) => chart.at?.(l) ?? []).flatMap((hits) => hits.map(fact)));
      const told = new Set<string>();
      for (let x = 0; x < chart.width; x += 4)
        for (let y = 0; y < chart.height; y += 4) {
          const hit = chart.locate(x, y);
          // a name says no more than the facts that begin with it
          if (hit && hit.layer === undefined) expect([...walked].some((f) => f.includes(`${hit.text}, layer`)), hit.text).toBe(true);
          else if (hit) told.add(fact(hit));
        }
      expect(told.size, chart.title).toBeGreaterThan(5);
      expect([...told].filter((f) => !walked.has(f)), chart.title).toEqual([]);
    }
  });
  it('every chart is drawn of nothing without NaN', () => {
    const none: Chart[] = [
      layerCurves({ series: [], y: 'y' }, { width: 300 }),
      layerCurves({ series: [{ name: 'a', values: [NaN, NaN] }], y: 'y' }, { width: 300 }),
      patchCurves({ series: [] }, { width: 300 }),
      phaseStrip({ layers: 0, question: 'not computed', answer: 'absent', evidence: 'none', tracks: [{ name: 't', values: [] }] }, { width: 300 }),
      relevanceHeatmap({ relevance: [], rows: 0, tokens: [] }, { width: 300 }),
      profile({ name: 'x', values: [], mrd: null }, { width: 300 }),
      profile({ name: 'x', values: [NaN, 0], mrd: null }, { width: 300 }),
      matrix({ rows: [], columns: [], cells: [], measure: 'F1' }, { width: 300 }),
      errorStack({ rows: [] }, { width: 300 }),
      scatterFit({ points: [], x: 'a', y: 'b' }, { width: 300 }),
      smallMultiples([], { width: 300 }),
      lensGrid({ cells: [], positions: [] }, { width: 300 }),
      promptText({ tokens: [] }, { width: 300 }),
    ];
    for (const chart of none) {
      expect(renderToString(chart.svg)).not.toMatch(/NaN|undefined|Infinity/);
      expect(chart.finding).toBeTruthy();
      expect(chart.locate(5, 5)?.text ?? '').not.toMatch(/undefined/);
    }
  });
  it('the page theme names a property for every colour', () => {
    expect(renderToString(trajectory(twelve, { width: 400, theme: cssTheme }).svg)).toContain('var(--chart-language-th, ');
  });

  it('trajectory breaks at NaN and finds what is under the pointer', () => {
    const chart = trajectory({ ...pair, paths: [{ ...pair.paths[0], x: Array.from(pair.paths[0].x, (v, i) => (i === 4 ? NaN : v)) }] }, { width: 500, theme: lightTheme });
    expect(renderToString(chart.svg)).not.toContain('NaN');
    // layer 4 is not drawn
    const [, x, y] = lineSpots(chart)[6];
    expect(chart.locate(x + 2, y)?.layer).toBe(7);
  });
  it('does not find that two paths meet where both begin as the same token', () => {
    const path = (language: string, x: number[]) => ({ language, group: 'readout' as const, layers: [0, 1, 2, 3], x, y: [0, 0, 0, 0] });
    const { finding } = trajectory({ ...pair, paths: [path('en', [0, 1, 2, 3]), path('th', [0, 3, 2.5, 4])] }, { width: 500 });
    expect(finding).toContain('comes closest at layer 2 (distance 0.5, 2 at layer 1)');
  });
  it('says of two paths where they meet in all dimensions, which a plane may put elsewhere', () => {
    const path = (language: string, x: number[]) => ({ language, group: 'question' as const, layers: [0, 1, 2, 3], x, y: [0, 0, 0, 0] });
    const said = (cosines: number[]): string => trajectory({ ...pair, paths: [path('en', [0, 1, 2, 3]), path('th', [1, 3, 2.1, 5])], inFull: { dim: 128, cosine: () => cosines } }, { width: 500 }).finding;
    expect(said([0.25, 0.5, 0.75, 0.875])).toContain('In all 128 dimensions the question in English and Thai comes closest at layer 3 (cosine 0.875, 0.25 at the start), in this plane at layer 2.');
    expect(said([NaN, NaN, NaN, NaN])).toContain('In this plane the question in English and Thai comes closest at layer 2');
  });
  it('counts the gold token’s readings before the answer, where it stands already, and ranks from 1', () => {
    const cells = [...lens(12, 40), ...lens(12, 41)];
    const grid = (answer: boolean): Chart => lensGrid({ cells, positions: [{ position: 40, text: '?' }, { position: 41, text: 'x', answer }] }, { width: 900 });
    const of = (chart: Chart): number[] => (/in (\d+) of (\d+) cells/.exec(chart.finding) ?? []).slice(1).map(Number);
    const [all, total] = of(grid(false));
    expect(of(grid(true))).toEqual([all / 2, total / 2]);
    expect(grid(true).finding).toContain('before the answer');
    const chart = lensColumn({ cells: lens() }, { width: 400 });
    const rank = chart.table.columns.findIndex((c) => c.startsWith('rank'));
    expect(chart.table.columns[rank]).toContain('1 = top');
    expect(chart.table.rows.map((r) => r[rank])).toEqual(lens().map((c) => c.followed[0].rank + 1));
  });
  it('shows a token’s spaces, but not those between the bytes of a torn character', () => {
    expect(tokenText(' a b')).toBe('␣a␣b');
    expect(tokenText('‹E4 BB› ‹C3›')).toBe('‹E4 BB›␣‹C3›');
    // its hexadecimal letters are nobody's script
    expect(['‹E4 BB›', '‹B7›', '‹E4›鼠', 'EB', ''].map(scriptOf)).toEqual(['bytes', 'bytes', 'Han', 'Latin', '']);
  });
  it('leaves the numbers after a word of another direction where they are', () => {
    expect(['Paris', '巴黎', 'باريس'].map(isolated)).toEqual(['Paris', '巴黎', '\u2068باريس\u2069']);
  });
  it('nothing to draw is a chart too', () => {
    expect(trajectory({ ...pair, paths: [] }, { width: 400 }).finding).toBeTruthy();
    expect(lensColumn({ cells: [] }, { width: 400 }).finding).toBe('No lens readings.');
  });
  it('a downloaded file stands alone', () => {
    const file = standalone(trajectory(pair, { width: 600 }), darkTheme);
    expect(file).toContain(darkTheme.background);
    expect(file).not.toContain('var(');
    expect(file.startsWith('<?xml')).toBe(true);
  });
  it('what must not be parted from the picture stands in its file, and for those who cannot see it too', () => {
    const words = 'A model failed its self-test on loading: do not trust what is shown here.';
    const file = standalone(trajectory(pair, { width: 300 }), darkTheme, words);
    const lines = [...file.matchAll(/class="caution"[^>]*>([^<]*)</g)].map((m) => m[1]);
    expect(lines.length).toBeGreaterThan(1); // too long for one line of so narrow a picture
    expect(lines.join(' ')).toBe(words);
    expect(file).toContain(`<desc>${words}`);
    expect(file).toContain(`fill="${darkTheme.accent}"`);
  });
});
