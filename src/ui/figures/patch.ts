/**
 * Puts drawn trees on the page: the first as markup, and of every later one what differs from the one before. A picture redrawn for another
 * zoom, range or shade has the elements it had; to make them anew would cost more than all else, and leave as many to be collected.
 * Text and attributes are set as such or escaped: a token's text is never markup.
 */
import { attribute, clean, renderToString, type SvgNode } from '../../charts/svg';

/**
 * What is marked as a sheet, and what follows it, is an element of its own on the page, laid over the one before: to light a row of a
 * thousand words or to shade what is behind them, none of them is painted again.
 */
function sheets(svg: SvgNode): SvgNode[] {
  const { role: _role, 'aria-label': _label, ...attrs } = svg.attrs;
  const out: SvgNode[] = [{ ...svg, children: [] }];
  for (const child of svg.children) {
    if (typeof child === 'object' && /\bsheet\b/.test(String(child.attrs.class))) out.push({ ...svg, attrs: { ...attrs, 'aria-hidden': 'true' }, children: [] });
    out[out.length - 1].children.push(child);
  }
  return out;
}

/** A picture of each kind stays where it was drawn, out of sight, until it is shown again: a reader who takes its parts apart puts them together, too. */
export class Drawing {
  #all = new Map<string, { at: HTMLElement; was: SvgNode[] }>();
  constructor(private readonly host: HTMLElement) {}

  /** @returns the element that holds what is on show now */
  show(svg: SvgNode | null): HTMLElement {
    const now = svg ? sheets(svg) : [];
    const kind = now.map((s) => s.attrs.class).join();
    const known = this.#all.get(kind);
    if (known) now.forEach((sheet, i) => patch(known.at.children[i], known.was[i], sheet));
    const at = known?.at ?? this.host.appendChild(document.createElement('div'));
    if (!known) at.innerHTML = now.map(renderToString).join('');
    this.#all.set(kind, { at, was: now });
    for (const each of this.#all.values()) each.at.classList.toggle('away', each.at !== at);
    return at;
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

/** What says for what an element stands. */
const STANDS_FOR = ['class', 'data-language', 'data-group', 'data-token', 'data-slot'];
const sameMark = (a: SvgNode, b: SvgNode): boolean => a.tag === b.tag && STANDS_FOR.every((key) => a.attrs[key] === b.attrs[key]);

/** Elements in their order, those that come and go where they do; where words stand among them, all is written anew. */
function children(el: Element, was: SvgNode['children'], now: SvgNode['children']): void {
  const elements = (all: SvgNode['children']): all is SvgNode[] => all.every((c) => typeof c === 'object');
  if (!elements(was) || !elements(now)) {
    el.innerHTML = now.map(renderToString).join('');
    return;
  }
  let child = el.firstElementChild;
  let fresh = '';
  const insert = (): void => {
    if (fresh && child) child.insertAdjacentHTML('beforebegin', fresh);
    else if (fresh) el.insertAdjacentHTML('beforeend', fresh);
    fresh = '';
  };
  for (let i = 0, j = 0; i < was.length || j < now.length; ) {
    const [left, due] = [was.length - i, now.length - j];
    if (left < due && !(left > 0 && sameMark(was[i], now[j]))) {
      fresh += renderToString(now[j++]);
      continue;
    }
    insert();
    const next = child?.nextElementSibling ?? null;
    if (left > due && !(due > 0 && sameMark(was[i], now[j]))) child?.remove(), i++;
    else if (child) patch(child, was[i++], now[j++]);
    child = next;
  }
  insert();
}
