/**
 * How much larger than at 16 px to the em the page is set: for a reader who wants larger type, and in wide windows (base.css). Charts are
 * drawn for a page of 16 px and shown at this scale, lines, marks and words together.
 */
export const pageScale = (): number => Number.parseFloat(getComputedStyle(document.documentElement).fontSize) / 16 || 1;
