/** The charts: pure functions (data, size, theme) → SVG tree. */
export { h, renderToString, renderPretty, type SvgNode, type SvgChild, type SvgAttrs } from './svg';
export * from './theme';
export { standalone, literal, SIZE, type Chart, type ChartOptions, type Hit, type Selection, type Table, type Cell, type Zoomable } from './chart';
export { tokenText, wordText, scriptOf, isRtl, isolated, percent, short, textWidth, fit } from './text';
export { markerPath } from './markers';
export { trajectory, trajectoryDomain, type TrajectoryAxis, type TrajectoryData, type TrajectoryOptions } from './trajectory';
export type { TrajectoryPath } from './trajectory-marks';
export { clampZoom, nameZoom, placeZoom, WHOLE, zoomBy, type NamedZoom, type Zoom } from './zoom';
export { lensColumn, lensGrid, type LensColumnData, type LensGridData } from './lens';
export { layerCurves, patchCurves, type LayerCurvesData, type LayerSeries, type PatchCurvesData } from './curves';
export { phaseStrip, type PhaseStripData, type Unknown } from './phase-strip';
export { MARKED, relevanceHeatmap, profile, type RelevanceData, type ProfileData } from './relevance';
export { matrix, errorStack, scatterFit, leastSquares, FIT_MINIMUM, OUTCOMES, type MatrixData, type ErrorStackData, type Outcome, type ScatterData, type ScatterPoint } from './study';
export { promptText, type PromptData } from './prompt';
export { smallMultiples, type Panel } from './multiples';
