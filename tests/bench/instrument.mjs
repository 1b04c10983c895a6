/**
 * How long it takes to read and instrument a 400 MB single-file model, and how much memory beside the file itself.
 * `node tests/bench/instrument.mjs`; limits: 150 ms, 16 MB.
 */
import { createServer } from 'vite';
import { fileURLToPath } from 'node:url';

const server = await createServer({ root: fileURLToPath(new URL('../..', import.meta.url)), configFile: false, logLevel: 'error', server: { middlewareMode: true, ws: false }, optimizeDeps: { noDiscovery: true } });
const { prepareModel } = await server.ssrLoadModule('/src/onnx/index.ts');
const { ProtoWriter, varint } = await server.ssrLoadModule('/src/onnx/proto.ts');
const { writeNode, writeValueInfo } = await server.ssrLoadModule('/src/onnx/write.ts');

const LAYERS = 24;
const WIDTH = 1024;
const MEGABYTES = 400;

/** One weight per matrix product, all of the same size, filling the file. */
function synthetic() {
  const node = (opType, inputs, ...outputs) => writeNode({ opType, inputs, outputs });
  const nodes = [node('Gather', ['embed', 'input_ids'], 'h.0')];
  for (let l = 0; l < LAYERS; l++) {
    nodes.push(
      node('SimplifiedLayerNormalization', [`h.${l}`, 'norm'], `n.${l}`),
      node('MatMul', [`n.${l}`, `qkv.${l}`], `q.${l}`),
      node('GroupQueryAttention', [`q.${l}`, `past_key_values.${l}.key`, `past_key_values.${l}.value`], `a.${l}`, `present.${l}.key`, `present.${l}.value`),
      node('MatMul', [`a.${l}`, `o.${l}`], `b.${l}`),
      node('Add', [`h.${l}`, `b.${l}`], `m.${l}`),
      node('SimplifiedLayerNormalization', [`m.${l}`, 'norm'], `k.${l}`),
      node('MatMul', [`k.${l}`, `up.${l}`], `u.${l}`),
      node('MatMul', [`u.${l}`, `down.${l}`], `d.${l}`),
      node('Add', [`m.${l}`, `d.${l}`], `h.${l + 1}`),
    );
  }
  nodes.push(node('SimplifiedLayerNormalization', [`h.${LAYERS}`, 'norm'], 'final'), node('MatMul', ['final', 'head'], 'logits'));
  const big = ['embed', 'head', ...Array.from({ length: LAYERS }, (_, l) => ['qkv', 'o', 'up', 'down'].map((w) => `${w}.${l}`)).flat()];
  const rows = Math.floor((MEGABYTES * 2 ** 20) / big.length / WIDTH / 4);
  const tensorHead = (name, dims) => {
    const w = new ProtoWriter();
    for (const d of dims) w.int(1, d);
    return w.uint(2, 1).string(8, name).done();
  };
  const prefix = (field, length) => [varint(field * 8 + 2), varint(length)];
  const pieces = [];
  let size = 0;
  const push = (...list) => list.forEach((p) => (pieces.push(p), (size += p.length)));
  for (const content of nodes) push(...prefix(1, content.length), content);
  const names = [...big.map((name) => [name, [rows, WIDTH]]), ['norm', [WIDTH]]];
  const blank = new Uint8Array(rows * WIDTH * 4);
  for (const [name, dims] of names) {
    const head = tensorHead(name, dims);
    const bytes = blank.subarray(0, dims.reduce((a, b) => a * b) * 4);
    const raw = prefix(9, bytes.length);
    push(...prefix(5, head.length + raw[0].length + raw[1].length + bytes.length), head, ...raw, bytes);
  }
  const ports = (field, list) => list.forEach((name) => {
    const info = writeValueInfo(name, name === 'input_ids' ? 7 : 1, ['a', 'b', WIDTH]);
    push(...prefix(field, info.length), info);
  });
  const caches = (p) => Array.from({ length: LAYERS }, (_, l) => [`${p}.${l}.key`, `${p}.${l}.value`]).flat();
  ports(11, ['input_ids', ...caches('past_key_values')]);
  ports(12, ['logits', ...caches('present')]);
  const opset = new ProtoWriter().uint(1, 10).bytes(8, new ProtoWriter().string(1, '').uint(2, 21).done()).done();
  const out = new Uint8Array(opset.length + 6 + size + 8);
  let at = 0;
  const put = (p) => (out.set(p, at), (at += p.length));
  put(opset);
  prefix(7, size).forEach(put);
  pieces.forEach(put);
  return out.subarray(0, at);
}

const bytes = synthetic();
for (let i = 0; i < 4; i++) {
  globalThis.gc?.();
  const before = process.memoryUsage();
  const cpu = process.cpuUsage();
  const started = performance.now();
  const prepared = prepareModel(bytes, { layers: LAYERS });
  const ms = performance.now() - started;
  // On a busy machine the processor time is the fairer number.
  const { user, system } = process.cpuUsage(cpu);
  const after = process.memoryUsage();
  if (prepared.opaque) throw new Error(prepared.opaque);
  const extra = (after.heapUsed + after.arrayBuffers - before.heapUsed - before.arrayBuffers) / 2 ** 20;
  console.log(`${(bytes.length / 2 ** 20).toFixed(0)} MB file: ${ms.toFixed(1)} ms (${((user + system) / 1000).toFixed(1)} ms of CPU), ${extra.toFixed(1)} MB beside it, result ${(prepared.bytes.length / 1024).toFixed(0)} kB${i === 0 ? ' (first run, code cold)' : ''}`);
}
await server.close();
