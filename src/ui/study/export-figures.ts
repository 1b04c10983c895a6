/** The pictures of an export, as files of their own. */
import { errorStack, layerCurves, lightTheme, matrix, patchCurves, scatterFit, standalone, type Chart, type ChartOptions } from '../../charts';
import { cautionAbout } from '../../probe/caution';
import { distrusted, type Row, type Summary } from '../../study/aggregate';
import { modelKey } from '../../study/design';
import { alignmentData, errorData, matrixData, patchingData, scenariosOf } from './figures';
import { relations } from './relations';

export function figuresOf(summary: Summary): Record<string, string> {
  const options: ChartOptions = { width: 900, theme: lightTheme };
  const out: Record<string, string> = {};
  const put = (name: string, chart: Chart, of?: (row: Row) => boolean): void => void (out[`${name}.svg`] = standalone(chart, lightTheme, cautionAbout(distrusted(summary, of))));
  for (const scenario of scenariosOf(summary)) {
    for (const m of ['f1', 'languageAwareF1'] as const) put(`${scenario}-${m}`, matrix(matrixData(summary, scenario, m), options));
    for (const m of summary.design.models) {
      const own = (row: Row): boolean => row.model === modelKey(m.ref);
      const data = errorData(summary, scenario, modelKey(m.ref));
      if (data.rows.length > 0) put(`${scenario}-errors-${m.title}`, errorStack(data, options), own);
      const alignment = alignmentData(summary, scenario, modelKey(m.ref));
      if (alignment) put(`${scenario}-alignment-${m.title}`, layerCurves(alignment, options), own);
      const patching = patchingData(summary, scenario, modelKey(m.ref));
      if (patching) {
        put(`${scenario}-patching-effect-${m.title}`, patchCurves(patching.effect, options), own);
        put(`${scenario}-patching-flips-${m.title}`, layerCurves(patching.flips, options), own);
      }
    }
  }
  for (const scenario of scenariosOf(summary)) for (const r of relations(summary, scenario)) put(/^(pair|size)/.test(r.name) ? `${scenario}-${r.name}` : r.name, scatterFit(r.data, options));
  return out;
}
