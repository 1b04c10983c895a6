/**
 * A plain SVG tree: what every chart returns. No DOM, so a chart can be tested, exported or rendered in a worker as it is.
 */
export type SvgChild = SvgNode | string;
export type SvgAttrs = Record<string, string | number | boolean | null | undefined>;

export interface SvgNode {
  tag: string;
  attrs: SvgAttrs;
  children: SvgChild[];
}

type Nested = SvgChild | null | undefined | false | Nested[];

/** Builds a node. Null, false and undefined children fall out, arrays are flattened; so do null attributes. */
export function h(tag: string, attrs: SvgAttrs = {}, ...children: Nested[]): SvgNode {
  const out: SvgChild[] = [];
  const add = (child: Nested): void => {
    if (child === null || child === undefined || child === false) return;
    if (Array.isArray(child)) for (const c of child) add(c);
    else out.push(child);
  };
  for (const child of children) add(child);
  return { tag, attrs, children: out };
}

/** Rounded to 3 places (a thousandth of a pixel): snapshots stay stable across engines, and −0 never shows. */
export function round(n: number): number {
  const r = Math.round(n * 1000) / 1000;
  return r === 0 ? 0 : r;
}

/** A number as it stands in a path string. */
export const num = (n: number): string => String(round(n));

/** A point as it stands in a path; '' where it is not finite. */
export const spot = (x: number, y: number): string => (Number.isFinite(x + y) ? `${num(x)},${num(y)}` : '');

/** Path data through points, broken where one is empty; a point by itself is closed, so that a round cap shows it. */
export function through(spots: readonly string[]): string {
  let d = '';
  let run = 0;
  for (const s of spots) {
    if (s === '') {
      if (run === 1) d += 'Z';
      run = 0;
    } else d += (run++ === 0 ? 'M' : 'L') + s;
  }
  return run === 1 ? `${d}Z` : d;
}

export const linePath = (px: ArrayLike<number>, py: ArrayLike<number>): string => through(Array.from(px, (x, i) => spot(x, py[i])));

/** XML 1.0 forbids most control characters even when escaped: a token may hold them, so they become U+FFFD. Lone surrogates likewise. */
function legal(text: string): string {
  return text
    .replace(/[\u0000-\u0008\u000B\u000C\u000E-\u001F\uFFFE\uFFFF]/g, '\uFFFD')
    .replace(/[\uD800-\uDBFF](?![\uDC00-\uDFFF])|(?<![\uD800-\uDBFF])[\uDC00-\uDFFF]/g, '\uFFFD');
}
/** Anything that might need a change: most attributes are plain, and one look is cheaper than five replacements. */
const SUSPECT = /[&<>"\u0000-\u001F\uD800-\uDFFF\uFFFE\uFFFF]/;
/** As it may stand in a tree, in markup or set by hand. */
export const clean = (s: string): string => (SUSPECT.test(s) ? legal(s) : s);
const escapeText = (s: string): string => legal(s).replace(/&/g, '&amp;').replace(/</g, '&lt;').replace(/>/g, '&gt;');
const escapeAttr = (s: string): string => escapeText(s).replace(/"/g, '&quot;').replace(/\n/g, '&#10;');

/** The tree as a string. Numbers are rounded to 3 places; all text is escaped, so token texts are never markup. */
export function renderToString(node: SvgChild): string {
  const parts: string[] = [];
  write(node, parts);
  return parts.join('');
}

/** An attribute as text, unescaped; null: there is none. */
export function attribute(value: SvgAttrs[string]): string | null {
  if (value === null || value === undefined || value === false) return null;
  if (typeof value === 'number') return Number.isFinite(value) ? num(value) : '0';
  return value === true ? '' : value;
}

function write(node: SvgChild, parts: string[]): void {
  if (typeof node === 'string') {
    parts.push(SUSPECT.test(node) ? escapeText(node) : node);
    return;
  }
  parts.push('<', node.tag);
  for (const key in node.attrs) {
    const text = attribute(node.attrs[key]);
    if (text === null) continue;
    parts.push(' ', key, '="', SUSPECT.test(text) ? escapeAttr(text) : text, '"');
  }
  if (node.children.length === 0) parts.push('/>');
  else {
    parts.push('>');
    for (const child of node.children) write(child, parts);
    parts.push('</', node.tag, '>');
  }
}

/** One element per line: what snapshots are stored as, so that a change reads as a diff. */
export function renderPretty(node: SvgNode): string {
  return renderToString(node).replace(/></g, '>\n<');
}
