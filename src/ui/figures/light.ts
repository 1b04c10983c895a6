/** Lights what belongs to the selected layer, token or language by class alone; no geometry is touched. */
import type { Selection } from '../../charts/chart';

const KEYS = ['layer', 'token', 'language'] as const;

export function light(host: HTMLElement, selection: Selection): void {
  for (const key of KEYS) {
    const want = selection[key];
    for (const el of host.querySelectorAll<SVGElement>(`[data-${key}]`)) {
      el.classList.toggle('is-lit', want !== null && want !== undefined && el.dataset[key] === String(want));
    }
  }
}
