import { expect, it } from 'vitest';
import type { LoadedModel, Provenance } from '../../src/types';
import { sameModel, tellApart } from '../../src/ui/state/whose';

const loaded = (title: string, change: Partial<Provenance> = {}): LoadedModel => {
  const provenance = { model: `bundled:${title}`, revision: 'r1', dtype: 'fp32', device: 'wasm', precise: false, time: '2025', ...change };
  return { card: { title }, dtype: provenance.dtype, device: provenance.device, provenance } as unknown as LoadedModel;
};

it('a run belongs to one file of one model at one revision on one device, whenever it was made', () => {
  const run = loaded('post');
  expect(sameModel(run, loaded('post', { time: '2026' }))).toBe(true);
  for (const other of [{ model: 'bundled:base' }, { revision: 'r2' }, { dtype: 'q4' }, { device: 'webgpu' as const }, { precise: true }]) expect(sameModel(run, loaded('post', other)), JSON.stringify(other)).toBe(false);
});

it('two models are told apart by title, and two loads of one by what differs', () => {
  expect(tellApart(loaded('post'), loaded('base', { dtype: 'q4' }))).toEqual(['post', 'base']);
  expect(tellApart(loaded('post'), loaded('post', { dtype: 'q4', device: 'webgpu' }))).toEqual(['post, fp32', 'post, q4']);
  expect(tellApart(loaded('post'), loaded('post', { device: 'webgpu' }))).toEqual(['post, on WASM', 'post, on WebGPU']);
  expect(tellApart(loaded('post'), loaded('post', { revision: 'r2' }))).toEqual(['post, revision r1', 'post, revision r2']);
});
