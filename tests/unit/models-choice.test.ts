import { describe, expect, test } from 'vitest';
import { choose, options, type RemoteFile } from '../../src/models/choose';
import { bytesToRead } from '../../src/models/cost';
import { chooseDevice } from '../../src/models/device';
import { dtypeOfFile, formatRef, parseRef } from '../../src/models/reference';
import type { Capabilities } from '../../src/types';

describe('references', () => {
  const school = { host: 'https://school.example/hub' };
  test.each([
    ['owner/name', { id: 'owner/name' }],
    ['owner/name@abc:q4', { id: 'owner/name', revision: 'abc', dtype: 'q4' }],
    ['owner/name@refs/pr/3:q4', { id: 'owner/name', revision: 'refs/pr/3', dtype: 'q4' }],
    ['owner/name:q4f16', { id: 'owner/name', dtype: 'q4f16' }],
    ['bundled:tiny', { id: 'bundled:tiny' }],
    ['bundled:tiny:q4', { id: 'bundled:tiny', dtype: 'q4' }],
    ['bundled:tiny@bundled:q4', { id: 'bundled:tiny', revision: 'bundled', dtype: 'q4' }],
    ['files:drop-1:fp32', { id: 'files:drop-1', dtype: 'fp32' }],
    ['https://huggingface.co/o/n', { id: 'o/n' }],
    ['http://huggingface.co/o/n', { id: 'o/n' }],
    ['https://www.huggingface.co/o/n', { id: 'o/n' }],
    ['https://hf.co/o/n', { id: 'o/n' }],
    ['huggingface.co/o/n', { id: 'o/n' }],
    ['hf.co/o/n/tree/v1', { id: 'o/n', revision: 'v1' }],
    ['https://huggingface.co/o/n?show_file_info=onnx%2Fmodel_q4.onnx', { id: 'o/n' }],
    ['https://huggingface.co/o/n/tree/v1', { id: 'o/n', revision: 'v1' }],
    ['https://huggingface.co/o/n/tree/refs%2Fpr%2F3', { id: 'o/n', revision: 'refs/pr/3' }],
    ['https://huggingface.co/o/n/resolve/refs/pr/3/onnx/model_q4.onnx', { id: 'o/n', revision: 'refs/pr/3', dtype: 'q4' }],
    ['https://huggingface.co/o/n/blob/main/onnx/model_q4f16.onnx', { id: 'o/n', revision: 'main', dtype: 'q4f16' }],
    ['https://huggingface.co/o/n/blob/main/onnx/model_q4.onnx_data_1', { id: 'o/n', revision: 'main', dtype: 'q4' }],
    ['https://huggingface.co/o/n/raw/main/config.json', { id: 'o/n', revision: 'main' }],
    ['https://huggingface.co/o/n/blame/main/config.json', { id: 'o/n', revision: 'main' }],
    ['https://huggingface.co/o/n/commits/main', { id: 'o/n', revision: 'main' }],
    ['https://huggingface.co/o/n/commit/0123abc', { id: 'o/n', revision: '0123abc' }],
    ['https://huggingface.co/o/n/discussions/3', { id: 'o/n' }],
    ['https://huggingface.co/api/models/o/n', { id: 'o/n' }],
    ['https://huggingface.co/api/models/o/n/revision/v1', { id: 'o/n', revision: 'v1' }],
    ['https://huggingface.co/o/tree', { id: 'o/tree' }],
    ['https://school.example/hub/o/n', { id: 'o/n', ...school }],
    ['https://school.example/hub/o/n/discussions/3', { id: 'o/n', ...school }],
    ['https://school.example/hub/api/models/o/n/revision/v1', { id: 'o/n', revision: 'v1', ...school }],
    ['https://school.example/hub/o/n/resolve/abc/onnx/model.onnx', { id: 'o/n', revision: 'abc', dtype: 'fp32', ...school }],
    ['https://huggingface.co.evil.example/o/n', { id: 'o/n', host: 'https://huggingface.co.evil.example' }],
  ])('%s', (text, ref) => {
    expect(parseRef(text)).toEqual(ref);
  });

  test('a host is the same under all its names', () => {
    expect(parseRef({ id: 'o/n', host: 'http://hf.co/' })).toEqual({ id: 'o/n' });
    expect(parseRef({ id: 'o/n', host: 'https://school.example/hub/' })).toEqual({ id: 'o/n', ...school });
  });

  test.each(['', 'name', 'a/b/c', '../x', 'o/..', 'https://huggingface.co/', 'https://huggingface.co/gpt2', 'https://huggingface.co/o/n%zz', 'o/n@:q4', 'bundled:../x', 'o/n name'])('refuses %j', (text) => {
    expect(() => parseRef(text)).toThrow(expect.objectContaining({ code: 'bad-input' }));
  });

  test.each([
    ['https://huggingface.co/datasets/o/n', /a data set/],
    ['https://huggingface.co/spaces/o/n', /a space/],
  ])('%s is no model, and that is said', (text, why) => {
    expect(() => parseRef(text)).toThrow(why);
  });

  test('what is formatted is parsed again', () => {
    for (const text of ['o/n', 'o/n@rev', 'o/n@rev:q4', 'o/n:q8', 'bundled:x:q4', 'bundled:x@bundled:q4']) expect(formatRef(parseRef(text))).toBe(text);
  });

  test('dtypes of files', () => {
    expect(dtypeOfFile('onnx/model_q4f16.onnx')).toBe('q4f16');
    expect(dtypeOfFile('onnx/model_quantized.onnx')).toBe('q8');
    expect(dtypeOfFile('onnx/model.onnx')).toBe('fp32');
    expect(dtypeOfFile('onnx/decoder_model_merged_q4.onnx')).toBe('q4');
    for (const [path, kind] of [['onnx/model_q1.onnx', 'q1'], ['onnx/model_q2f16.onnx', 'q2f16'], ['onnx/model_int4.onnx', 'int4'], ['onnx/model_no_gather_q4.onnx', 'no_gather_q4']])
      expect(dtypeOfFile(path)).toBe(kind);
    for (const path of ['config.json', 'onnx/vision_encoder.onnx', 'onnx/decoder_with_past_model.onnx', 'onnx/model.onnx_data']) expect(dtypeOfFile(path)).toBeNull();
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

  test('chunks and other makers’ names count too, those of another file do not', () => {
    const list = options(
      [
        ...[file('onnx/model_q4.onnx', 1), file('onnx/model_q4.onnx_data', 100), file('onnx/model_q4.onnx_data_1', 50)],
        ...[file('onnx/model_q4f16.onnx', 1), file('onnx/model_q4f16.onnx.data', 70)],
      ],
      'webgpu',
      can(),
    );
    expect(list.map((o) => [o.dtype, (o.bytes ?? 0) / MB, o.data.length])).toEqual([['q4', 151, 2], ['q4f16', 71, 1]]);
  });

  test('where the graph may name weights that its own name does not tell, no size is claimed', () => {
    expect(options([file('onnx/model.onnx', 1), file('onnx/weights.bin', 500)], 'webgpu', can())[0].bytes).toBeNull();
    expect(options([file('model.onnx', 500), file('pytorch_model.bin', 500)], 'webgpu', can())[0].bytes).toBe(500 * MB);
  });

  test('an unknown kind is a kind of its own: offered, and never taken for the full one', () => {
    const list = options([file('onnx/model_q1.onnx', 50), file('onnx/model_q4.onnx', 180)], 'wasm', can());
    expect(list.map((o) => o.dtype)).toEqual(['q1', 'q4']);
    expect(choose(list, undefined, 'wasm', can()).dtype).toBe('q4');
  });

  test('of one kind the decoder in one file is taken, whatever the order of the list', () => {
    const list = options([file('cuda/model.onnx', 300), file('onnx/decoder_model.onnx', 500), file('onnx/decoder_model_merged.onnx', 500), file('onnx/model.onnx', 480), file('model.onnx', 470)], 'wasm', can());
    expect(list.map((o) => o.path)).toEqual(['onnx/model.onnx']);
  });

  test('a table of words that no buffer of the adapter holds is refused before the download; smaller kinds may hold it', () => {
    const small = can({ limits: { maxBufferSize: 2 ** 28, maxStorageBufferBindingSize: 2 ** 27 } });
    const qwen = { vocab: 151_936, width: 896 };
    const list = options(repository, 'webgpu', small, qwen);
    expect(list.filter((o) => o.refused).map((o) => [o.dtype, /(\d+ MiB).*at most 256 MiB/.exec(o.refused ?? '')?.[1]])).toEqual([['fp32', '520 MiB'], ['fp16', '260 MiB']]);
    expect(() => choose(list, 'fp32', 'webgpu', small)).toThrow(expect.objectContaining({ code: 'unsupported-device', hint: expect.stringMatching(/q4/) as string }));
    expect(options(repository, 'wasm', small, qwen).filter((o) => o.refused)).toEqual([]);
  });

  test('files of integer products are offered on WebGPU, with what becomes of them there', () => {
    expect(options(repository, 'webgpu', can()).find((o) => o.dtype === 'q8')).toMatchObject({ refused: null, remark: expect.stringMatching(/CPU/) as string });
    expect(options(repository, 'wasm', can()).find((o) => o.dtype === 'q8')?.remark).toBeNull();
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
