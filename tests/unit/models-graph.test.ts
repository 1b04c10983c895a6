/** What config.json and the graph say of a model before its weights are fetched: what is refused, why, and which files are wanted. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { readConfig } from '../../src/models/config';
import { checkBuffers, checkPorts, summarise } from '../../src/models/graph';
import type { OnnxValueInfo } from '../../src/onnx';
import { scatterWeights } from '../scatter';
import { fixture, fixtureNames, MODELS } from './onnx-fixtures';

const port = (name: string, shape: OnnxValueInfo['shape'] = null): OnnxValueInfo => ({ name, elemType: 1, shape, range: { start: 0, end: 0 } });
const LOGITS = port('logits', ['batch', 'sequence', 100]);
const past = ['past_key_values.0.key', 'past_key_values.0.value'].map((name) => port(name));
const present = ['present.0.key', 'present.0.value'].map((name) => port(name));

describe('the graph', () => {
  test.each(fixtureNames())('of %s is a decoder’s', (name) => {
    expect(() => summarise(`${name}.onnx`, fixture(name).bytes)).not.toThrow();
  });

  test.each<[string, OnnxValueInfo[], OnnxValueInfo[], RegExp]>([
    ['a classifier', [port('input_ids'), port('attention_mask')], [port('logits', ['batch', 2])], /one row of logits/],
    ['an encoder', [port('input_ids')], [port('last_hidden_state')], /no logits/],
    ['a decoder without a cache', [port('input_ids')], [LOGITS], /no key\/value cache/],
    ['a cache that does not come out', [port('input_ids'), ...past], [LOGITS, present[0]], /present\.0\.value/],
    ['a decoder fed with embeddings', [port('inputs_embeds'), ...past], [LOGITS, ...present], /inputs_embeds/],
    ['a vision model', [port('pixel_values')], [LOGITS], /pixel_values/],
    ['a hybrid', [port('input_ids'), ...past, port('past_conv.1')], [LOGITS, ...present], /past_conv\.1/],
    ['a merged decoder', [port('input_ids'), ...past, port('use_cache_branch')], [LOGITS, ...present], /use_cache_branch/],
  ])('of %s is refused with the reason and what to take instead', (_, inputs, outputs, why) => {
    expect(() => checkPorts({ inputs, outputs })).toThrow(expect.objectContaining({ code: 'unsupported-graph', message: expect.stringMatching(why) as string, hint: expect.stringMatching(/decoder-only/) as string }));
  });

  test('logits of unknown shape are left to the runtime', () => {
    expect(() => checkPorts({ inputs: [port('input_ids'), ...past], outputs: [port('logits'), ...present] })).not.toThrow();
  });

  test('names the files that its weights lie in, and its largest weight', () => {
    const at = join(MODELS, 'smollm/onnx/model.onnx');
    const data = readFileSync(`${at}_data`);
    expect(summarise('onnx/model.onnx', readFileSync(at))).toEqual({ external: ['model.onnx_data'], largest: { name: 'lm_head.MatMul.weight', bytes: expect.any(Number) as number } });
    const { graph } = scatterWeights(readFileSync(at), data, 'weights.bin', 3, 0);
    expect(summarise('onnx/model.onnx', graph).external.sort()).toEqual(['weights.bin', 'weights.bin_1', 'weights.bin_2']);
    expect(() => summarise('onnx/model.onnx', scatterWeights(readFileSync(at), data, '../../../x', 1, 0).graph)).toThrow(/outside its own folder/);
  });

  test('with a weight larger than the adapter’s largest buffer is refused; what can be bound at once is no limit', () => {
    const { bytes } = fixture('llama/model');
    const summary = summarise('onnx/model.onnx', bytes);
    const limits = (maxBufferSize: number) => ({ limits: { maxBufferSize, maxStorageBufferBindingSize: 1000 } }) as Parameters<typeof checkBuffers>[1];
    expect(() => checkBuffers(summary, limits(summary.largest.bytes))).not.toThrow();
    expect(() => checkBuffers(summary, limits(summary.largest.bytes - 1))).toThrow(
      expect.objectContaining({ code: 'unsupported-device', message: expect.stringMatching(/at most 1 MiB in one piece/) as string, hint: expect.stringMatching(/WASM/) as string }),
    );
  });
});

describe('config.json', () => {
  const config = (more: object): unknown => ({ model_type: 'llama', num_hidden_layers: 2, hidden_size: 64, num_attention_heads: 4, vocab_size: 512, ...more });

  test.each<[string, object, RegExp]>([
    ['a classifier', { model_type: 'roberta', architectures: ['RobertaForSequenceClassification'] }, /RobertaForSequenceClassification does not write/],
    ['an encoder', { model_type: 'bert', architectures: ['BertModel'] }, /does not write/],
    ['a vision model', { model_type: 'vit', architectures: ['ViTForImageClassification'] }, /does not write/],
    ['an encoder-decoder', { model_type: 't5', architectures: ['T5ForConditionalGeneration'], is_encoder_decoder: true }, /encoder-decoder/],
    ['a hybrid', { model_type: 'lfm2', architectures: ['Lfm2ForCausalLM'], layer_types: ['conv', 'full_attention'] }, /"conv"/],
    ['a hybrid of attentions', { model_type: 'qwen3_next', layer_types: ['linear_attention', 'full_attention'] }, /"linear_attention"/],
  ])('of %s is refused before anything large is fetched', async (_, more, why) => {
    await expect(readConfig(config(more), null)).rejects.toMatchObject({ code: 'unsupported-graph', message: expect.stringMatching(why) as string });
  });

  test.each([['GPT2LMHeadModel'], ['Gemma3ForConditionalGeneration'], ['LlamaForCausalLM']])('of a %s is taken', async (name) => {
    expect((await readConfig(config({ architectures: [name], layer_types: ['sliding_attention', 'full_attention'] }), null)).layers).toBe(2);
  });
});
