/** What running a link fetches from elsewhere: said, with its size where that is known, before anything is fetched. */
import type { ModelRef } from '../types';
import { modelText, type ProbeLink } from './link';

export const DEFAULT_HOST = 'https://huggingface.co';

export type Need =
  /** A model of a host. How many bytes it has only that host can tell: null until the reader has it asked. */
  | { kind: 'download'; model: ModelRef; host: string; bytes: number | null; text: string }
  /** A model that came from the sender's own files. */
  | { kind: 'files'; model: ModelRef; host: null; text: string }
  /** An item set that is neither part of the page nor kept in this browser, and whose home is known. */
  | { kind: 'set'; set: string; host: string; bytes: number; text: string };

/** The models that running the link takes from elsewhere. Bundled ones are part of the page, unless the link wants them from another host. */
export function needs({ models }: ProbeLink): Need[] {
  return models.flatMap((model): Need[] => {
    if (model.id.startsWith('bundled:') && model.host === undefined) return [];
    if (model.id.startsWith('files:')) return [{ kind: 'files', model, host: null, text: `The model ${model.id.slice(6)} came from files on the sender’s device; drop the same files to run it.` }];
    return [modelNeed(model, null)];
  });
}

const megabytes = (bytes: number): string => `${(bytes / 1e6).toFixed(1)} MB`;

export function modelNeed(model: ModelRef, bytes: number | null): Need {
  const host = model.host ?? DEFAULT_HOST;
  const size = bytes === null ? '. How much that is, only that host can tell' : `, ${megabytes(bytes)}`;
  return { kind: 'download', model, host, bytes, text: `Running this downloads ${modelText(model)} from ${host}${model.host === undefined ? '' : ', a host this link chose'}${size}.` };
}

export const setNeed = (set: string, host: string, bytes: number): Need => ({
  kind: 'set',
  set,
  host,
  bytes,
  text: `The questions of “${set}” are not on this device. Running this fetches them from ${host}, ${megabytes(bytes)}, and keeps them in this browser.`,
});

/** Whether the model at hand is the one that is named, as far as it is named. A bundled one comes with the page: which training it is of is compared after it has run. */
export function isModel(named: ModelRef, here: ModelRef): boolean {
  if (named.id !== here.id || (named.host ?? DEFAULT_HOST) !== (here.host ?? DEFAULT_HOST)) return false;
  if (named.dtype !== undefined && named.dtype !== here.dtype) return false;
  return named.revision === undefined || named.id.startsWith('bundled:') || named.revision === here.revision;
}
