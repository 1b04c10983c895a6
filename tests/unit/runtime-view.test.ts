import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import * as ort from 'onnxruntime-web/wasm';
import { afterEach, describe, expect, test, vi } from 'vitest';
import { labFeeds, prepareModel } from '../../src/onnx';
import { openStore } from '../../src/runtime/store';
import { viewOfFile, viewOfMemory } from '../../src/runtime/view';

ort.env.wasm.numThreads = 1;
ort.env.logLevel = 'error';
const file = new Uint8Array(readFileSync(join(import.meta.dirname, '../fixtures/models/llama/onnx/model_q4.onnx')));

/** Logits of three tokens, from a session that reads its weights through `weights`. */
async function logits(weights: Uint8Array): Promise<Float32Array> {
  const { bytes, selfPath, lab } = prepareModel(file);
  const session = await ort.InferenceSession.create(bytes, { externalData: [{ path: selfPath!, data: weights }], logSeverityLevel: 3 });
  const int = (values: number[], dims: number[]) => new ort.Tensor('int64', BigInt64Array.from(values, BigInt), dims);
  const feeds: Record<string, ort.Tensor> = { input_ids: int([1, 2, 3], [1, 3]), attention_mask: int([1, 1, 1], [1, 3]), position_ids: int([0, 1, 2], [1, 3]) };
  for (const port of session.inputMetadata)
    if (port.isTensor && port.name.startsWith('past')) feeds[port.name] = new ort.Tensor('float32', new Float32Array(0), [1, Number(port.shape[1]), 0, Number(port.shape[3]) || 16]);
  for (const [name, { type, data, dims }] of Object.entries(labFeeds(lab!, { rows: [2] }))) feeds[name] = new ort.Tensor(type, data as never, dims);
  const wanted = Object.fromEntries(Object.entries(feeds).filter(([name]) => session.inputNames.includes(name)));
  const out = (await session.run(wanted, ['logits'])).logits.data as Float32Array;
  await session.release();
  return out;
}

describe('a file as external data', () => {
  test('the runtime reads it tensor by tensor, and what it reads is the file', async () => {
    const reads: number[] = [];
    const view = viewOfFile({
      length: file.length,
      readAt: (into, at) => {
        reads.push(into.length);
        into.set(file.subarray(at, at + into.length));
      },
      close: () => undefined,
    });
    expect(await logits(view.bytes)).toEqual(await logits(file));
    expect(reads.length).toBeGreaterThan(10);
    expect(Math.max(...reads)).toBeLessThan(file.length / 2);
  });

  test('bytes in memory are given back at once', () => {
    const bytes = new Uint8Array(8);
    const view = viewOfMemory(bytes);
    expect(view.bytes.byteLength).toBe(8);
    view.close();
    expect(bytes.byteLength).toBe(0);
  });
});

describe('the store', () => {
  afterEach(() => vi.unstubAllGlobals());

  test('shows a complete file in pieces, and nothing else', async () => {
    const open = memoryDisk();
    const store = (await openStore())!;
    const url = 'https://hub.example/a/b/resolve/c/model.onnx';
    const stored = (await store.open(url))!;
    stored.append(Uint8Array.of(1, 2, 3, 4, 5));
    expect(await store.view(url)).toBeNull();
    await stored.finish(null);
    stored.close();
    const view = (await store.view(url))!;
    const piece = new Uint8Array(2);
    view.readAt(piece, 3);
    expect([view.length, ...piece]).toEqual([5, 4, 5]);
    view.close();
    expect(await store.view(`${url}_data`)).toBeNull();
    expect(open()).toBe(0);
  });
});

/** As much of the origin's private file system as the store uses; returns how many files are held open. */
function memoryDisk(): () => number {
  const files = new Map<string, Uint8Array>();
  let held = 0;
  const handle = (name: string) => ({
    kind: 'file',
    getFile: async () => new Blob([files.get(name)! as Uint8Array<ArrayBuffer>]),
    createSyncAccessHandle: async () => {
      held++;
      return {
        getSize: () => files.get(name)!.length,
        read: (into: Uint8Array, { at }: { at: number }) => into.set(files.get(name)!.subarray(at, at + into.length)),
        write: (chunk: Uint8Array, { at }: { at: number }) => {
          const grown = new Uint8Array(Math.max(files.get(name)!.length, at + chunk.length));
          grown.set(files.get(name)!);
          grown.set(chunk, at);
          files.set(name, grown);
          return chunk.length;
        },
        truncate: (size: number) => files.set(name, files.get(name)!.slice(0, size)),
        flush: () => undefined,
        close: () => held--,
      };
    },
  });
  const folder = {
    getDirectoryHandle: async () => folder,
    getFileHandle: async (name: string, options?: { create: boolean }) => {
      if (!files.has(name) && !options?.create) throw new DOMException('no such file', 'NotFoundError');
      if (!files.has(name)) files.set(name, new Uint8Array(0));
      return handle(name);
    },
  };
  vi.stubGlobal('navigator', { storage: { getDirectory: async () => folder } });
  return () => held;
}
