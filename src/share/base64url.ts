/** base64url without padding (RFC 4648 § 5), and text packed by deflate-raw with a cap on what comes out. */
import { deflateSync, Inflate, strToU8 } from 'fflate';

const ALPHABET = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_';
const VALUE = new Int16Array(128).fill(-1);
for (let i = 0; i < 64; i++) VALUE[ALPHABET.charCodeAt(i)] = i;

export function toBase64url(bytes: Uint8Array): string {
  let out = '';
  for (let i = 0; i < bytes.length; i += 3) {
    const n = (bytes[i] << 16) | ((bytes[i + 1] ?? 0) << 8) | (bytes[i + 2] ?? 0);
    out += ALPHABET[n >> 18] + ALPHABET[(n >> 12) & 63];
    if (i + 1 < bytes.length) out += ALPHABET[(n >> 6) & 63];
    if (i + 2 < bytes.length) out += ALPHABET[n & 63];
  }
  return out;
}

/** null when a character is not of the alphabet or the length is impossible. */
export function fromBase64url(text: string): Uint8Array | null {
  if (text.length % 4 === 1) return null;
  const out = new Uint8Array(Math.floor((text.length * 3) / 4));
  let bits = 0;
  let held = 0;
  let at = 0;
  for (let i = 0; i < text.length; i++) {
    const c = text.charCodeAt(i);
    const v = c < 128 ? VALUE[c] : -1;
    if (v < 0) return null;
    bits = (bits << 6) | v;
    held += 6;
    if (held >= 8) {
      held -= 8;
      out[at++] = (bits >> held) & 255;
    }
  }
  return out;
}

export const pack = (text: string): string => toBase64url(deflateSync(strToU8(text), { level: 9 }));

/** 'broken' when it is not deflated UTF-8; 'too-large' as soon as more than `cap` bytes came out: a small link must not fill the memory. */
export function unpack(text: string, cap: number): { ok: true; text: string } | { ok: false; why: 'broken' | 'too-large' } {
  const bytes = fromBase64url(text);
  if (bytes === null || bytes.length === 0) return { ok: false, why: 'broken' };
  const parts: Uint8Array[] = [];
  let size = 0;
  let ended = false;
  try {
    const inflate = new Inflate((chunk, final) => {
      size += chunk.length;
      if (size <= cap) parts.push(chunk);
      ended ||= final;
    });
    // small bites: each yields at most about a thousand times its size before the cap is looked at again
    for (let i = 0; i < bytes.length && size <= cap; i += 256) inflate.push(bytes.subarray(i, i + 256), i + 256 >= bytes.length);
    if (size > cap) return { ok: false, why: 'too-large' };
    if (!ended) return { ok: false, why: 'broken' };
    const all = new Uint8Array(size);
    let at = 0;
    for (const p of parts) {
      all.set(p, at);
      at += p.length;
    }
    // strict: bytes that are no UTF-8 mean that the link was damaged
    return { ok: true, text: new TextDecoder('utf-8', { fatal: true }).decode(all) };
  } catch {
    return { ok: false, why: 'broken' };
  }
}
