/** What the graph code does with files that are sound but not what the lab can look into; of damaged ones see onnx-fuzz.test.ts. */
import { describe, expect, it } from 'vitest';
import { findResidual, OnnxError, prepareModel, readModel } from '../../src/onnx';
import { ProtoReader, ProtoWriter } from '../../src/onnx/proto';
import { writeNode, writeTensor, writeValueInfo, type NodeSpec } from '../../src/onnx/write';

const WIDTH = 8;

/** A small file from node specs; tensors named `w…` are weights. */
function file(nodes: NodeSpec[], inputs: string[], outputs: string[]): Uint8Array {
  const graph = new ProtoWriter();
  for (const node of nodes) graph.bytes(1, writeNode(node));
  graph.string(2, 'test');
  for (const name of new Set(nodes.flatMap((n) => n.inputs).filter((i) => i.startsWith('w')))) {
    graph.bytes(5, writeTensor(name, 1, [WIDTH], new Float32Array(WIDTH)));
  }
  for (const name of inputs) graph.bytes(11, writeValueInfo(name, name.endsWith('ids') ? 7 : 1, null));
  for (const name of outputs) graph.bytes(12, writeValueInfo(name, 1, null));
  const opset = new ProtoWriter().string(1, '').uint(2, 21).done();
  return new ProtoWriter().uint(1, 10).bytes(7, graph.done()).bytes(8, opset).done();
}

const op = (opType: string, inputs: string[], ...outputs: string[]): NodeSpec => ({ opType, inputs, outputs });

/** A decoder of the plainest kind; `block` may be replaced to make it strange. */
function decoder(layers: number, block?: (l: number, x: string, out: string) => NodeSpec[]): NodeSpec[] {
  const plain = (l: number, x: string, out: string): NodeSpec[] => [
    op('SimplifiedLayerNormalization', [x, 'w.norm'], `n.${l}`),
    op('GroupQueryAttention', [`n.${l}`, `past_key_values.${l}.key`, `past_key_values.${l}.value`], `attn.${l}`, `present.${l}.key`, `present.${l}.value`),
    op('Add', [x, `attn.${l}`], `mid.${l}`),
    op('SimplifiedLayerNormalization', [`mid.${l}`, 'w.norm'], `m.${l}`),
    op('MatMul', [`m.${l}`, 'w.mlp'], `mlp.${l}`),
    op('Add', [`mid.${l}`, `mlp.${l}`], out),
  ];
  const nodes = [op('Gather', ['w.embed', 'input_ids'], 'h.0')];
  for (let l = 0; l < layers; l++) nodes.push(...(block ?? plain)(l, `h.${l}`, `h.${l + 1}`));
  nodes.push(op('SimplifiedLayerNormalization', [`h.${layers}`, 'w.norm'], 'final'), op('MatMul', ['final', 'w.head'], 'logits'));
  return nodes;
}

const caches = (layers: number, prefix: string) => Array.from({ length: layers }, (_, l) => [`${prefix}.${l}.key`, `${prefix}.${l}.value`]).flat();
const decoderFile = (layers: number, nodes = decoder(layers), extra: string[] = []) =>
  file(nodes, ['input_ids', ...caches(layers, 'past_key_values'), ...extra], ['logits', ...caches(layers, 'present')]);

describe('refuses, and says why', () => {
  it('takes the plain decoder all cases below are variations of', () => {
    const residual = findResidual(readModel(decoderFile(3)), 3);
    expect(residual.hidden.map((h) => h.tensor)).toEqual(['h.0', 'h.1', 'h.2', 'h.3']);
    expect(residual.width).toBe(WIDTH);
  });

  it.each<[string, Uint8Array, RegExp]>([
    ['an encoder', file([op('Gather', ['w.embed', 'input_ids'], 'x'), op('MatMul', ['x', 'w'], 'last_hidden_state')], ['input_ids'], ['last_hidden_state']), /encoder/],
    ['a classifier', file([op('Gather', ['w.embed', 'input_ids'], 'x'), op('MatMul', ['x', 'w'], 'logits')], ['input_ids'], ['logits']), /cache/],
    ['a vision model', file([op('Conv', ['pixel_values', 'w'], 'x'), op('MatMul', ['x', 'w'], 'logits')], ['pixel_values'], ['logits']), /input_ids/],
    ['a model that also sees', decoderFile(2, decoder(2), ['pixel_values']), /pixel_values/],
    ['a decoder fed with embeddings', file(decoder(1).slice(1), ['h.0', ...caches(1, 'past_key_values')], ['logits', ...caches(1, 'present')]), /input_ids/],
    ['a hybrid', decoderFile(2, decoder(2), ['past_conv.2']), /hybrid/i],
    ['a merged decoder', decoderFile(2, decoder(2), ['use_cache_branch']), /merged/],
    [
      'a block that adds attention and MLP one after the other from the same norm',
      decoderFile(
        2,
        decoder(2, (l, x, out) => [
          op('SimplifiedLayerNormalization', [x, 'w.norm'], `n.${l}`),
          op('GroupQueryAttention', [`n.${l}`, `past_key_values.${l}.key`, `past_key_values.${l}.value`], `attn.${l}`, `present.${l}.key`, `present.${l}.value`),
          op('Add', [x, `attn.${l}`], `mid.${l}`),
          op('MatMul', [`n.${l}`, 'w.mlp'], `mlp.${l}`),
          op('Add', [`mid.${l}`, `mlp.${l}`], out),
        ]),
      ),
      /residual stream/,
    ],
    [
      'a scaled stream',
      decoderFile(
        3,
        decoder(3, (l, x, out) => [
          op('GroupQueryAttention', [x, `past_key_values.${l}.key`, `past_key_values.${l}.value`], `attn.${l}`, `present.${l}.key`, `present.${l}.value`),
          op('Add', [x, `attn.${l}`], `mid.${l}`),
          op('Mul', [`mid.${l}`, 'w.scale'], out),
        ]),
      ),
      /layer 0|residual/,
    ],
    ['attention after the last sum', decoderFile(1, [...decoder(1).slice(0, -1), op('Softmax', ['final'], 'odd'), op('MatMul', ['odd', 'w.head'], 'logits')]), /Softmax/],
    ['a head the lab does not know', decoderFile(1, [...decoder(1).slice(0, -1), op('Conv', ['final', 'w.head'], 'logits')]), /Conv/],
    ['rows chosen after the head', decoderFile(1, [...decoder(1).slice(0, -1), op('MatMul', ['final', 'w.head'], 'all'), op('Slice', ['all', 'w.s', 'w.e'], 'logits')]), /Slice/],
  ])('%s', (_, bytes, reason) => {
    const prepared = prepareModel(bytes);
    expect(prepared.lab).toBeNull();
    expect(prepared.opaque).toMatch(reason);
    expect(() => findResidual(readModel(bytes))).toThrow(OnnxError);
  });

  it('a layer count that is not the config’s', () => {
    expect(prepareModel(decoderFile(3), { layers: 4 }).opaque).toMatch(/3 layers.*4/);
  });

  it.each<[string, Uint8Array]>([
    ['nothing', new Uint8Array(0)],
    ['text', new TextEncoder().encode('<!doctype html><title>Not found</title>')],
    ['two tensors of one name', decoderFile(1, [...decoder(1), op('Identity', ['h.0'], 'h.1')])],
    ['a circle', decoderFile(1, [...decoder(1).slice(1), op('Add', ['h.1', 'w.embed'], 'h.0')])],
    ['a tensor nobody makes', decoderFile(1, decoder(1).slice(1))],
  ])('broken: %s', (_, bytes) => {
    expect(() => prepareModel(bytes)).toThrow(expect.objectContaining({ name: 'OnnxError', code: 'broken' }) as Error);
  });
});

describe('numbers on the wire', () => {
  it.each([0, 1, 127, 128, 2 ** 28 - 1, 2 ** 28, 2 ** 31, 2 ** 35 + 7, Number.MAX_SAFE_INTEGER])('%d', (value) => {
    const r = new ProtoReader(new ProtoWriter().int(1, value).done());
    r.next();
    expect([r.int(), r.uint()]).toEqual([value, value]);
  });
  it.each([-1, -2, -128, -(2 ** 28), -(2 ** 40) - 3, -Number.MAX_SAFE_INTEGER])('%d', (value) => {
    const r = new ProtoReader(new ProtoWriter().int(1, value).done());
    r.next();
    expect(r.int()).toBe(value);
  });
});
