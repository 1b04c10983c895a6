/**
 * The page's hold on the lab. The facade is fetched on its own, so that the first paint waits for neither Comlink nor the worker;
 * it is also `window.lab`, so that what the page can do, a script in the console can.
 */
import type { LabClient } from '../lab-client';
import type { LabErrorCode } from '../types';

let lab: Promise<LabClient> | null = null;

export function getLab(): Promise<LabClient> {
  lab ??= import('../lab-client').then((m) => {
    const made = m.createLab();
    Object.assign(window, { lab: made });
    return made;
  });
  return lab;
}

export interface Trouble {
  code: LabErrorCode;
  message: string;
  /** What the reader can try. */
  hint: string;
}

export function toTrouble(error: unknown): Trouble {
  const e = error as Partial<Trouble> | null;
  const code = e?.code ?? 'internal';
  return { code, message: e?.message ?? String(error), hint: e?.hint || REMEDY[code] || 'Try again. If it stays so, copy the message into a report.' };
}

const REMEDY: Partial<Record<LabErrorCode, string>> = {
  'worker-lost': 'Load the model again: the lab is rebuilt from nothing, the page keeps your place.',
  'device-lost': 'Load the model again: the lab is rebuilt from nothing, the page keeps your place.',
  'out-of-memory': 'Close other tabs, choose a smaller file or switch to WASM, then load again.',
  network: 'Check the connection and try again; what has arrived is kept.',
  'too-long': 'Shorten the passage, or choose a model with a longer window.',
  'empty-question': 'Type a question first.',
  'unsupported-device': 'Switch the device to WASM: it runs everywhere.',
  'not-found': 'Try again; if it stays so, the file is missing on the server.',
  'broken-file': 'Try again; if it stays so, the file on the server is damaged.',
  gated: 'Its owner asks for consent: accept the terms on the hub and give a token under Models.',
  'storage-full': 'Free some space under Models, or go on: the model then stays in memory only.',
  'no-model': 'Load a model first.',
};

/** Given way to something newer, or stopped by the reader: nothing to report. */
export const isQuiet = (t: Trouble): boolean => t.code === 'cancelled' || t.code === 'superseded';
