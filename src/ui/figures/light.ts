/**
 * Lights what belongs to the selected layer, token or language, and dims what lies outside a range of layers, by class alone. Only where a
 * layer's marks have no element of their own, one path goes round them.
 */
import type { Chart, Selection } from '../../charts/chart';

const KEYS = ['layer', 'token', 'language'] as const;

/** No element says so of itself; '' is a language, of text in none that is named. */
const NONE = 'none';

/** What lies in something dimmed is dimmed with it, and rows are under curtains. */
const DIMMED = '[data-layer]:not(.band, .reveal, .ring, .row, [data-layer] [data-layer])';

/** The lights of one picture. Only what has changed is looked up and touched: a picture has a thousand elements, a layer of it a few dozen. */
export class Lights {
  #chart: Chart | null = null;
  #lit: { want: string; of: Element[] }[] = [];
  #range: string | null = null;
  constructor(private readonly host: HTMLElement) {}

  show(chart: Chart | null, selection: Selection, range: readonly [number, number] | null = null): void {
    const { host } = this;
    const { layer } = selection;
    const drawn = chart !== this.#chart;
    if (chart?.rings && typeof layer === 'number' && (drawn || this.#lit[0]?.want !== String(layer))) {
      const rings = host.getElementsByClassName('ring');
      chart.rings(layer).forEach((d, i) => {
        rings[i].setAttribute('data-layer', String(layer));
        rings[i].setAttribute('d', d);
      });
    }
    const lit = KEYS.map((key, i) => {
      const want = String(selection[key] ?? NONE);
      const was = drawn ? undefined : this.#lit[i];
      return was?.want === want ? was : { want, of: [...host.querySelectorAll(`[data-${key}="${CSS.escape(want)}"]`)] };
    });
    if (drawn || lit.some((l, i) => l !== this.#lit[i])) only(host, 'is-lit', new Set(lit.flatMap((l) => l.of)));
    const dim = range && range.join();
    if (drawn || dim !== this.#range) only(host, 'is-out', new Set(range ? outside(host, range) : []));
    [this.#chart, this.#lit, this.#range] = [chart, lit, dim];
  }
}

function outside(host: HTMLElement, [from, to]: readonly [number, number]): Element[] {
  return [...host.querySelectorAll<SVGElement>(DIMMED)].filter((el) => Number(el.dataset.layer) < from || Number(el.dataset.layer) > to);
}

function only(host: HTMLElement, name: string, on: Set<Element>): void {
  for (const el of [...host.getElementsByClassName(name)]) if (!on.has(el)) el.classList.remove(name);
  for (const el of on) if (!el.classList.contains(name)) el.classList.add(name);
}
