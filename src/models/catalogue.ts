/**
 * The models the lab offers by name. Bundled ones are listed by the page's own `models/index.json`; of hub models only what is
 * certain without asking the hub is written here: sizes of files come from the hub when it is reachable.
 */
import { LabError } from '../runtime/errors';
import { fetchFile, parseJson } from '../runtime/fetch';
import type { ModelCard } from '../types';
import type { RemoteFile } from './choose';

/** A card as the page's own list has it: with the files, their sizes and hashes, as the hub's API would give them. */
type ListedCard = Partial<ModelCard> & Pick<ModelCard, 'ref'> & { files?: { path: string; bytes?: number; sha256?: string }[] };

/** A page without bundled models has an empty list. @throws LabError 'broken-file' when the list is no list */
async function readIndex(base: string, signal?: AbortSignal): Promise<ListedCard[]> {
  let json: unknown;
  try {
    json = parseJson(await fetchFile(new URL('models/index.json', base).href, { signal }));
  } catch (error) {
    if (error instanceof LabError && error.code === 'not-found') return [];
    throw error;
  }
  if (!Array.isArray(json)) throw new LabError('broken-file', 'models/index.json holds no list.');
  return (json as ListedCard[]).filter((card) => Boolean(card.ref?.id));
}

export async function bundledCards(base: string, signal?: AbortSignal): Promise<ModelCard[]> {
  return (await readIndex(base, signal)).map(({ files: _files, ...card }) => complete(card));
}

/** By model id; only models whose files are listed. */
export async function bundledFiles(base: string, signal?: AbortSignal): Promise<Map<string, RemoteFile[]>> {
  const files = new Map<string, RemoteFile[]>();
  for (const card of await readIndex(base, signal))
    if (card.files) files.set(card.ref.id, card.files.map((f) => ({ path: f.path, bytes: f.bytes ?? null, sha256: f.sha256 ?? null })));
  return files;
}

const complete = (card: Partial<ModelCard> & Pick<ModelCard, 'ref'>): ModelCard => ({
  title: card.ref.id,
  stage: 'post-trained',
  pair: null,
  step: null,
  parameters: null,
  layers: null,
  width: null,
  bytes: {},
  languages: [],
  license: '',
  note: '',
  ...card,
  bundled: true,
});

type Row = Pick<ModelCard, 'title' | 'stage' | 'pair' | 'parameters' | 'layers' | 'width' | 'languages' | 'license' | 'note'> & { id: string };

const hub = ({ id, ...row }: Row): ModelCard => ({ ...row, ref: { id }, step: null, bytes: {}, bundled: false });

/** Catalogue of the hub. Languages are those of the twelve that the model's makers name. */
export function catalogue(): ModelCard[] {
  const rows: Row[] = [
    { id: 'HuggingFaceTB/SmolLM2-135M-Instruct', title: 'SmolLM2 135M Instruct', stage: 'post-trained', pair: null, parameters: 135e6, layers: 30, width: 576, languages: ['en'], license: 'Apache-2.0', note: 'Small and quick; English only.' },
    { id: 'HuggingFaceTB/SmolLM2-360M-Instruct', title: 'SmolLM2 360M Instruct', stage: 'post-trained', pair: null, parameters: 362e6, layers: 32, width: 960, languages: ['en'], license: 'Apache-2.0', note: 'English only.' },
    { id: 'HuggingFaceTB/SmolLM-135M', title: 'SmolLM 135M (base)', stage: 'base', pair: 'smollm-135m', parameters: 135e6, layers: 30, width: 576, languages: ['en'], license: 'Apache-2.0', note: 'Base sibling; has no q4f16 file, use q4 for both.' },
    { id: 'HuggingFaceTB/SmolLM-135M-Instruct', title: 'SmolLM 135M Instruct', stage: 'post-trained', pair: 'smollm-135m', parameters: 135e6, layers: 30, width: 576, languages: ['en'], license: 'Apache-2.0', note: '' },
    { id: 'HuggingFaceTB/SmolLM-360M', title: 'SmolLM 360M (base)', stage: 'base', pair: 'smollm-360m', parameters: 362e6, layers: 32, width: 960, languages: ['en'], license: 'Apache-2.0', note: 'Base sibling; has no q4f16 file, use q4 for both.' },
    { id: 'HuggingFaceTB/SmolLM-360M-Instruct', title: 'SmolLM 360M Instruct', stage: 'post-trained', pair: 'smollm-360m', parameters: 362e6, layers: 32, width: 960, languages: ['en'], license: 'Apache-2.0', note: '' },
    { id: 'onnx-community/Qwen2.5-0.5B-Instruct', title: 'Qwen2.5 0.5B Instruct', stage: 'post-trained', pair: null, parameters: 494e6, layers: 24, width: 896, languages: ['en', 'zh', 'es', 'de', 'ru', 'vi', 'th', 'ar'], license: 'Apache-2.0', note: 'The smallest strongly multilingual one.' },
    { id: 'onnx-community/Qwen2.5-1.5B-Instruct', title: 'Qwen2.5 1.5B Instruct', stage: 'post-trained', pair: null, parameters: 1.54e9, layers: 28, width: 1536, languages: ['en', 'zh', 'es', 'de', 'ru', 'vi', 'th', 'ar'], license: 'Apache-2.0', note: 'Needs a strong machine.' },
    { id: 'onnx-community/Qwen3-0.6B-ONNX', title: 'Qwen3 0.6B', stage: 'post-trained', pair: null, parameters: 596e6, layers: 28, width: 1024, languages: ['en', 'zh', 'es', 'de', 'ru', 'vi', 'th', 'ar', 'hi', 'el', 'ro', 'tr'], license: 'Apache-2.0', note: 'Asked without thinking aloud.' },
    { id: 'onnx-community/Llama-3.2-1B', title: 'Llama 3.2 1B (base)', stage: 'base', pair: 'llama-3.2-1b', parameters: 1.24e9, layers: 16, width: 2048, languages: ['en', 'de', 'es', 'hi', 'th'], license: 'Llama 3.2 Community License', note: 'Base sibling. Needs a strong machine.' },
    { id: 'onnx-community/Llama-3.2-1B-Instruct', title: 'Llama 3.2 1B Instruct', stage: 'post-trained', pair: 'llama-3.2-1b', parameters: 1.24e9, layers: 16, width: 2048, languages: ['en', 'de', 'es', 'hi', 'th'], license: 'Llama 3.2 Community License', note: 'Needs a strong machine.' },
    { id: 'onnx-community/gemma-3-270m-it-ONNX', title: 'Gemma 3 270M', stage: 'post-trained', pair: null, parameters: 268e6, layers: 18, width: 640, languages: ['en', 'de', 'es', 'vi', 'zh', 'hi', 'ar', 'el', 'ro', 'ru', 'th', 'tr'], license: 'Gemma Terms of Use', note: '16-bit files overflow on WebGPU: take q4.' },
    { id: 'onnx-community/gemma-3-1b-it-ONNX', title: 'Gemma 3 1B', stage: 'post-trained', pair: null, parameters: 1e9, layers: 26, width: 1152, languages: ['en', 'de', 'es', 'vi', 'zh', 'hi', 'ar', 'el', 'ro', 'ru', 'th', 'tr'], license: 'Gemma Terms of Use', note: '16-bit files overflow on WebGPU: take q4. Needs a strong machine.' },
  ];
  return rows.map(hub);
}
