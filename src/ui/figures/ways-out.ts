/** Ways out of a figure that are files: CSV, SVG, PNG. The SVG is a file of its own, with literal colours. */
import { toCsv } from '../../share/csv';
import { svgToPng } from '../../share/png';
import { standalone, type Chart, type Table } from '../../charts/chart';
import { darkTheme, lightTheme } from '../../charts/theme';
import { theme } from '../state/theme.svelte';
import { save } from './save';

// the mark tells spreadsheet programs that the file is UTF-8
export const saveCsv = (t: Table, name: string): void => save(`${name}.csv`, new Blob(['\ufeff', toCsv(t)], { type: 'text/csv;charset=utf-8' }));

/** @param caution written into the picture */
const svgOf = (chart: Chart, caution: string | null): string => standalone(chart, theme.name === 'dark' ? darkTheme : lightTheme, caution);
export const saveSvg = (chart: Chart, name: string, caution: string | null): void => save(`${name}.svg`, new Blob([svgOf(chart, caution)], { type: 'image/svg+xml' }));

export async function savePng(chart: Chart, name: string, caution: string | null): Promise<void> {
  save(`${name}.png`, await svgToPng(svgOf(chart, caution)));
}
