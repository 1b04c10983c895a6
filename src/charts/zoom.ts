/**
 * Zooming a plot in which a unit is equally long both ways. A zoom is d3-zoom's transform, px′ = k · px + x. It is kept, and travels, as that
 * of a plot 1000 px wide of the same shape: plots differ in size, in shape and in how long a unit is in them, so what is carried over is the
 * data in sight. The middle of the plot stays the middle, and all that was in sight in the one is in sight in the other.
 */
export interface Zoom {
  k: number;
  x: number;
  y: number;
}
/** A zoom as links and records have it. */
export interface NamedZoom extends Zoom {
  /** How high the plot 1000 wide is; left out: 540. */
  h?: number;
}

/** A plot, unzoomed: its size, where the middle of its data stands, and px a unit. */
export interface Frame {
  width: number;
  height: number;
  x: number;
  y: number;
  unit: number;
}

/** The plot in whose px a zoom is named, where its name says no height. */
const REFERENCE = { width: 1000, height: 540 } as const;
/** Plots are neither strips nor towers, whatever a link says. */
const HEIGHTS = [200, 2000] as const;
const MOST = 40;

export const WHOLE: Readonly<Zoom> = { k: 1, x: 0, y: 0 };

/** From all of the plot to forty-fold, about the middle of what is seen, and never beside the plot. */
export function clampZoom(zoom: Zoom, { width, height }: { width: number; height: number }): Zoom {
  // a file may say anything
  if (!(zoom.k > 0)) return WHOLE;
  const k = Math.min(MOST, Math.max(1, zoom.k));
  const along = (t: number, size: number): number => Math.min(0, Math.max(size * (1 - k), size / 2 - ((size / 2 - t) / zoom.k) * k));
  return { k, x: along(zoom.x, width), y: along(zoom.y, height) };
}

/** About a point of the plot. */
export function zoomBy(zoom: Zoom, by: number, x: number, y: number): Zoom {
  const k = Math.min(MOST, Math.max(1, zoom.k * by));
  const f = k / zoom.k;
  return { k, x: x - (x - zoom.x) * f, y: y - (y - zoom.y) * f };
}

/** The zoom of `here` that a name stands for. @param frame of this data in a plot of another size */
export function placeZoom(name: NamedZoom, here: Frame, frame: (width: number, height: number) => Frame): Zoom {
  const there = frame(REFERENCE.width, Math.min(HEIGHTS[1], Math.max(HEIGHTS[0], name.h ?? REFERENCE.height)));
  // as much magnified as lets all of it in
  const room = Math.min(here.width / there.width, here.height / there.height);
  return clampZoom(carry(name, there, here, (name.k * room * there.unit) / here.unit), here);
}

/** What a zoom of `here` is called, to a thousandth, so that it is the same read back from a link; null: all is in sight. */
export function nameZoom(zoom: Zoom, here: Frame, frame: (width: number, height: number) => Frame): NamedZoom | null {
  if (zoom.k === 1) return null;
  const there = frame(REFERENCE.width, Math.round((REFERENCE.width * here.height) / here.width));
  const room = Math.min(here.width / there.width, here.height / there.height);
  const { k, x, y } = carry(zoom, here, there, (zoom.k * here.unit) / (room * there.unit));
  const milli = (n: number): number => Math.round(n * 1000) / 1000;
  return { k: milli(k), x: milli(x), y: milli(y), ...(there.height === REFERENCE.height ? {} : { h: there.height }) };
}

/** The zoom of `to`, k-fold, with that in its middle which is in the middle of `from`. */
function carry(zoom: Zoom, from: Frame, to: Frame, k: number): Zoom {
  const along = (axis: 'x' | 'y', size: 'width' | 'height'): number => to[size] / 2 - (to[axis] + (((from[size] / 2 - zoom[axis]) / zoom.k - from[axis]) / from.unit) * to.unit) * k;
  return { k, x: along('x', 'width'), y: along('y', 'height') };
}
