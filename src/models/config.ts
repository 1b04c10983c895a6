/** The few numbers of config.json and generation_config.json that the lab needs, checked. */
import { AutoConfig } from '@huggingface/transformers';
import { LabError } from '../runtime/errors';

export interface ModelConfig {
  type: string;
  layers: number;
  width: number;
  heads: number;
  kvHeads: number;
  headDim: number;
  vocab: number;
  /** The longest prompt plus answer, in tokens. */
  maxLength: number;
  stopIds: number[];
  bosId: number | null;
}

type Json = Record<string, unknown>;

const positive = (value: unknown): number | null =>
  typeof value === 'number' && Number.isFinite(value) && value > 0 ? value : null;

const ids = (value: unknown): number[] =>
  (Array.isArray(value) ? value : [value]).filter((v): v is number => typeof v === 'number' && v >= 0);

const strings = (value: unknown): string[] => (Array.isArray(value) ? value.filter((v): v is string => typeof v === 'string') : []);

/** What transformers calls the models that write: Llama*ForCausalLM*, GPT2*LMHead*Model, Gemma3*ForConditionalGeneration* (which also see). */
const WRITES = /CausalLM|LMHead|ForConditionalGeneration/;
/** Where configs say what each layer is made of. */
const LAYER_KINDS = ['layer_types', 'layers_block_type', 'block_types'];
const INSTEAD = 'The lab reads decoder-only text models: choose one whose config names a …ForCausalLM.';

/** What the config alone shows to be no plain decoder, before anything large is fetched. A graph may still show it. */
function refuseOtherKinds(json: Json, text: Json): void {
  if (json['is_encoder_decoder'] === true) throw new LabError('unsupported-graph', `${String(json['model_type'])} is an encoder-decoder.`, INSTEAD);
  const architectures = strings(json['architectures']);
  if (architectures.length > 0 && !architectures.some((name) => WRITES.test(name)))
    throw new LabError('unsupported-graph', `${architectures.join(', ')} does not write text: it is an encoder, or a part of a larger model.`, INSTEAD);
  const kinds = LAYER_KINDS.flatMap((key) => strings(text[key]));
  const other = kinds.find((kind) => !/attention$/.test(kind) || /linear/.test(kind));
  if (other) throw new LabError('unsupported-graph', `${String(json['model_type'])} is a hybrid: some of its layers are "${other}" and not attention.`, INSTEAD);
}

/** @throws LabError 'broken-file' (no object) | 'unsupported-graph' (an encoder, an encoder-decoder, a hybrid, or numbers missing) */
export async function readConfig(config: unknown, generation: unknown): Promise<ModelConfig> {
  if (typeof config !== 'object' || config === null || Array.isArray(config))
    throw new LabError('broken-file', 'config.json holds no object.', 'Check the address of the model.');
  const json = config as Json;
  const text = (typeof json['text_config'] === 'object' && json['text_config'] !== null ? json['text_config'] : json) as Json;
  refuseOtherKinds(json, text);

  // transformers.js knows under which names each family keeps these numbers.
  const known = (await AutoConfig.from_pretrained('lab', { config: json as never })) as unknown as { normalized_config: Json };
  const normal = known.normalized_config;
  const find = (...names: string[]): number | null => {
    for (const source of [text, normal, json]) for (const name of names) if (positive(source[name])) return positive(source[name]);
    return null;
  };
  const layers = find('num_hidden_layers', 'n_layer', 'num_layers');
  const width = find('hidden_size', 'n_embd', 'd_model');
  const heads = find('num_attention_heads', 'n_head', 'num_heads');
  if (!layers || !width || !heads)
    throw new LabError(
      'unsupported-graph',
      `config.json of type "${String(json['model_type'] ?? 'unknown')}" does not describe a decoder (layers, width or heads are missing).`,
      'The lab reads decoder-only language models.',
    );
  const gen = (typeof generation === 'object' && generation !== null ? generation : {}) as Json;
  return {
    type: String(text['model_type'] ?? json['model_type'] ?? 'unknown'),
    layers,
    width,
    heads,
    kvHeads: find('num_key_value_heads', 'num_kv_heads') ?? heads,
    headDim: find('head_dim', 'dim_kv') ?? width / heads,
    vocab: find('vocab_size') ?? 0,
    maxLength: find('max_position_embeddings', 'n_positions', 'n_ctx') ?? 2048,
    stopIds: [...new Set([...ids(gen['eos_token_id']), ...ids(text['eos_token_id']), ...ids(json['eos_token_id'])])],
    bosId: ids(gen['bos_token_id'])[0] ?? ids(text['bos_token_id'])[0] ?? null,
  };
}
