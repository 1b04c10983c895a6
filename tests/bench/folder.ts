/** Model folders in the hub's layout: the bundled one, one that was named, or a random one made for the occasion. */
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { basename, join, resolve } from 'node:path';
import { writeModel, PASSAGE, type Shape } from './graph';

const ROOT = resolve(import.meta.dirname, '../..');

export interface Folder {
  name: string;
  path: string;
  dtype: 'fp32' | 'q4';
  /** What the table says of it. */
  title: string;
}

/** The bundled model in full precision; until it is there, a random one of its shape. */
export function mainModel(named: string | null, temp: string): Folder {
  if (named) {
    const dtype = existsSync(join(named, 'onnx/model.onnx')) ? 'fp32' : 'q4';
    return { name: basename(resolve(named)), path: resolve(named), dtype, title: `${basename(resolve(named))} (${dtype})` };
  }
  const bundled = join(ROOT, 'public/models/passage-post');
  if (existsSync(join(bundled, 'onnx/model.onnx'))) return { name: 'passage-post', path: bundled, dtype: 'fp32', title: 'bundled:passage-post (fp32)' };
  return randomModel('passage-shaped', PASSAGE, 'fp32', temp, 'random, of the bundled model’s shape (fp32)');
}

export function randomModel(name: string, shape: Shape, dtype: 'fp32' | 'q4', temp: string, title: string): Folder {
  const path = join(temp, 'models', name);
  mkdirSync(join(path, 'onnx'), { recursive: true });
  writeModel(join(path, 'onnx', dtype === 'q4' ? 'model_q4.onnx' : 'model.onnx'), shape, dtype);
  const json = (file: string, value: unknown): void => writeFileSync(join(path, file), JSON.stringify(value));
  json('config.json', {
    architectures: ['LlamaForCausalLM'],
    model_type: 'llama',
    hidden_act: 'silu',
    hidden_size: shape.width,
    intermediate_size: shape.inner,
    num_hidden_layers: shape.layers,
    num_attention_heads: shape.heads,
    num_key_value_heads: shape.kvHeads,
    head_dim: shape.headDim,
    vocab_size: shape.vocab,
    max_position_embeddings: shape.positions,
    bos_token_id: 0,
    eos_token_id: 1,
  });
  json('generation_config.json', { bos_token_id: 0, eos_token_id: 1 });
  json('tokenizer.json', tokenizer(shape.vocab));
  json('tokenizer_config.json', { tokenizer_class: 'PreTrainedTokenizerFast', bos_token: '<s>', eos_token: '</s>', clean_up_tokenization_spaces: false });
  return { name, path, dtype, title };
}

/** The bundled models' tokenizer, or else a fixture's, with made-up words behind its own, as many as the model has rows. */
function tokenizer(vocab: number): unknown {
  const bundled = join(ROOT, 'public/models/passage-base/tokenizer.json');
  const file = vocab >= PASSAGE.vocab && existsSync(bundled) ? bundled : join(ROOT, 'tests/fixtures/models/llama/tokenizer.json');
  const json = JSON.parse(readFileSync(file, 'utf8')) as { model: { vocab: Record<string, number> } };
  const taken = new Set(Object.values(json.model.vocab));
  for (let id = 0; id < vocab; id++) if (!taken.has(id)) json.model.vocab[`word${id}`] = id;
  return json;
}
