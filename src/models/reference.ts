/** Model references: what people type or paste, and the addresses it stands for. Pure. */
import { LabError } from '../runtime/errors';
import type { ModelRef } from '../types';

export const DEFAULT_HOST = 'https://huggingface.co';
/** Other names of the same host. */
const HUB = /^(https?:\/\/)?(www\.)?(huggingface\.co|hf\.co)(?=[/?#]|$)/i;
const NAME = /^[\w.-]+$/;
/** What follows owner/name in an address of the hub: these are followed by a revision, the others by something else. */
const BEFORE_REVISION = new Set(['tree', 'blob', 'resolve', 'raw', 'blame', 'commits', 'commit', 'edit', 'revision']);
const OTHER_PAGES = new Set(['discussions', 'settings', 'upload', 'new', 'delete', 'training', 'deploy']);
/** What the hub keeps beside models, at the place of an owner. */
const NOT_MODELS = new Map([
  ['datasets', 'a data set'],
  ['spaces', 'a space'],
  ['collections', 'a collection'],
  ['papers', 'a paper'],
]);

/**
 * `owner/name`, `owner/name@revision`, `owner/name@revision:dtype`, `bundled:name`, `files:id` (also with revision and dtype), or any
 * address copied from the hub or from a mirror (`https://host/owner/name/tree/rev`, `…/blob/rev/onnx/model_q4.onnx`, `…/discussions/3`).
 * @throws LabError 'bad-input'
 */
export function parseRef(input: string | ModelRef): ModelRef {
  if (typeof input !== 'string') return check(input);
  const text = input.trim();
  if (HUB.test(text)) return fromAddress(text, text.replace(HUB, DEFAULT_HOST));
  if (/^https?:\/\//i.test(text)) return fromAddress(text, text);
  const match = /^((?:bundled:|files:)?[^@:\s]+)(?:@([^:\s]+))?(?::([\w-]+))?$/.exec(text);
  if (!match) throw bad(text);
  const [, id, revision, dtype] = match;
  return check({ id, ...(revision ? { revision } : {}), ...(dtype ? { dtype } : {}) });
}

export function formatRef(ref: ModelRef): string {
  return `${ref.id}${ref.revision ? `@${ref.revision}` : ''}${ref.dtype ? `:${ref.dtype}` : ''}`;
}

function fromAddress(text: string, address: string): ModelRef {
  const { origin, parts } = taken(text, address);
  const onHub = origin === DEFAULT_HOST;
  const api = parts.findIndex((part, i) => part === 'api' && parts[i + 1] === 'models');
  if (api >= 0) parts.splice(api, 2);
  const other = onHub && NOT_MODELS.get(parts[0]);
  if (other) throw new LabError('bad-input', `"${text}" is the address of ${other}, not of a model.`, HOW);
  // An owner or a model may be called like a page: on the hub they are the first two parts, elsewhere a folder may come before them.
  const word = parts.findIndex((part, i) => i >= 2 && (BEFORE_REVISION.has(part) || OTHER_PAGES.has(part)));
  const at = onHub ? 2 : word >= 0 ? word : parts.length;
  if (at < 2 || parts.length < at) throw bad(text);
  const prefix = parts.slice(0, at - 2).join('/');
  const rest = BEFORE_REVISION.has(parts[at]) ? parts.slice(at + 1) : [];
  // The names of pull requests and of conversions hold slashes.
  const length = rest[0] === 'refs' ? 3 : 1;
  const revision = rest.slice(0, length).join('/');
  const dtype = dtypeOfFile(rest.slice(length).join('/').replace(/(\.onnx)[._]data(_\d+)?$/, '$1'));
  return check({
    id: `${parts[at - 2]}/${parts[at - 1]}`,
    ...(revision ? { revision } : {}),
    ...(dtype ? { dtype } : {}),
    host: origin + (prefix ? `/${prefix}` : ''),
  });
}

/** Origin and path of an address; each part decoded by itself, so that a revision may hold an encoded slash. */
function taken(text: string, address: string): { origin: string; parts: string[] } {
  try {
    const { origin, pathname } = new URL(address);
    return { origin, parts: pathname.split('/').filter(Boolean).map(decodeURIComponent) };
  } catch {
    throw bad(text);
  }
}

function check({ host: given, ...rest }: ModelRef): ModelRef {
  const host = given?.replace(HUB, DEFAULT_HOST).replace(/\/+$/, '');
  const ref: ModelRef = host === undefined || host === DEFAULT_HOST ? rest : { ...rest, host };
  if (typeof ref.id !== 'string') throw bad(String(ref.id));
  const special = /^(bundled|files):(.+)$/.exec(ref.id);
  const parts = special ? [special[2]] : ref.id.split('/');
  if (!special && parts.length !== 2) throw bad(ref.id);
  // No dots-only part: an id becomes part of an address.
  if (parts.some((part) => !NAME.test(part) || /^\.+$/.test(part))) throw bad(ref.id);
  if (ref.host !== undefined) {
    try {
      const url = new URL(ref.host);
      if (!/^https?:$/.test(url.protocol)) throw bad(ref.host);
    } catch {
      throw new LabError('bad-input', `"${ref.host}" is not an address.`, 'Give the address of a host with the hub’s layout, like https://huggingface.co.');
    }
  }
  return ref;
}

const HOW = 'Write owner/name, owner/name@revision:dtype, or paste an address of the hub.';
const bad = (text: string): LabError => new LabError('bad-input', `"${text}" does not name a model.`, HOW);

/** Kinds whose file names do not end in their own names. */
const SUFFIX = new Map([
  ['fp32', ''],
  ['q8', '_quantized'],
]);
/** The kinds that a host without a list is asked for. */
export const USUAL_DTYPES = ['fp32', 'fp16', 'q8', 'int8', 'uint8', 'q4', 'q4f16', 'bnb4'];
export const graphFile = (dtype: string): string => `onnx/model${SUFFIX.get(dtype) ?? `_${dtype}`}.onnx`;

/** A decoder's graph, by name: what stands before the ending says what was exported, the ending how its numbers are kept. */
const GRAPH = /(?:^|\/)(model|decoder_model_merged|decoder_model)((?:_[a-z0-9]+)*)\.onnx$/i;

/** What was exported, and how its numbers are kept; an ending that is not known is a kind of its own. null: no decoder's graph. */
export function graphOfFile(path: string): { base: string; dtype: string } | null {
  const match = GRAPH.exec(path);
  if (!match) return null;
  const [, base, suffix] = match;
  const named = [...SUFFIX].find(([, own]) => own === suffix);
  return { base, dtype: named ? named[0] : suffix.slice(1) };
}

export const dtypeOfFile = (path: string): string | null => graphOfFile(path)?.dtype ?? null;

export const isCommit = (revision: string | undefined): boolean => /^[0-9a-f]{40}$/.test(revision ?? '');
