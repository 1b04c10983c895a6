/** The page's hold on the worker that sums studies up, packs and unpacks them: what would keep the page from answering. */
import { wrap, transfer, type Remote } from 'comlink';
import { installErrorTransfer } from '../wire';
import type { Summary } from './aggregate';
import type { Merged } from './import';
import type { StudyOffice } from './session';

/** What came of an imported file. */
export interface Taken {
  id: string;
  name: string;
  merged: Merged;
}

/** What the worker exposes. */
export interface OfficeApi {
  summary(id: string): Promise<Summary>;
  /** A paragraph for a paper, with the versions and devices that were used. */
  methods(id: string): Promise<string>;
  pack(id: string, figures: Record<string, string>): Promise<Blob>;
  /** @param into the stored study to merge with; null: its own id decides */
  take(bytes: Uint8Array, into: string | null): Promise<Taken>;
  /** Reads dropped item files, checks them and keeps them; returns the set's name. @param taken names that ship with the page */
  bring(files: File[], taken: readonly string[]): Promise<string>;
}

let remote: Remote<OfficeApi> | null = null;

function office(): Remote<OfficeApi> {
  if (!remote) {
    installErrorTransfer();
    remote = wrap<OfficeApi>(new Worker(new URL('../../workers/study.worker.ts', import.meta.url), { type: 'module', name: 'study' }));
  }
  return remote;
}

export const studyOffice: StudyOffice & Pick<OfficeApi, 'methods' | 'take' | 'bring'> = {
  summary: (id) => office().summary(id),
  methods: (id) => office().methods(id),
  pack: (id, figures = {}) => office().pack(id, figures),
  take: (bytes, into) => office().take(transfer(bytes, [bytes.buffer]), into),
  bring: (files, taken) => office().bring(files, taken),
};
