/** Lights what belongs to the selected layer, token or language, and dims what lies outside a range of layers, by class alone; no geometry is touched. */
import type { Selection } from '../../charts/chart';

const KEYS = ['layer', 'token', 'language'] as const;

/** No element says so of itself; '' is a language, of text in none that is named. */
const NONE = 'none';

export function light(host: HTMLElement, selection: Selection, range: readonly [number, number] | null = null): void {
  // only what changes is touched: a picture has a thousand elements, a layer of it a few dozen
  const of = (key: (typeof KEYS)[number], want: string | number): Element[] => [...host.querySelectorAll(`[data-${key}="${CSS.escape(String(want))}"]`)];
  const on = new Set(KEYS.flatMap((key) => of(key, selection[key] ?? NONE)));
  for (const el of host.querySelectorAll('.is-lit')) if (!on.has(el)) el.classList.remove('is-lit');
  for (const el of on) el.classList.add('is-lit');
  for (const el of host.querySelectorAll<SVGElement>('.is-out')) el.classList.remove('is-out');
  if (!range) return;
  for (const el of host.querySelectorAll<SVGElement>('[data-layer]:not(.band, .reveal)')) {
    const layer = Number(el.dataset.layer);
    // what lies in something dimmed is dimmed with it
    if ((layer < range[0] || layer > range[1]) && !el.parentElement?.closest('[data-layer]')) el.classList.add('is-out');
  }
}
