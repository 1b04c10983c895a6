/**
 * A zoom under the hand. A step by itself is drawn at once. While steps follow each other, what is drawn is moved as a whole, by one
 * transform, and drawn anew once the hand rests, with its marks and names in their own size.
 */
import { clampZoom, type NamedZoom, type Zoom, type Zoomable } from '../../charts';

const REST_MS = 140;

export class Moving {
  #now: Zoom | null = null;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #last = -Infinity;

  /** @param done is told what the zoom is called, when the hand rests */
  constructor(
    private readonly host: HTMLElement,
    private readonly done: (name: NamedZoom | null) => void,
  ) {}

  at(plot: Zoomable): Zoom {
    return this.#now ?? plot.at;
  }

  to(plot: Zoomable, wanted: Zoom): void {
    const now = clampZoom(wanted, plot);
    const alone = performance.now() - this.#last > REST_MS;
    this.#last = performance.now();
    if (alone) return this.done(plot.name(now));
    this.#now = now;
    const k = now.k / plot.at.k;
    this.#mark(`translate(${now.x - k * plot.at.x} ${now.y - k * plot.at.y}) scale(${k})`);
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => {
      this.stop();
      this.done(plot.name(now));
    }, REST_MS);
  }

  /** What is drawn stands as it was drawn. */
  stop(): void {
    clearTimeout(this.#timer);
    if (!this.#now) return;
    this.#now = null;
    this.#mark(null);
  }

  #mark(transform: string | null): void {
    this.host.toggleAttribute('data-moving', transform !== null);
    for (const el of this.host.querySelectorAll('.moves')) {
      if (transform) el.setAttribute('transform', transform);
      else el.removeAttribute('transform');
    }
  }
}
