/** Whose run is on show. A run belongs to one file of a model at one revision on one device: another of these may answer otherwise. */
import type { LoadedModel } from '../../types';

export function sameModel({ provenance: a }: LoadedModel, { provenance: b }: LoadedModel): boolean {
  // records of before have the word alone where a bundled model's hash is now
  const unsaid = a.revision === 'bundled' || b.revision === 'bundled';
  return a.model === b.model && (unsaid || a.revision === b.revision) && a.dtype === b.dtype && a.device === b.device && a.precise === b.precise;
}

/** Both by name: by the title, and where that is the same, by the first of file, device, arithmetic and revision in which they differ. */
export function tellApart(a: LoadedModel, b: LoadedModel): [string, string] {
  const said = [a, b].map((m): string[] => [
    m.dtype,
    `on ${m.device === 'webgpu' ? 'WebGPU' : 'WASM'}`,
    m.provenance.precise ? 'precise' : 'not precise',
    `revision ${m.provenance.revision.slice(0, 12)}`,
  ]);
  const differs = a.card.title === b.card.title ? said[0].findIndex((word, i) => word !== said[1][i]) : -1;
  const name = (m: LoadedModel, words: string[]): string => (differs < 0 ? m.card.title : `${m.card.title}, ${words[differs]}`);
  return [name(a, said[0]), name(b, said[1])];
}
