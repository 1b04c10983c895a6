/** Model references: what people type or paste, and the addresses it stands for. Pure. */
import { LabError } from '../runtime/errors';
import type { ModelRef } from '../types';

export const DEFAULT_HOST = 'https://huggingface.co';
const NAME = /^[\w.-]+$/;

/**
 * `owner/name`, `owner/name@revision`, `owner/name@revision:dtype`, `bundled:name`, `files:id`, or an address copied from the
 * hub (`https://host/owner/name/tree/rev`, `…/blob/rev/onnx/model_q4.onnx`, `…/resolve/rev/…`).
 * @throws LabError 'bad-input'
 */
export function parseRef(input: string | ModelRef): ModelRef {
  if (typeof input !== 'string') return check({ ...input });
  const text = input.trim();
  if (/^https?:\/\//i.test(text)) return fromAddress(text);
  const special = /^(bundled|files):(.+)$/.exec(text);
  if (special) return check({ id: text });
  const match = /^([^@:\s]+)(?:@([^:\s]+))?(?::([\w-]+))?$/.exec(text);
  if (!match) throw bad(text);
  const [, id, revision, dtype] = match;
  return check({ id, ...(revision ? { revision } : {}), ...(dtype ? { dtype } : {}) });
}

export function formatRef(ref: ModelRef): string {
  return `${ref.id}${ref.revision ? `@${ref.revision}` : ''}${ref.dtype ? `:${ref.dtype}` : ''}`;
}

function fromAddress(text: string): ModelRef {
  let url: URL;
  try {
    url = new URL(text);
  } catch {
    throw bad(text);
  }
  const parts = url.pathname.split('/').filter(Boolean).map(decodeURIComponent);
  const cut = parts.findIndex((part) => part === 'tree' || part === 'blob' || part === 'resolve');
  const at = cut >= 0 ? cut : parts.length;
  if (at < 2) throw bad(text);
  const prefix = parts.slice(0, at - 2).join('/');
  const host = url.origin + (prefix ? `/${prefix}` : '');
  const file = parts.slice(at + 2).join('/');
  const dtype = file ? dtypeOfFile(file) : null;
  return check({
    id: `${parts[at - 2]}/${parts[at - 1]}`,
    ...(parts[at + 1] ? { revision: parts[at + 1] } : {}),
    ...(dtype ? { dtype } : {}),
    ...(host !== DEFAULT_HOST ? { host } : {}),
  });
}

function check(ref: ModelRef): ModelRef {
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

const bad = (text: string): LabError =>
  new LabError('bad-input', `"${text}" does not name a model.`, 'Write owner/name, owner/name@revision:dtype, or paste an address of the hub.');

/** File-name endings of the hub's ONNX files. */
export const DTYPE_SUFFIX: Record<string, string> = {
  fp32: '',
  fp16: '_fp16',
  q8: '_quantized',
  int8: '_int8',
  uint8: '_uint8',
  q4: '_q4',
  q4f16: '_q4f16',
  bnb4: '_bnb4',
};

export function dtypeOfFile(path: string): string | null {
  const match = /([^/]+)\.onnx$/.exec(path);
  if (!match) return null;
  for (const [dtype, suffix] of Object.entries(DTYPE_SUFFIX)) if (suffix && match[1].endsWith(suffix)) return dtype;
  return 'fp32';
}

export const isCommit = (revision: string | undefined): boolean => /^[0-9a-f]{40}$/.test(revision ?? '');
