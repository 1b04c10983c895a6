/** XQuAD from its public home: one commit, every file known by its hash. Fetched on the reader's word only. */
import { LabError } from '../runtime/errors';
import type { Language } from '../types';
import { loadSquad, type ItemSet } from '../xmrc/items';
import { keep, SetStore, sha256, type KeptSet } from './sets';

const COMMIT = '7d30520c717524000f0d9d2f9c10a069acd9d285';
export const XQUAD_HOME = 'https://github.com/google-deepmind/xquad';
export const XQUAD_SOURCE = `${XQUAD_HOME}/tree/${COMMIT}`;
/** Where the files come from. */
export const XQUAD_HOST = 'https://raw.githubusercontent.com';
const RAW = `${XQUAD_HOST}/google-deepmind/xquad/${COMMIT}/`;

/** Bytes and SHA-256 of each file at that commit. */
export const XQUAD_FILES: Record<Language, { bytes: number; sha256: string }> = {
  en: { bytes: 609383, sha256: 'e4c57d1c9143aaa1c5d265ba5987a65f4e69528d2a98f29d6e75019b10344f29' },
  de: { bytes: 669810, sha256: '990b5d746746ed65ed4702ea5f35f99ffa4e2f1c390c07d003642acd937916f9' },
  es: { bytes: 684322, sha256: 'dcbae93ec3a9f4b9e78fd834a171d6f96c1a875e10e15b7530b7e4ef4971e37e' },
  vi: { bytes: 911401, sha256: 'f619a1eb11fb42d3ab0834259e488a65f585447ef6154437bfb7199d85161a04' },
  zh: { bytes: 808652, sha256: '691d0b3359bc6b8faa8de931dfdfe21d50a65861ae348e32a0d1a0190b0c8835' },
  hi: { bytes: 1680538, sha256: 'df2cce3532b37e9beb8979704b5c9a4bf874358f105395a298b89427b43b9d24' },
  ar: { bytes: 1582988, sha256: 'abdabd7afed5c635d99cca0f3f0d0c9d9ed0bc77451e963c2e4e0638c29e486d' },
  el: { bytes: 1918889, sha256: '821cf0f88e73fa258fd2f548b19b6ec39f7025059e16f6f9fc8cd797c9c3663e' },
  ro: { bytes: 661158, sha256: '94f8d54e93ad2b7dd2e76dd921a666b5b8eff2d4379df9f179c42b445f09643f' },
  ru: { bytes: 1896368, sha256: '208d5b1aa154c52b1b5c5eda16281e455e8fd198cdb9af3f469f0d6037d973bf' },
  th: { bytes: 1809143, sha256: '5cdda11d0e1e075f7872abf4e6ae830388ce7f617964d542308e9ae4257e0f43' },
  tr: { bytes: 729506, sha256: '92179a564774b7696100d144c1e10870d0a966b6fccbdd254a65b9d2ab1971cc' },
};
export const XQUAD_BYTES = Object.values(XQUAD_FILES).reduce((sum, f) => sum + f.bytes, 0);

/** @throws LabError 'network' | 'broken-file' (a file is not the one that is known) */
export async function fetchXquad(options: { signal?: AbortSignal; onBytes?: (done: number, total: number) => void; base?: string } = {}): Promise<ItemSet> {
  const texts: Partial<Record<Language, string>> = {};
  let done = 0;
  for (const [language, known] of Object.entries(XQUAD_FILES) as [Language, { bytes: number; sha256: string }][]) {
    const name = `xquad.${language}.json`;
    let bytes: Uint8Array<ArrayBuffer>;
    try {
      const response = await fetch((options.base ?? RAW) + name, { signal: options.signal, credentials: 'omit', referrerPolicy: 'no-referrer' });
      if (!response.ok) throw new Error(`status ${response.status}`);
      bytes = new Uint8Array(await response.arrayBuffer());
    } catch (error) {
      if (options.signal?.aborted) throw new LabError('cancelled', 'Cancelled.');
      throw new LabError('network', `${name} could not be fetched: ${error instanceof Error ? error.message : String(error)}.`, 'Try again, or fetch the files yourself and drop them here.');
    }
    if ((await sha256(bytes)) !== known.sha256)
      throw new LabError('broken-file', `${name} is not the file that is known by its hash.`, 'Try again; if it stays so, fetch the files yourself and drop them here.');
    texts[language] = new TextDecoder().decode(bytes);
    done += bytes.length;
    options.onBytes?.(done, XQUAD_BYTES);
  }
  return loadSquad(texts, { name: 'xquad', license: 'CC BY-SA 4.0' });
}

/** Fetched, checked and kept in this browser. @throws as `fetchXquad`; `StorageFull` when there is no room */
export async function bringXquad(options: Parameters<typeof fetchXquad>[0] = {}): Promise<KeptSet> {
  const set = await keep(await fetchXquad(options), XQUAD_SOURCE);
  const store = await SetStore.open();
  try {
    await store.put(set);
  } finally {
    store.close();
  }
  return set;
}
