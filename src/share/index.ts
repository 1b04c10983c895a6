/** Links, records and exports: versioned, migrated, never trusted. */
export { makeLink, parseLink, modelText, LINK_LIMIT, LINK_VERSION, type LinkAsk, type ProbeLink } from './link';
export { isModel, needs, type Need } from './needs';
export { joinRecord, makeRecord, packRecord, splitRecord, unpackRecord, RECORD_FORMAT, RECORD_VERSION, type LabRecord, type RecordedPatch, type RecordedRelevance, type RecordedRun } from './record';
export type { RecordedCurve } from './curves';
export { compareRuns, compareSketches, compareWithLink, sketchProbe, sketchStates, type RunComparison } from './provenance';
export { tokensHash, shortHash } from './hash';
export { parseCsv, toCsv, toTsv, type TableLike } from './csv';
export { svgSize, svgToPng } from './png';
export { readSafetensors, writeSafetensors, type Tensor } from './safetensors';
export type { Read, ReadErrorCode } from './result';
export { PROJECTIONS, type Projection, type ViewState } from './view';
