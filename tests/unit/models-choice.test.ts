import { describe, expect, test } from 'vitest';
import { choose, options, type RemoteFile } from '../../src/models/choose';
import { bytesToRead } from '../../src/models/cost';
import { chooseDevice } from '../../src/models/device';
import { dtypeOfFile, formatRef, parseRef } from '../../src/models/reference';
import type { Capabilities } from '../../src/types';

describe('references', () => {
  test.each([
    ['owner/name', { id: 'owner/name' }],
    ['owner/name@abc:q4', { id: 'owner/name', revision: 'abc', dtype: 'q4' }],
    ['owner/name:q4f16', { id: 'owner/name', dtype: 'q4f16' }],
    ['bundled:tiny', { id: 'bundled:tiny' }],
    ['https://huggingface.co/o/n', { id: 'o/n' }],
    ['https://huggingface.co/o/n/tree/v1', { id: 'o/n', revision: 'v1' }],
    ['https://huggingface.co/o/n/blob/main/onnx/model_q4f16.onnx', { id: 'o/n', revision: 'main', dtype: 'q4f16' }],
    ['https://school.example/hub/o/n/resolve/abc/onnx/model.onnx', { id: 'o/n', revision: 'abc', dtype: 'fp32', host: 'https://school.example/hub' }],
  ])('%s', (text, ref) => {
    expect(parseRef(text)).toEqual(ref);
  });

  test.each(['', 'name', 'a/b/c', '../x', 'o/..', 'https://huggingface.co/', 'o/n@:q4', 'bundled:../x', 'o/n name'])('refuses %j', (text) => {
    expect(() => parseRef(text)).toThrow(expect.objectContaining({ code: 'bad-input' }));
  });

  test('what is formatted is parsed again', () => {
    for (const text of ['o/n', 'o/n@rev', 'o/n@rev:q4', 'o/n:q8']) expect(formatRef(parseRef(text))).toBe(text);
  });

  test('dtypes of files', () => {
    expect(dtypeOfFile('onnx/model_q4f16.onnx')).toBe('q4f16');
    expect(dtypeOfFile('onnx/model_quantized.onnx')).toBe('q8');
    expect(dtypeOfFile('onnx/model.onnx')).toBe('fp32');
    expect(dtypeOfFile('config.json')).toBeNull();
  });
});

const can = (over: Partial<Capabilities> = {}): Capabilities => ({
  webgpu: true,
  webgpuReason: null,
  adapter: { vendor: 'x', architecture: 'y', device: '', description: '', fallback: false },
  shaderF16: true,
  limits: { maxBufferSize: 2 ** 30, maxStorageBufferBindingSize: 2 ** 30 },
  jspi: true,
  crossOriginIsolated: true,
  threads: 4,
  memoryGB: 16,
  ort: '1',
  ...over,
});

const MB = 2 ** 20;
const file = (path: string, mb: number): RemoteFile => ({ path, bytes: mb * MB, sha256: null });
const repository = [
  file('config.json', 0.001),
  file('onnx/model.onnx', 1),
  file('onnx/model.onnx_data', 2000),
  file('onnx/model_fp16.onnx', 990),
  file('onnx/model_q4.onnx', 780),
  file('onnx/model_q4f16.onnx', 480),
  file('onnx/model_quantized.onnx', 500),
  file('onnx/vision_encoder.onnx', 90),
];

describe('which file', () => {
  test('the most compact one that the adapter runs, with its reason', () => {
    expect(choose(options(repository, 'webgpu', can()), undefined, 'webgpu', can())).toMatchObject({ dtype: 'q4f16', reason: expect.stringContaining('16-bit') });
  });

  test('without shader-f16 the 16-bit files are passed over, and it says so', () => {
    const without = can({ shaderF16: false });
    expect(choose(options(repository, 'webgpu', without), undefined, 'webgpu', without)).toMatchObject({ dtype: 'q4', reason: expect.stringContaining('shader-f16') });
  });

  test('weights beside the graph count', () => {
    const fp32 = options(repository, 'webgpu', can()).find((o) => o.dtype === 'fp32');
    expect(fp32).toMatchObject({ bytes: 2001 * MB, data: [{ path: 'onnx/model.onnx_data' }] });
  });

  test('what loading reads: the graph, its weights, and the small files that are there; unknown where one size is', () => {
    const files = [...repository.filter((f) => f.path.endsWith('.onnx') || f.path.endsWith('_data')), { path: 'config.json', bytes: 700, sha256: null }, { path: 'tokenizer.json', bytes: 9000, sha256: null }, { path: 'README.md', bytes: 5, sha256: null }];
    const fp32 = choose(options(files, 'webgpu', can()), 'fp32', 'webgpu', can());
    expect(bytesToRead(files, fp32)).toBe(2001 * MB + 9700);
    const untold = files.map((f) => (f.path === 'config.json' ? { ...f, bytes: null } : f));
    expect(bytesToRead(untold, fp32)).toBeNull();
  });

  test('a small model is taken whole', () => {
    const list = options([file('onnx/model.onnx', 14), file('onnx/model_q4.onnx', 4)], 'wasm', can());
    expect(choose(list, undefined, 'wasm', can()).dtype).toBe('fp32');
  });

  test('the reader may choose, but not what cannot run', () => {
    const without = can({ shaderF16: false });
    const list = options(repository, 'webgpu', without);
    expect(choose(list, 'fp32', 'webgpu', without)).toMatchObject({ dtype: 'fp32', reason: 'asked for' });
    expect(() => choose(list, 'q4f16', 'webgpu', without)).toThrow(expect.objectContaining({ code: 'unsupported-device' }));
    expect(() => choose(list, 'bnb4', 'webgpu', without)).toThrow(expect.objectContaining({ code: 'not-found' }));
  });

  test('a file larger than a page can hold is refused', () => {
    const list = options([file('onnx/model.onnx', 6000)], 'webgpu', can());
    expect(() => choose(list, undefined, 'webgpu', can())).toThrow(expect.objectContaining({ code: 'unsupported-device' }));
  });

  test('no decoder at all', () => {
    expect(() => choose(options([file('onnx/encoder_model.onnx', 5)], 'wasm', can()), undefined, 'wasm', can())).toThrow(expect.objectContaining({ code: 'not-found' }));
  });
});

describe('which device', () => {
  test('WebGPU where it works, WASM with the reason where not', () => {
    expect(chooseDevice(undefined, can()).device).toBe('webgpu');
    expect(chooseDevice(undefined, can({ webgpu: false, webgpuReason: 'no adapter' }))).toEqual({ device: 'wasm', reason: 'no adapter' });
  });

  test('a software adapter is only used when asked for', () => {
    const soft = can({ adapter: { vendor: 'google', architecture: 'swiftshader', device: '', description: '', fallback: true } });
    expect(chooseDevice(undefined, soft).device).toBe('wasm');
    expect(chooseDevice('webgpu', soft).device).toBe('webgpu');
  });

  test('asking for what is refused is an error, not a silent change', () => {
    expect(() => chooseDevice('webgpu', can({ webgpu: false, webgpuReason: 'no adapter' }))).toThrow(expect.objectContaining({ code: 'unsupported-device' }));
  });
});
