/**
 * The exact bytes of every token, read from tokenizer.json: what the tokenizer's own decoder would do to one token, without
 * the decoding of bytes to characters. Pure.
 */
import type { Piece } from './spans';

export interface Node {
  type?: string;
  [key: string]: unknown;
}

export interface TokenizerJson {
  added_tokens?: { id: number; content: string; special: boolean }[];
  normalizer?: Node | null;
  pre_tokenizer?: Node | null;
  decoder?: Node | null;
  model: { type?: string; vocab: Record<string, number> | [string, number][] };
}

export type ByteRule = 'byte-level' | 'sentencepiece' | 'plain';

/** A normalizer, pre-tokenizer or decoder and, where it is a sequence, its members. */
export function nodesOf(node: Node | null | undefined): Node[] {
  if (!node) return [];
  const children = ['normalizers', 'pretokenizers', 'decoders'].flatMap((key) => (node[key] as Node[] | undefined) ?? []);
  return [node, ...children.flatMap(nodesOf)];
}

export function byteRule(json: TokenizerJson): ByteRule {
  const decoders = nodesOf(json.decoder).map((n) => n.type);
  if (decoders.includes('ByteLevel')) return 'byte-level';
  if (decoders.includes('ByteFallback') || decoders.includes('Metaspace') || decoders.includes('Replace')) return 'sentencepiece';
  if (nodesOf(json.pre_tokenizer).some((n) => n.type === 'ByteLevel')) return 'byte-level';
  return 'plain';
}

/** The bytes of every token. */
export function tokenPieces(json: TokenizerJson): Map<number, Piece> {
  const rule = byteRule(json);
  const encoder = new TextEncoder();
  const pieces = new Map<number, Piece>();
  const { vocab } = json.model;
  const add = (token: string, id: number): void => {
    pieces.set(id, { bytes: bytesOf(token, rule, encoder), special: false });
  };
  if (Array.isArray(vocab)) vocab.forEach(([token], id) => add(token, id));
  else for (const [token, id] of Object.entries(vocab)) add(token, id);
  // Added tokens stand for their own text, whatever the rule.
  for (const { id, content, special } of json.added_tokens ?? []) pieces.set(id, { bytes: encoder.encode(content), special });
  return pieces;
}

function bytesOf(token: string, rule: ByteRule, encoder: TextEncoder): Uint8Array {
  if (rule === 'byte-level') {
    const bytes: number[] = [];
    for (const char of token) {
      const byte = BYTE_OF_CHAR.get(char);
      if (byte === undefined) return encoder.encode(token);
      bytes.push(byte);
    }
    return Uint8Array.from(bytes);
  }
  if (rule === 'sentencepiece') {
    const byte = /^<0x([0-9A-Fa-f]{2})>$/.exec(token);
    return byte ? Uint8Array.of(parseInt(byte[1], 16)) : encoder.encode(token.replaceAll('▁', ' '));
  }
  return encoder.encode(token);
}

/** GPT-2's table: printable bytes stand for themselves, the other 68 for the code points from U+0100 on, in order. */
const BYTE_OF_CHAR: ReadonlyMap<string, number> = (() => {
  const map = new Map<string, number>();
  let next = 0x100;
  for (let byte = 0; byte < 256; byte++) {
    const printable = (byte >= 0x21 && byte <= 0x7e) || (byte >= 0xa1 && byte <= 0xac) || (byte >= 0xae && byte <= 0xff);
    map.set(String.fromCodePoint(printable ? byte : next++), byte);
  }
  return map;
})();
