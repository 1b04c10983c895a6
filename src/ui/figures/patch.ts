/**
 * Puts drawn trees on the page: the first as markup, and of every later one what differs from the one before. A picture redrawn for another
 * zoom, range or shade has the elements it had; to make them anew would cost more than all else, and leave as many to be collected.
 * Text and attributes are set as such or escaped: a token's text is never markup.
 */
import { attribute, clean, renderToString, type SvgNode } from '../../charts/svg';

/**
 * What lights up above all else (`over`, the last of the tree) is an element of its own on the page, laid over the picture: to light a
 * row of a thousand words, none of them is painted again.
 */
function sheets(svg: SvgNode): SvgNode[] {
  const last = svg.children[svg.children.length - 1];
  if (typeof last !== 'object' || last.attrs.class !== 'over') return [svg];
  const { role: _role, 'aria-label': _label, ...attrs } = svg.attrs;
  return [
    { ...svg, children: svg.children.slice(0, -1) },
    { ...svg, attrs: { ...attrs, 'aria-hidden': 'true' }, children: [last] },
  ];
}

export class Drawing {
  #was: SvgNode[] = [];
  constructor(private readonly host: HTMLElement) {}

  show(svg: SvgNode | null): void {
    const now = svg ? sheets(svg) : [];
    const kind = (all: SvgNode[]): string => all.map((s) => s.attrs.class).join();
    if (kind(now) !== kind(this.#was)) this.host.innerHTML = now.map(renderToString).join('');
    else now.forEach((sheet, i) => patch(this.host.children[i], this.#was[i], sheet));
    this.#was = now;
  }
}

const text = (node: SvgNode): string | null => (node.children.every((c) => typeof c === 'string') ? node.children.join('') : null);

/** Whether both have the very same attributes: then an element becomes the one a fresh page would have, to the order of what it says. */
function alike(was: SvgNode, now: SvgNode): boolean {
  const absent = ({ attrs }: SvgNode, key: string): boolean => attrs[key] === null || attrs[key] === undefined || attrs[key] === false;
  for (const key in now.attrs) if (absent(now, key) !== absent(was, key)) return false;
  for (const key in was.attrs) if (!(key in now.attrs) && !absent(was, key)) return false;
  return was.tag === now.tag;
}

function patch(el: Element, was: SvgNode, now: SvgNode): void {
  if (was === now) return;
  if (!alike(was, now)) {
    el.outerHTML = renderToString(now);
    return;
  }
  for (const key in now.attrs) {
    if (now.attrs[key] === was.attrs[key]) continue;
    const value = attribute(now.attrs[key]);
    if (value !== null && value !== attribute(was.attrs[key])) el.setAttribute(key, value);
  }
  const [before, after] = [text(was), text(now)];
  if (before !== null && after !== null) {
    if (before !== after) el.textContent = clean(after);
  } else if (before === null && after === null) children(el, was.children, now.children);
  else el.innerHTML = now.children.map(renderToString).join('');
}

/** Elements in their order; where words stand among them, all is written anew. */
function children(el: Element, was: SvgNode['children'], now: SvgNode['children']): void {
  const elements = (all: SvgNode['children']): all is SvgNode[] => all.every((c) => typeof c === 'object');
  if (!elements(was) || !elements(now)) {
    el.innerHTML = now.map(renderToString).join('');
    return;
  }
  for (let i = was.length - 1; i >= now.length; i--) el.children[i].remove();
  let child = el.firstElementChild;
  for (let i = 0; i < Math.min(was.length, now.length); i++) {
    const next = child?.nextElementSibling ?? null;
    if (child) patch(child, was[i], now[i]);
    child = next;
  }
  if (now.length > was.length) el.insertAdjacentHTML('beforeend', now.slice(was.length).map(renderToString).join(''));
}
