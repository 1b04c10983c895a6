/** Unpacks record files off the main thread; nothing else lives here. */
import { expose, transfer } from 'comlink';
import { unpackRecord, type LabRecord } from '../src/share/record';
import type { Read } from '../src/share/result';

function buffersOf(value: unknown, into: ArrayBuffer[] = []): ArrayBuffer[] {
  if (ArrayBuffer.isView(value)) into.push(value.buffer as ArrayBuffer);
  else if (typeof value === 'object' && value !== null) for (const part of Object.values(value)) buffersOf(part, into);
  return into;
}

expose({
  async unpack(file: Blob): Promise<Read<LabRecord>> {
    const read = unpackRecord(new Uint8Array(await file.arrayBuffer()));
    return read.ok ? transfer(read, [...new Set(buffersOf(read.value))]) : read;
  },
});
