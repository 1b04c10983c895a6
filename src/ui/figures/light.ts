/** Lights what belongs to the selected layer, token or language, and dims what lies outside a range of layers, by class alone; no geometry is touched. */
import type { Selection } from '../../charts/chart';

const KEYS = ['layer', 'token', 'language'] as const;

export function light(host: HTMLElement, selection: Selection, range: readonly [number, number] | null = null): void {
  for (const key of KEYS) {
    const want = selection[key];
    for (const el of host.querySelectorAll<SVGElement>(`[data-${key}]`)) {
      el.classList.toggle('is-lit', want !== null && want !== undefined && el.dataset[key] === String(want));
    }
  }
  for (const el of host.querySelectorAll<SVGElement>('.is-out')) el.classList.remove('is-out');
  if (!range) return;
  for (const el of host.querySelectorAll<SVGElement>('[data-layer]:not(.band, .reveal)')) {
    const layer = Number(el.dataset.layer);
    // what lies in something dimmed is dimmed with it
    if ((layer < range[0] || layer > range[1]) && !el.parentElement?.closest('[data-layer]')) el.classList.add('is-out');
  }
}
