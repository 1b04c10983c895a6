import { describe, expect, it } from 'vitest';
import { darkTheme, fit, h, lensColumn, lensGrid, lightTheme, renderPretty, renderToString, standalone, trajectory, type Chart } from '../../src/charts';
import { lens, pair, twelve } from '../fixtures/charts/data';

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
  it('lens column', () => check('lens-column', lensColumn({ cells: lens() }, { width: 900, theme: lightTheme, selection: { layer: 7 } })));
  it('lens column, narrow', () => check('lens-column-narrow', lensColumn({ cells: lens() }, { width: 360, theme: lightTheme })));
  it('lens grid', () => check('lens-grid', lensGrid({ cells: [...lens(12, 40), ...lens(12, 41)], positions: [{ position: 40, text: '?' }, { position: 41, text: '\n' }] }, { width: 900, theme: lightTheme })));

  it('trajectory breaks at NaN and finds what is under the pointer', () => {
    const chart = trajectory({ ...pair, paths: [{ ...pair.paths[0], x: Array.from(pair.paths[0].x, (v, i) => (i === 4 ? NaN : v)) }] }, { width: 500, theme: lightTheme });
    expect(renderToString(chart.svg)).not.toContain('NaN');
    const mark = /data-layer="7" cx="([\d.]+)" cy="([\d.]+)"/.exec(renderToString(chart.svg));
    expect(chart.locate(Number(mark?.[1]) + 2, Number(mark?.[2]))?.layer).toBe(7);
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
});
