/** A plane fitted, turned, taken over: what lets two readers see the same picture. */
import { describe, expect, it } from 'vitest';
import { fitPlane, fitter, lacks, planeDistance, sameRequest, turnPlane, type PlaneRequest } from '../../src/probe/plane';
import { parceller, unparceller } from '../../src/probe/plane-wire';
import { jointPca } from '../../src/probe/projection';

const DIM = 12;
const path = (k: number, noise = 0): { states: Float32Array } => ({ states: Float32Array.from({ length: 7 * DIM }, (_, i) => Math.sin(i * 0.7 + k) * (1 + (i % DIM)) + i / 30 + noise * Math.cos(i * 5.1)) });
const request = (over: Partial<PlaneRequest> = {}, noise = 0): PlaneRequest => ({
  kind: 'joint-pca',
  dim: DIM,
  paths: [path(0, noise), path(1, noise), path(2, noise)],
  guests: [path(3, noise)],
  centroids: { question: path(0, noise), answer: path(1, noise) },
  held: null,
  ...over,
});

describe('a plane', () => {
  it('keeps its id whatever its signs, and turns paths and axes together', () => {
    for (const kind of ['joint-pca', 'layer-pca', 'plane'] as const) {
      const own = fitPlane(request({ kind }));
      expect(own.basis.kind).toBe(kind);
      const other = [...own.signs].map((s) => (s === 'p' ? 'm' : 'p')).join('');
      const turned = turnPlane(own, other);
      expect(turned.id).toBe(own.id);
      expect(turned.signs).toBe(other);
      turned.points.forEach(({ x, y }, i) => {
        expect([...x]).toEqual([...own.points[i].x].map((v) => -v));
        expect([...y]).toEqual([...own.points[i].y].map((v) => -v));
      });
      // the turned basis, taken over as a record's, draws the same points again
      expect(fitPlane(request({ kind, held: turned.basis })).points).toEqual(turned.points);
      expect(turnPlane(fitPlane(request({ kind, held: turned.basis })), other).points).toEqual(turned.points);
      // and is mirrored where that is asked for
      expect(turnPlane(fitPlane(request({ kind, held: turned.basis })), own.signs).points).toEqual(own.points);
    }
  });
  it('signs asked for are the same in a run that differs a little, and its paths lie close by', () => {
    const here = fitPlane(request());
    const there = turnPlane(fitPlane(request({}, 1e-3)), here.signs);
    expect(there.id).not.toBe(here.id);
    expect(there.signs).toBe(here.signs);
    here.points.forEach(({ x }, i) => x.forEach((v, l) => expect(Math.abs(v - there.points[i].x[l])).toBeLessThan(0.01)));
  });
  it('falls back to the joint plane where there is nothing to fit the other on, and says why', () => {
    const none = request({ kind: 'plane', centroids: null });
    const two = request({ kind: 'layer-pca', paths: [path(0), path(1)] });
    for (const r of [none, two]) expect(fitPlane(r).basis.kind).toBe('joint-pca');
    expect(lacks(none)).toContain('no');
    expect(lacks(two)).toContain('two are shown');
    for (const kind of ['joint-pca', 'layer-pca', 'plane'] as const) expect(lacks(request({ kind }))).toBeNull();
  });
  it('guests are drawn, not fitted', () => {
    expect(fitPlane(request({ guests: [] })).id).toBe(fitPlane(request()).id);
    expect(fitPlane(request()).points).toHaveLength(4);
    // nor is anything fitted anew for them
    const fit = fitter();
    const first = request();
    const { basis } = fit(first);
    expect(fit({ ...first, guests: [path(7)] }).basis).toBe(basis);
    expect(fit({ ...first, guests: [path(7)] }).points).toEqual(fitPlane({ ...first, guests: [path(7)] }).points);
    for (const other of [{ kind: 'layer-pca' as const }, { paths: [...first.paths, path(5)] }, { centroids: null }]) expect(fit({ ...first, ...other }).id).toBe(fitPlane({ ...first, ...other }).id);
  });
});

describe('the distance of two runs in a plane', () => {
  const basis = jointPca([path(0), path(1)], DIM);
  it('is none between equal runs, and grows with the difference', () => {
    expect(planeDistance(basis, [path(0)], [path(0)])).toBe(0);
    const near = planeDistance(basis, [path(0)], [path(0, 0.01)]) ?? NaN;
    const far = planeDistance(basis, [path(0)], [path(0, 1)]) ?? NaN;
    expect(near).toBeGreaterThan(0);
    expect(near).toBeLessThan(0.01);
    expect(far).toBeGreaterThan(10 * near);
  });
  it('is unknown where nothing fits together', () => {
    expect(planeDistance(basis, [path(0)], [])).toBeNull();
    expect(planeDistance(basis, [path(0)], [{ states: new Float32Array(DIM) }])).toBeNull();
    expect(planeDistance(basis, [{ states: new Float32Array(7 * DIM) }], [{ states: new Float32Array(7 * DIM) }])).toBeNull();
  });
});

it('two requests are the same where plane and points are', () => {
  const one = request();
  const { paths, guests, centroids } = one;
  expect(sameRequest(one, { ...one, paths: [...paths], guests: [...guests], centroids: centroids && { ...centroids } })).toBe(true);
  const others: Partial<PlaneRequest>[] = [{ kind: 'plane' }, { paths: paths.slice(1) }, { paths: [...paths].reverse() }, { guests: [] }, { guests: [path(3)] }, { centroids: null }, { held: jointPca(paths, DIM) }];
  for (const other of others) expect(sameRequest(one, { ...one, ...other })).toBe(false);
  const held = { ...one, held: jointPca(paths, DIM) };
  expect(sameRequest(held, { ...held })).toBe(true);
});

describe('on the way to a worker', () => {
  it('states go once, and every plane is the one fitted on the spot', () => {
    const [parcel, open] = [parceller(), unparceller()];
    const first = request();
    const sent = structuredClone(parcel(first));
    expect(sent.arrays.filter((a) => typeof a !== 'number')).toHaveLength(6);
    expect(open(sent)).toEqual(fitPlane(first));
    const again = { ...first, kind: 'layer-pca' as const, paths: [...first.paths].reverse() };
    const named = structuredClone(parcel(again));
    expect(named.arrays.every((a) => typeof a === 'number')).toBe(true);
    expect(open(named)).toEqual(fitPlane(again));
    const other = { ...request(), centroids: null, paths: [...first.paths, path(9)] };
    const mixed = structuredClone(parcel(other));
    expect(mixed.arrays.filter((a) => typeof a !== 'number')).toHaveLength(2);
    expect(open(mixed)).toEqual(fitPlane(other));
  });
  it('states that were taken off and come back are not sent again; after many others they are', () => {
    const [parcel, open] = [parceller(), unparceller()];
    const whole = request();
    const send = (r: typeof whole): number => {
      const sent = structuredClone(parcel(r));
      expect(open(sent)).toEqual(fitPlane(r));
      return sent.arrays.filter((a) => typeof a !== 'number').length;
    };
    send(whole);
    expect(send({ ...whole, centroids: null, paths: whole.paths.slice(1) })).toBe(0);
    expect(send(whole)).toBe(0);
    send({ ...whole, centroids: null, paths: Array.from({ length: 60 }, (_, k) => path(20 + k)) });
    send({ ...whole, centroids: null, paths: [path(100)] });
    expect(send({ ...whole, guests: [] })).toBe(5);
  });
});
