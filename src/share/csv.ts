/** Tables as CSV (RFC 4180) and TSV. */
export interface TableLike {
  columns: string[];
  rows: (string | number | null)[][];
}

/**
 * Numbers stand unrounded, NaN and the infinities by their names; what is not there (null) is empty. Texts that a spreadsheet would run as a formula get an apostrophe in front
 * (a lone sign, which many tokens are, stays as it is).
 */
function field(c: string | number | null): string {
  if (c === null) return '';
  if (typeof c === 'number') return String(c);
  const s = c.length > 1 && /^[=+\-@\t\r]/.test(c) ? `'${c}` : c;
  return /[",\n\r]/.test(s) || s !== s.trim() ? `"${s.replace(/"/g, '""')}"` : s;
}

export const toCsv = (t: TableLike): string => `${[t.columns, ...t.rows].map((r) => r.map(field).join(',')).join('\r\n')}\r\n`;
/** For the clipboard: spreadsheets paste it into cells. */
export const toTsv = (t: TableLike): string => [t.columns, ...t.rows].map((r) => r.map((c) => field(c).replace(/[\t\n\r]/g, ' ')).join('\t')).join('\n');

/** Reads what `toCsv` wrote (and other RFC 4180 files): all fields as text. */
export function parseCsv(text: string): string[][] {
  const rows: string[][] = [];
  let row: string[] = [];
  let cell = '';
  let quoted = false;
  const s = text.charCodeAt(0) === 0xfeff ? text.slice(1) : text;
  for (let i = 0; i < s.length; i++) {
    const c = s[i];
    if (quoted) {
      if (c !== '"') cell += c;
      else if (s[i + 1] === '"') {
        cell += '"';
        i++;
      } else quoted = false;
    } else if (c === '"') quoted = true;
    else if (c === ',') {
      row.push(cell);
      cell = '';
    } else if (c === '\n' || c === '\r') {
      if (c === '\r' && s[i + 1] === '\n') i++;
      row.push(cell);
      rows.push(row);
      row = [];
      cell = '';
    } else cell += c;
  }
  if (cell !== '' || row.length > 0) {
    row.push(cell);
    rows.push(row);
  }
  return rows;
}
