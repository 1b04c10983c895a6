/** Ways out of a figure: clipboard, CSV, SVG, PNG. The SVG is a file of its own, with literal colours. */
import { standalone, type Chart, type Table } from '../../charts/chart';
import { darkTheme, lightTheme } from '../../charts/theme';
import { theme } from '../state/theme.svelte';

const quote = (c: string | number | null): string => {
  const s = c === null ? '' : String(c);
  return /[",\n\r]/.test(s) ? `"${s.replace(/"/g, '""')}"` : s;
};
export const toCsv = (t: Table): string => [t.columns, ...t.rows].map((r) => r.map(quote).join(',')).join('\r\n') + '\r\n';
const toTsv = (t: Table): string =>
  [t.columns, ...t.rows].map((r) => r.map((c) => String(c ?? '').replace(/[\t\n\r]/g, ' ')).join('\t')).join('\n');

export function save(name: string, blob: Blob): void {
  const a = document.createElement('a');
  a.href = URL.createObjectURL(blob);
  a.download = name;
  a.click();
  setTimeout(() => URL.revokeObjectURL(a.href), 10_000);
}

export const copyTable = (t: Table): Promise<void> => navigator.clipboard.writeText(toTsv(t));
// the mark tells spreadsheet programs that the file is UTF-8
export const saveCsv = (t: Table, name: string): void => save(`${name}.csv`, new Blob(['\ufeff', toCsv(t)], { type: 'text/csv;charset=utf-8' }));

const svgOf = (chart: Chart): string => standalone(chart, theme.name === 'dark' ? darkTheme : lightTheme);
export const saveSvg = (chart: Chart, name: string): void => save(`${name}.svg`, new Blob([svgOf(chart)], { type: 'image/svg+xml' }));

export async function savePng(chart: Chart, name: string, scale = 2): Promise<void> {
  const image = new Image();
  image.src = `data:image/svg+xml;charset=utf-8,${encodeURIComponent(svgOf(chart))}`;
  await image.decode();
  const canvas = document.createElement('canvas');
  canvas.width = chart.width * scale;
  canvas.height = chart.height * scale;
  canvas.getContext('2d')!.drawImage(image, 0, 0, canvas.width, canvas.height);
  const blob = await new Promise<Blob | null>((done) => canvas.toBlob(done, 'image/png'));
  if (!blob) throw new Error('this browser could not make the picture');
  save(`${name}.png`, blob);
}
