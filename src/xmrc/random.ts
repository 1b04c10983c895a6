/**
 * The lab's one random generator: mulberry32 (Tommy Ettinger, public domain), 32 bits of state, the same numbers in every
 * browser. Seeds and what was drawn with them are part of every study, so this function must never change.
 */
export function seeded(seed: number): () => number {
  let a = seed >>> 0;
  return () => {
    a = (a + 0x6d2b79f5) >>> 0;
    let t = a;
    t = Math.imul(t ^ (t >>> 15), t | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}

/** `n` of `list` without replacement (first n steps of Fisher–Yates), in the list's own order. */
export function sample<T>(list: readonly T[], n: number, seed: number): T[] {
  const random = seeded(seed);
  const index = Array.from(list, (_, i) => i);
  const take = Math.min(n, list.length);
  for (let i = 0; i < take; i++) {
    const j = i + Math.floor(random() * (index.length - i));
    [index[i], index[j]] = [index[j], index[i]];
  }
  return index.slice(0, take).sort((a, b) => a - b).map((i) => list[i]);
}
