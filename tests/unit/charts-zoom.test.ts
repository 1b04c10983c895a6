/** One zoom, many plots: what was in sight in one is in sight in all. */
import { describe, expect, it } from 'vitest';
import { clampZoom, nameZoom, placeZoom, renderToString, smallMultiples, trajectory, zoomBy, WHOLE, type Chart, type NamedZoom, type Zoom } from '../../src/charts';
import { pair, twelve } from '../fixtures/charts/data';

const SIZES = [
  [358, 340],
  [820, 443],
  [1000, 540],
  [1110, 600],
  [1500, 600],
] as const;

/** Every point of the lines, in the plot's px. */
function points(chart: Chart): [number, number][] {
  const lines = [...renderToString(chart.svg).matchAll(/class="line" d="([^"]*)"/g)].map((m) => m[1]);
  return lines.flatMap((d) => [...d.matchAll(/[ML](-?[\d.]+),(-?[\d.]+)/g)].map((m): [number, number] => [Number(m[1]), Number(m[2])]));
}
const draw = (size: readonly [number, number], zoom: NamedZoom | null): Chart => trajectory(twelve, { width: size[0], height: size[1], zoom });
const seen = (chart: Chart): boolean[] => points(chart).map(([x, y]) => x >= 0 && x <= chart.width && y >= 0 && y <= chart.height);

/** A reader at this plot who zooms in on one of its points. */
function onto(size: readonly [number, number], point: number, k: number): NamedZoom | null {
  const chart = draw(size, null);
  const [x, y] = points(chart)[point];
  const plot = chart.zoom!;
  return plot.name(clampZoom(zoomBy(WHOLE, k, x, y), plot));
}

describe('a zoom', () => {
  it('is d3-zoom’s transform in px of a plot 1000 × 540, as links say', () => {
    const zoom = { k: 2.5, x: -620, y: -300 };
    const whole = points(draw([1000, 540], null));
    points(draw([1000, 540], zoom)).forEach(([x, y], i) => {
      expect(x).toBeCloseTo(whole[i][0] * zoom.k + zoom.x, 1);
      expect(y).toBeCloseTo(whole[i][1] * zoom.k + zoom.y, 1);
    });
  });
  it('shows in every plot all that it showed in the one it was made in, of what lies there at all', () => {
    for (const from of SIZES)
      for (const point of [0, 24, 60, 130, 240])
        for (const k of [1.5, 4, 12, 40]) {
          const zoom = onto(from, point, k);
          const there = seen(draw(from, zoom));
          expect(there[point], `${from} ${point} ${k}`).toBe(true);
          for (const to of SIZES) seen(draw(to, zoom)).forEach((here, i) => here || expect(there[i], `${from} → ${to}, ${point}, ${k}`).toBe(false));
        }
  });
  it('comes back as it went, in its own plot and out of a link', () => {
    for (const size of SIZES) {
      const zoom = onto(size, 77, 5);
      const plot = draw(size, zoom).zoom!;
      expect(plot.name(plot.at)).toEqual(zoom);
      for (const part of Object.values(zoom!)) expect(String(Number(part.toFixed(3)))).toBe(String(part));
    }
  });
  it('that anyone may write leaves the plot in sight', () => {
    const wild: NamedZoom[] = [{ k: 2, x: 0, y: 0, h: 1 }, { k: 2, x: 0, y: 0, h: 1e4 }, { k: 4.953, x: -2515.735, y: -385.606 }, { k: 200, x: 1e6, y: -1e6 }, { k: 0.005, x: 3, y: 4 }, { k: 1e-9, x: 0, y: 0 }, { k: 0, x: 1, y: 1 }, { k: -3, x: 0, y: 0 }];
    for (const size of SIZES)
      for (const zoom of wild) {
        const { width, height, at } = draw(size, zoom).zoom!;
        expect(at.k).toBeGreaterThanOrEqual(1);
        expect(at.k).toBeLessThanOrEqual(40);
        for (const [t, all] of [[at.x, width], [at.y, height]]) {
          expect(t).toBeLessThanOrEqual(0);
          expect(t).toBeGreaterThanOrEqual(all * (1 - at.k) - 1e-9);
        }
        expect(renderToString(draw(size, zoom).svg)).not.toMatch(/NaN|Infinity/);
      }
  });
  it('of all of it has no name', () => {
    const plot = draw([820, 443], onto([820, 443], 3, 2)).zoom!;
    expect(plot.name(WHOLE)).toBeNull();
    expect(plot.name(clampZoom({ k: 0.3, x: 20, y: 20 }, plot))).toBeNull();
  });
  it('keeps the point under the hand, and a middle when it is carried', () => {
    const z = zoomBy({ k: 2, x: -100, y: -50 }, 3, 240, 130);
    expect([(240 - z.x) / z.k, (130 - z.y) / z.k]).toEqual([(240 + 100) / 2, (130 + 50) / 2]);
    const frame = (width: number, height: number) => ({ width, height, x: width / 2 + 5, y: height / 2 - 10, unit: Math.min(width / 4, height / 3) });
    const here = frame(400, 340);
    const at = clampZoom({ k: 6, x: -700, y: -900 }, here);
    const back = placeZoom(nameZoom(at, here, frame)!, here, frame);
    for (const part of ['k', 'x', 'y'] as const) expect(back[part]).toBeCloseTo(at[part], 1);
    const other = placeZoom(nameZoom(at, here, frame)!, frame(900, 400), frame);
    const mid = (z: Zoom, f: ReturnType<typeof frame>): number[] => [((f.width / 2 - z.x) / z.k - f.x) / f.unit, ((f.height / 2 - z.y) / z.k - f.y) / f.unit];
    mid(other, frame(900, 400)).forEach((v, i) => expect(v).toBeCloseTo(mid(at, here)[i], 2));
  });
  it('is the same in all panels', () => {
    const zoom = onto([820, 443], 40, 3);
    const chart = smallMultiples(
      ['question', 'readout'].map((g) => ({ title: g, build: (s) => trajectory({ ...pair, paths: pair.paths.filter((p) => p.group === g) }, { ...s, compact: true, zoom, domain: { x: [-1, 1], y: [-1, 1] } }) })),
      { width: 820 },
    );
    expect(chart.zoom?.at.k).toBeGreaterThan(1);
    const [second] = renderToString(chart.svg).match(/translate\(4\d\d,0\)/)!;
    expect(chart.zoom?.corner(600, 100)).toEqual([Number(/\d+/.exec(second)![0]), 20]);
  });
});
