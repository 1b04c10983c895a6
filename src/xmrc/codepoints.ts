/**
 * Offsets in SQuAD files count Unicode code points; JavaScript strings count UTF-16 units. Everything that crosses
 * between the two goes through here.
 */

/** Number of code points of `text`. */
export function cpLength(text: string): number {
  let n = 0;
  for (let i = 0; i < text.length; i++, n++) if (isPairAt(text, i)) i++;
  return n;
}

/** UTF-16 index of the code point number `cp`; `text.length` when the text is exactly that long, -1 beyond it. */
export function cpToUtf16(text: string, cp: number): number {
  if (cp < 0) return -1;
  let i = 0;
  for (; cp > 0; cp--) {
    if (i >= text.length) return -1;
    i += isPairAt(text, i) ? 2 : 1;
  }
  return i;
}

/** Code-point number of the UTF-16 index `index`. */
export function utf16ToCp(text: string, index: number): number {
  return cpLength(text.slice(0, index));
}

/** `text` from code point `start` up to (not including) `end`. */
export function cpSlice(text: string, start: number, end: number): string {
  const from = cpToUtf16(text, start);
  if (from < 0 || end <= start) return '';
  const tail = text.slice(from);
  const to = cpToUtf16(tail, end - start);
  return to < 0 ? tail : tail.slice(0, to);
}

function isPairAt(text: string, i: number): boolean {
  const high = text.charCodeAt(i);
  if (high < 0xd800 || high > 0xdbff || i + 1 >= text.length) return false;
  const low = text.charCodeAt(i + 1);
  return low >= 0xdc00 && low <= 0xdfff;
}
