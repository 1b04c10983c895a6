/** A short hash to compare with, not a proof of anything: FNV-1a, two lanes of 32 bits, as 16 hex digits. */
export function shortHash(bytes: Uint8Array): string {
  let a = 0x811c9dc5;
  let b = 0x1b873593;
  for (let i = 0; i < bytes.length; i++) {
    a = Math.imul(a ^ bytes[i], 0x01000193);
    b = Math.imul(b ^ bytes[i], 0x85ebca6b) ^ (b >>> 13);
  }
  return (a >>> 0).toString(16).padStart(8, '0') + (b >>> 0).toString(16).padStart(8, '0');
}

/** Hash of the prompt's token ids: a tokenizer that drifted is seen by it. */
export const tokensHash = (tokens: readonly { id: number }[]): string => shortHash(new Uint8Array(Int32Array.from(tokens, (t) => t.id).buffer));
