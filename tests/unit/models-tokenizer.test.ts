/** Tokenizers as the hub has them: of any size. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import type { TokenizerJson } from '../../src/models/pieces';
import { TextTokenizer } from '../../src/models/tokenizer';

test('262,144 tokens, as Gemma 3 has: more than a call takes arguments', async () => {
  const file = join(import.meta.dirname, '../fixtures/models/llama/tokenizer.json');
  const json = JSON.parse(readFileSync(file, 'utf8')) as TokenizerJson & { model: { vocab: Record<string, number> } };
  const { vocab } = json.model;
  for (let id = Object.keys(vocab).length; id < 262_144; id++) vocab[`word${id}`] = id;
  const tokenizer = await TextTokenizer.create({ tokenizer: json, config: {}, template: null });
  const ids = tokenizer.encode('The river', false);
  expect(ids.map((id) => tokenizer.label(id)).join('')).toBe('The river');
}, 60_000);
