/** The charts: pure functions (data, size, theme) → SVG tree. */
export { h, renderToString, renderPretty, type SvgNode, type SvgChild, type SvgAttrs } from './svg';
export * from './theme';
export { standalone, literal, SIZE, type Chart, type ChartOptions, type Hit, type Selection, type Table, type Cell } from './chart';
export { tokenText, wordText, scriptOf, isRtl, percent, short, textWidth, fit } from './text';
export { markerPath } from './markers';
export { trajectory, trajectoryDomain, type TrajectoryAxis, type TrajectoryData, type TrajectoryOptions, type TrajectoryPath } from './trajectory';
export { lensColumn, lensGrid, type LensColumnData, type LensGridData } from './lens';
