/** Wires a study's results to the page; nothing else lives here. */
import { expose } from 'comlink';
import { exportStudy } from '../src/study/export';
import { IdbStudyStore } from '../src/study/idb';
import { addStudy, importStudy, mergeStudy } from '../src/study/import';
import type { OfficeApi } from '../src/study/office';
import { summaryOf } from '../src/study/store';
import { installErrorTransfer } from '../src/wire';

declare const __APP_VERSION__: string;
declare const __ORT_VERSION__: string;

installErrorTransfer();
const store = IdbStudyStore.open();

const api: OfficeApi = {
  summary: async (id) => summaryOf(await store, id),
  async pack(id, figures) {
    const from = await store;
    const devices = new Set<string>();
    for await (const batch of from.batches(id)) {
      for (const r of batch) if (r.device) devices.add(r.device === 'webgpu' ? 'WebGPU' : 'WASM');
      break;
    }
    const versions = { app: __APP_VERSION__, ort: __ORT_VERSION__, devices: [...devices].join(', ') || 'no device' };
    // Parts of a blob may leave memory for the disk: the zip is never whole in memory.
    let zip = new Blob([], { type: 'application/zip' });
    for await (const chunk of exportStudy(from, id, { versions, figures })) zip = new Blob([zip, chunk as Uint8Array<ArrayBuffer>], { type: 'application/zip' });
    return zip;
  },
  async take(bytes, into) {
    const to = await store;
    const study = importStudy(bytes);
    if (into !== null) return { id: into, name: study.design.name, merged: await mergeStudy(to, into, study) };
    const { id, merged } = await addStudy(to, study, () => crypto.randomUUID());
    return { id, name: study.design.name, merged };
  },
};
expose(api);
