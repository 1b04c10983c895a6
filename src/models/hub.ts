/** What a hub, or a mirror of one, has of a repository: its commit and its files. What is known of a commit is kept, for it cannot change. */
import { LabError, toLabError } from '../runtime/errors';
import { fetchFile, parseJson, statFile } from '../runtime/fetch';
import type { RemoteFile } from './choose';
import { USUAL_DTYPES, graphFile, isCommit } from './reference';

export interface Listing {
  /** The commit where the host tells it, else what was asked for. */
  revision: string;
  files: RemoteFile[];
  /** False where the host gives no list, and only the usual names were asked for. */
  complete: boolean;
}

export interface Repository {
  /** Without a slash at the end. */
  host: string;
  id: string;
  revision: string;
}

export interface Access {
  token: string | null;
  signal: AbortSignal | undefined;
  /** A kind of file that was named; asked for beside the usual ones. */
  dtype?: string;
}

interface HubInfo {
  sha?: string;
  siblings?: { rfilename: string; size?: number; lfs?: { sha256?: string; size?: number } }[];
  /** Ours: the list was made by asking for names. */
  probed?: boolean;
}

/** Where what hubs said is kept. */
export const HUB_INFO_CACHE = 'lab-hub-info';
const SMALL_FILES = ['config.json', 'generation_config.json', 'tokenizer.json', 'tokenizer_config.json', 'chat_template.jinja'];
/** Large exports have ten or so. */
const MOST_CHUNKS = 100;

export const rootOf = ({ host, id }: Repository, revision: string): string => `${host}/${id}/resolve/${encodeURIComponent(revision)}/`;

/**
 * A hub tells the commit, the files, their sizes and their SHA-256 in one answer; a plain mirror tells nothing, and is asked for each
 * usual file instead. Offline, what was known of the repository the last time is enough to find its files in the store.
 * @throws LabError 'not-found' | 'gated' | 'network' | 'cancelled'
 */
export async function listing(repository: Repository, access: Access): Promise<Listing> {
  const { revision } = repository;
  const kept = isCommit(revision) ? await recall(repository, revision) : null;
  const info = kept ?? (await ask(repository, access)) ?? (await probed(repository, access));
  // Under the name it was asked by, and under the commit: what is loaded again is pinned to that.
  if (!kept) for (const name of new Set([revision, info.sha ?? revision])) if (!info.probed || isCommit(name)) await remember(repository, name, info);
  return {
    revision: info.sha ?? revision,
    files: (info.siblings ?? []).map((s) => ({ path: s.rfilename, bytes: s.lfs?.size ?? s.size ?? null, sha256: s.lfs?.sha256 ?? null })),
    complete: !info.probed,
  };
}

const apiOf = ({ host, id }: Repository, revision: string): string => `${host}/api/models/${id}/revision/${encodeURIComponent(revision)}?blobs=true`;

/** null where there is no API. */
async function ask(repository: Repository, { token, signal }: Access): Promise<HubInfo | null> {
  try {
    const info = parseJson(await fetchFile(apiOf(repository, repository.revision), { signal, token })) as HubInfo;
    return Array.isArray(info.siblings) ? info : null;
  } catch (error) {
    const known = toLabError(error, 'network');
    if (known.code === 'network') {
      const kept = await recall(repository, repository.revision);
      if (kept) return kept;
    }
    // A mirror without the API, or no such repository: the files themselves will tell.
    if (known.code === 'not-found' || known.code === 'broken-file') return null;
    throw known;
  }
}

async function remember(repository: Repository, revision: string, info: HubInfo): Promise<void> {
  try {
    await (await caches.open(HUB_INFO_CACHE)).put(apiOf(repository, revision), new Response(JSON.stringify(info)));
  } catch {
    // Private windows have no Cache API: the lab then only works online.
  }
}

async function recall(repository: Repository, revision: string): Promise<HubInfo | null> {
  try {
    const kept = await (await caches.open(HUB_INFO_CACHE)).match(apiOf(repository, revision));
    return kept ? ((await kept.json()) as HubInfo) : null;
  } catch {
    return null;
  }
}

/** @throws LabError 'not-found' */
async function probed(repository: Repository, access: Access): Promise<HubInfo> {
  const root = rootOf(repository, repository.revision);
  const files = await probe(root, access);
  return { siblings: files.map(({ path, bytes }) => ({ rfilename: path, ...(bytes === null ? {} : { size: bytes }) })), probed: true };
}

/** Asks for each usual file by name. @throws LabError 'not-found' where there is no config.json */
export async function probe(root: string, { token, signal, dtype }: Access): Promise<RemoteFile[]> {
  const stat = async (path: string): Promise<RemoteFile[]> => {
    const found = await statFile(root + path, { signal, token });
    return found ? [{ path, bytes: found.bytes, sha256: null }] : [];
  };
  const config = await stat('config.json');
  if (config.length === 0) throw new LabError('not-found', `There is no model at ${root}.`, 'Check the name and the revision, and that the repository is public.');
  const dtypes = new Set([...USUAL_DTYPES, ...(dtype ? [dtype] : [])]);
  const found = (await Promise.all([...SMALL_FILES.slice(1), ...[...dtypes].map(graphFile)].map(stat))).flat();
  const weightsOf = async (graph: string): Promise<RemoteFile[]> => {
    const [chunk, whole] = await Promise.all([stat(`${graph}_data`), stat(`${graph}.data`)]);
    for (let n = 1; chunk.length === n && n < MOST_CHUNKS; n++) chunk.push(...(await stat(`${graph}_data_${n}`)));
    return [...chunk, ...whole];
  };
  const weights = await Promise.all(found.filter((f) => f.path.endsWith('.onnx')).map((f) => weightsOf(f.path)));
  return [...config, ...found, ...weights.flat()];
}
