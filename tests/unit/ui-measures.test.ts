import { describe, expect, it } from 'vitest';
import type { SetAlignment } from '../../src/lab-alignment';
import type { Language, LensCell, Probe } from '../../src/types';
import { apart, differenceFinding, differences, sideBySide, type Side } from '../../src/ui/figures/difference';
import { curvesOf } from '../../src/ui/figures/measures';
import { followCurves } from '../../src/ui/figures/follow';
import { measured, setCurves } from '../../src/ui/figures/set-curves';

/** A probe of two layers in the plane: the question's mean at the given angles (degrees), readout and answer span along the axes. */
const probe = (questionLanguage: Language, ...degrees: number[]): Probe =>
  ({
    ask: { context: '', question: '', contextLanguage: 'en', questionLanguage },
    layers: [0, 1],
    dim: 2,
    tokens: [],
    lens: [],
    means: {
      question: Float32Array.from(degrees.flatMap((d) => [Math.cos((d * Math.PI) / 180), Math.sin((d * Math.PI) / 180)])),
      readout: Float32Array.of(2, 0, 0, degrees[0]),
      answerSpan: Float32Array.of(1, 0, 1, 0),
    },
  }) as unknown as Probe;
const near = (values: ArrayLike<number> | undefined): number[] => Array.from(values ?? [], (v) => Number(v.toFixed(6)));

describe('curves over the languages', () => {
  const probes = [probe('th', 60, 0), probe('en', 0, 0), probe('de', 90, 60)];
  it('are lines, English left out where it would be compared with itself', () => {
    const { series } = curvesOf('alignment', probes);
    expect(series.map((s) => [s.name, ...near(s.values)])).toEqual([
      ['Thai', 0.5, 1],
      ['German', 0, 0.5],
    ]);
  });
  it('or a mean within the extremes, with the asked language in it', () => {
    const { series, y } = curvesOf('alignment', probes, 'range');
    expect(series.map((s) => s.name)).toEqual(['mean of 2 languages', 'Thai']);
    expect([series[0].values, series[0].low, series[0].high].map(near)).toEqual([
      [0.25, 0.75],
      [0, 0.5],
      [0.5, 1],
    ]);
    expect(y).toContain('shaded: lowest to highest');
  });
  it('or a median within the quartiles', () => {
    const five = [probe('th', 60, 0), probe('en', 0, 0), probe('de', 90, 60), probe('es', 0, 0), probe('tr', 180, 0)];
    const [b] = curvesOf('alignment', five, 'quartiles').series;
    expect(near(b.values)).toEqual([0.25, 1]);
    expect(near(b.low)).toEqual([-0.25, 0.875]);
    expect(near(b.high)).toEqual([0.625, 1]);
    expect(b.bounds).toEqual(['lower quartile', 'upper quartile']);
  });
  it('norms keep a line per group and band each over the languages', () => {
    const { series, y } = curvesOf('norms', probes, 'range');
    expect(series.map((s) => s.name)).toEqual(['question', 'readout', 'answer span']);
    expect([series[1].values, series[1].low, series[1].high].map(near)).toEqual([
      [2, 50],
      [2, 0],
      [2, 90],
    ]);
    expect(y).toContain('mean of 3 languages');
  });
  it('one language has no band', () => {
    expect(curvesOf('retrieval', [probes[0]], 'range').series.map((s) => [s.name, s.low])).toEqual([['Thai', undefined]]);
  });
});

describe('curves over the set', () => {
  const spread = (...mean: number[]) => ({ mean: Float64Array.from(mean), low: Float64Array.from(mean, (v) => v - 0.1), high: Float64Array.from(mean, (v) => v + 0.1) });
  const result = {
    set: 's',
    items: ['a', 'b', 'c', 'd'],
    layers: [0, 1],
    chance: 0.25,
    languages: [
      { language: 'de', raw: spread(0.5, 0.9), centred: null, toEnglish: Float64Array.of(0.25, 1), fromEnglish: Float64Array.of(0, 1) },
      { language: 'th', raw: spread(0.3, 0.7), centred: null, toEnglish: Float64Array.of(0.75, 0.5), fromEnglish: Float64Array.of(0, 1) },
    ],
  } as unknown as SetAlignment;
  it('accuracy stands between nothing and all, with chance named', () => {
    const data = setCurves(result, 'nearest', 'range');
    expect(data).toMatchObject({ domain: [0, 1], references: [{ value: 0.25, text: 'chance' }] });
    expect(near(data?.series[0].values)).toEqual([0.5, 0.75]);
    expect(setCurves(result, 'back', 'each')?.series.map((s) => [s.name, ...near(s.values)])).toEqual([
      ['German', 0, 1],
      ['Thai', 0, 1],
    ]);
  });
  it('the readout’s similarity to the answer is offered where it was measured, English among the languages', () => {
    expect(measured(result)).toEqual(['nearest', 'back', 'raw', 'centred']);
    expect(setCurves(result, 'answer-raw', 'each')).toBeNull();
    const curve = (...v: number[]): { mean: Float64Array; low: Float64Array; high: Float64Array } => ({ mean: Float64Array.of(...v), low: Float64Array.of(0, 0), high: Float64Array.of(1, 1) });
    const own = { ...result, retrieval: [{ language: 'en' as const, raw: curve(0.2, 0.6), centred: null }, { language: 'th' as const, raw: curve(0.1, 0.5), centred: null }] };
    expect(measured(own)).toContain('answer-centred');
    const data = setCurves(own, 'answer-raw', 'each');
    expect(data?.series.map((s) => [s.name, ...near(s.values)])).toEqual([
      ['English', 0.2, 0.6],
      ['Thai', 0.1, 0.5],
    ]);
    expect(data?.references).toBeUndefined();
    expect(setCurves(own, 'answer-centred', 'each')).toBeNull();
  });
  it('too few items for a centred curve give none; one language alone shows the spread of its items', () => {
    expect(setCurves(result, 'centred', 'each')).toBeNull();
    const one = setCurves({ ...result, languages: result.languages.slice(0, 1) }, 'raw', 'range');
    expect(near(one?.series[0].low)).toEqual([0.4, 0.8]);
    expect(one?.y).toContain('middle half of the items');
  });
});

describe('two models’ difference', () => {
  it('speaks of a gold token only where there is one', () => {
    const none = gold(side('th', 60, 0), 0.1, 0.9);
    none.probe.answer = { gold: null } as Probe['answer'];
    expect(differences(none, none)?.series.map((s) => s.name)).toContain('own answer token’s probability');
    expect(sideBySide('lens', none, none).y).toBe('probability of the own answer’s first token');
    expect(differenceFinding(none, none)).not.toContain('gold');
  });
  const side = (questionLanguage: Language, ...degrees: number[]): Side => ({ probe: probe(questionLanguage, ...degrees), english: probe('en', 0, 0) });
  const gold = (s: Side, ...p: number[]): Side => {
    s.probe.tokens = [{ group: 'readout' }] as Probe['tokens'];
    s.probe.answer = { gold: 'x' } as Probe['answer'];
    s.probe.lens = p.map((v, layer) => ({ layer, position: 0, top: [], entropy: 0, followed: [{ id: 1, text: 'x', p: v, rank: 0 }] }));
    return s;
  };
  const a = gold(side('th', 60, 0), 0.1, 0.9);
  const b = gold(side('th', 90, 60), 0.2, 0.3);
  it('is A minus B, for every measure that both have', () => {
    const d = differences(a, b);
    expect(d?.series.map((s) => [s.name, ...near(s.values)])).toEqual([
      ['question alignment', 0.5, 0.5],
      ['readout–answer similarity', 0, 0],
      ['gold token’s probability', -0.1, 0.6],
    ]);
    expect(differences(side('th', 1, 2), b)?.series.map((s) => s.name)).toEqual(['question alignment', 'readout–answer similarity']);
    expect(differenceFinding(a, b)).toContain('gold token’s probability differs most at layer 1 (A 0.900, B 0.300)');
  });
  it('says nothing of layers that do not correspond', () => {
    const deep = { ...b, probe: { ...b.probe, layers: [0, 1, 2] } };
    expect(differences(a, deep)).toBeNull();
    expect(apart(a.probe, deep.probe)).toBeNull();
    expect(sideBySide('retrieval', a, deep).layers).toEqual([0, 1, 2]);
  });
  it('states lie apart by one minus their cosine', () => {
    const d = apart(a.probe, b.probe);
    expect(d?.series.map((s) => [s.name, ...near(s.values)])).toEqual([
      ['question', near([1 - Math.cos(Math.PI / 6)])[0], 0.5],
      ['readout', 0, 0],
      ['answer span', 0, 0],
    ]);
  });
});

describe('followed tokens', () => {
  const cell = (layer: number, ...followed: [number, number, number][]): LensCell => ({ layer, position: 7, top: [], entropy: 0, followed: followed.map(([id, p, rank]) => ({ id, text: String(id), p, rank })) });
  const followed: Probe['followed'] = [
    { id: 5, text: ' Oslo', role: 'gold' },
    { id: 9, text: ' Brno', role: 'pinned' },
  ];
  // a layer that was not read, and a token that one layer does not have, are gaps
  const cells = [cell(0, [5, 0.1, 99], [9, 0.2, 9]), cell(2, [5, 0.9, 0])];
  it('by probability', () => {
    const d = followCurves('p', cells, followed, [0, 1, 2]);
    expect(d.series.map((s) => [s.name, ...s.values as number[]])).toEqual([
      ['“Oslo” (gold)', 0.1, NaN, 0.9],
      ['“Brno” (pinned)', 0.2, NaN, NaN],
    ]);
    expect(new Set(d.series.map((s) => s.like)).size).toBe(2);
    expect(d.series.every((s) => s.language === undefined)).toBe(true);
  });
  it('by rank, written as a rank', () => {
    const { series, format } = followCurves('rank', cells, followed, [0, 1, 2]);
    expect(Array.from(series[0].values, (v) => format?.(v))).toEqual(['#100', '#NaN', '#1']);
    expect(series[0].values[2]).toBeGreaterThan(series[0].values[0]);
  });
});
