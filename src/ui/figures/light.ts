/**
 * Lights what belongs to the selected layer, token or language, and dims what lies outside a range of layers, by class alone. Only where a
 * layer's marks have no element of their own, one path goes round them.
 */
import type { Chart, Selection } from '../../charts/chart';

const KEYS = ['layer', 'token', 'language'] as const;

/** No element says so of itself; '' is a language, of text in none that is named. */
const NONE = 'none';

/** What lies in something dimmed is dimmed with it. */
const DIMMED = '[data-layer]:not(.band, .reveal, .ring, [data-layer] [data-layer])';

export function light(host: HTMLElement, chart: Chart | null, selection: Selection, range: readonly [number, number] | null = null): void {
  const { layer } = selection;
  if (chart?.rings && layer !== null && layer !== undefined) {
    const rings = host.getElementsByClassName('ring');
    chart.rings(layer).forEach((d, i) => {
      rings[i].setAttribute('data-layer', String(layer));
      rings[i].setAttribute('d', d);
    });
  }
  const of = (key: (typeof KEYS)[number], want: string | number): Element[] => [...host.querySelectorAll(`[data-${key}="${CSS.escape(String(want))}"]`)];
  only(host, 'is-lit', new Set(KEYS.flatMap((key) => of(key, selection[key] ?? NONE))));
  const out = new Set<Element>();
  if (range)
    for (const el of host.querySelectorAll<SVGElement>(DIMMED)) {
      const layer = Number(el.dataset.layer);
      if (layer < range[0] || layer > range[1]) out.add(el);
    }
  only(host, 'is-out', out);
}

/** Only what changes is touched: a picture has a thousand elements, a layer of it a few dozen. */
function only(host: HTMLElement, name: string, on: Set<Element>): void {
  for (const el of [...host.getElementsByClassName(name)]) if (!on.has(el)) el.classList.remove(name);
  for (const el of on) if (!el.classList.contains(name)) el.classList.add(name);
}
