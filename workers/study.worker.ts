/** Wires a study's results to the page; nothing else lives here. */
import { expose } from 'comlink';
import { exportStudy } from '../src/study/export';
import { IdbStudyStore } from '../src/study/idb';
import { addStudy, importStudy, mergeStudy } from '../src/study/import';
import type { OfficeApi } from '../src/study/office';
import { methods, type Versions } from '../src/study/report';
import { keep, readSet, SetStore } from '../src/study/sets';
import { summaryOf } from '../src/study/store';
import { installErrorTransfer } from '../src/wire';

declare const __APP_VERSION__: string;
declare const __ORT_VERSION__: string;

installErrorTransfer();
const store = IdbStudyStore.open();

/** Of this build, and the devices that any of the answers came from: a merged study may have two. */
async function versionsOf(id: string): Promise<Versions> {
  const devices = new Set<string>();
  for await (const batch of (await store).batches(id)) for (const r of batch) if (r.device) devices.add(r.device === 'webgpu' ? 'WebGPU' : 'WASM');
  return { app: __APP_VERSION__, ort: __ORT_VERSION__, devices: [...devices].join(', ') || 'no device' };
}

const api: OfficeApi = {
  summary: async (id) => summaryOf(await store, id),
  methods: async (id) => methods(await summaryOf(await store, id), await versionsOf(id)),
  async pack(id, figures) {
    const from = await store;
    const versions = await versionsOf(id);
    // Parts of a blob may leave memory for the disk: the zip is never whole in memory.
    let zip = new Blob([], { type: 'application/zip' });
    for await (const chunk of exportStudy(from, id, { versions, figures })) zip = new Blob([zip, chunk as Uint8Array<ArrayBuffer>], { type: 'application/zip' });
    return zip;
  },
  async take(bytes, into) {
    const to = await store;
    const study = importStudy(bytes);
    const { id, merged } = into === null ? await addStudy(to, study, () => crypto.randomUUID()) : { id: into, merged: await mergeStudy(to, into, study) };
    await summaryOf(to, id); // kept: a large study then opens at once
    return { id, name: study.design.name, merged };
  },
  async bring(files, taken) {
    const set = await readSet(files);
    const name = taken.includes(set.name) ? `${set.name}-dropped` : set.name;
    const kept = await keep({ ...set, name, items: set.items.map((i) => ({ ...i, set: name })) }, `dropped: ${files.map((f) => f.name).join(', ')}`);
    const sets = await SetStore.open();
    try {
      await sets.put(kept);
    } finally {
      sets.close();
    }
    return name;
  },
};
expose(api);
