/**
 * The lab as the page sees it. The facade itself (src/lab-client.ts) is loaded when it is first needed, so that the
 * first paint waits for neither Comlink nor the worker.
 */
import type { Answer, Ask, Capabilities, Device, Item, LabErrorCode, LoadedModel, ModelCard, ModelRef, Probe, ProbeOptions, Progress, TokenInfo } from '../types';

export interface LabApi {
  capabilities(): Promise<Capabilities>;
  models(): Promise<ModelCard[]>;
  load(ref: ModelRef | string, options?: { device?: Device; precise?: boolean; onProgress?: (p: Progress) => void }): Promise<LoadedModel>;
  items(set: string): Promise<Item[]>;
  answer(ask: Ask, options?: { onToken?: (token: TokenInfo) => void }): Promise<Answer>;
  probe(ask: Ask, options?: ProbeOptions): Promise<Probe>;
  cancel(): void;
}

let lab: Promise<LabApi> | null = null;

export function getLab(): Promise<LabApi> {
  const client = import.meta.glob<{ createLab(): LabApi }>('../lab-client.ts')['../lab-client.ts'];
  lab ??= client ? client().then((m) => m.createLab()) : Promise.reject({ code: 'not-found', message: 'This build has no lab in it.' });
  return lab;
}

export interface Trouble {
  code: LabErrorCode;
  message: string;
}

export function toTrouble(error: unknown): Trouble {
  const e = error as Partial<Trouble> | null;
  return { code: e?.code ?? 'internal', message: e?.message ?? String(error) };
}
