import { describe, expect, it, vi } from 'vitest';
import { GraphEdit, OnnxError, labFeeds, prepareModel, readLens, readModel } from '../../src/onnx';
import { rewireNode } from '../../src/onnx/write';
import { WEBGPU_ONLY, cosine, fixture, fixtureNames, floats, maxDifference, open, run, type Fixture } from './onnx-fixtures';

// Some fifty sessions on machines that may be busy.
vi.setConfig({ testTimeout: 60_000 });

const range = (n: number) => Array.from({ length: n }, (_, i) => i);

/** Half precision and int8 activations differ between builds of the runtime. */
function tolerance(model: Fixture): { cosine: number; relative: number; logits: number } {
  if (/quantized$/.test(model.name)) return { cosine: 0.99999, relative: 1e-3, logits: 0.2 };
  return /16$/.test(model.name) ? { cosine: 0.99999, relative: 4e-3, logits: 0.2 } : { cosine: 0.99999, relative: 1e-3, logits: 2e-3 };
}

describe.each(fixtureNames().filter((name) => !WEBGPU_ONLY.has(name)))('%s', (name) => {
  const model = fixture(name);
  const { ids, hidden, logits, greedy } = model.golden;
  const [points, n, dim] = hidden.dims;
  const layers = points - 1;
  const vocab = logits.dims[1];
  // As the page prepares a file for WASM.
  const prepared = prepareModel(model.bytes, { layers: model.config.num_hidden_layers, halvesInFloat: true, loop: true });
  // Goldens of quantised files are made with float activations: int8 ones are rounded differently by every build.
  const precise = prepareModel(model.bytes, { layers: model.config.num_hidden_layers, precise: true });
  const lab = prepared.lab!;
  const external = [...model.external, ...(prepared.selfPath ? [{ path: prepared.selfPath, data: model.bytes }] : [])];
  const inputs = prepared.inputs;

  it('is understood', () => {
    expect(prepared.opaque).toBeNull();
    expect(lab).toMatchObject({ layers, width: dim, loop: !/16$/.test(name) });
    expect(prepared.bytes.length).toBeLessThan(200_000 + model.bytes.length / 10);
  });

  it('silent: the same logits, bit for bit, and the same tokens', async () => {
    const plain = await open(model.bytes, model.external);
    const instrumented = await open(prepared.bytes, external);
    const a = await run(plain, model, inputs, ids);
    const b = await run(instrumented, model, inputs, ids, labFeeds(lab, { rows: range(n) }));
    expect(maxDifference(floats(a.logits), floats(b.logits))).toBe(0);
    expect(b['lab.hidden'].dims).toEqual([points, 0, dim]);
    expect(b['lab.lens'].data.length).toBe(0);

    // Decode on both, cache and all, only the last row through the head.
    let [pastA, pastB] = [a, await run(instrumented, model, inputs, ids, labFeeds(lab, { rows: [n - 1] }))];
    const written: number[] = [];
    for (let step = 0; step < greedy.length; step++) {
      expect(pastB.logits.dims).toEqual([1, 1, vocab]);
      const token = Number(pastB['lab.next'].data[0]);
      written.push(token);
      [pastA, pastB] = [await run(plain, model, inputs, [token], {}, pastA), await run(instrumented, model, inputs, [token], labFeeds(lab, { rows: [0] }), pastB)];
      expect(maxDifference(floats(pastA.logits), floats(pastB.logits))).toBeLessThan(tolerance(model).logits / 10);
    }
  });

  it.runIf(lab.loop)('several steps in one run are those steps one by one, and end at a stop token', async () => {
    const session = await open(prepared.bytes, external);
    const cache = Object.fromEntries(inputs.filter((i) => i.name.startsWith('past')).map((i) => [i.name, i.name.replace('past_key_values', 'present')]));
    const first = await run(session, model, inputs, ids, labFeeds(lab, { rows: [n - 1] }));
    const token = Number(first['lab.tokens'].data[0]);
    expect(token).toBe(Number(first['lab.next'].data[0]));
    const one: number[] = [];
    let last = first;
    for (let step = 0; step < 6; step++) {
      last = await run(session, model, inputs, [step === 0 ? token : one[step - 1]], labFeeds(lab, { rows: [0] }), last);
      one.push(Number(last['lab.next'].data[0]));
    }
    const all = await run(session, model, inputs, [token], labFeeds(lab, { rows: [0], steps: 6 }), first);
    expect(Array.from(all['lab.tokens'].data as BigInt64Array, Number)).toEqual(one);
    expect(maxDifference(floats(all.logits), floats(last.logits))).toBe(0);
    for (const present of Object.values(cache)) expect(all[present].dims).toEqual(last[present].dims);

    const stopped = await run(session, model, inputs, [token], labFeeds(lab, { rows: [0], steps: 6, stop: [vocab + 1, one[2]] }), first);
    const made = one.indexOf(one[2]) + 1;
    expect(Array.from(stopped['lab.tokens'].data as BigInt64Array, Number)).toEqual(one.slice(0, made));
  });

  it('hidden states are those of the reference', async () => {
    const session = await open(precise.bytes, [...model.external, ...(precise.selfPath ? [{ path: precise.selfPath, data: model.bytes }] : [])]);
    // Together with the answer, as the page does: 8-bit activations are rounded by the largest of the whole run.
    const out = await run(session, model, inputs, [...ids, ...greedy], labFeeds(precise.lab!, { rows: [n - 1], positions: range(n) }));
    const got = floats(out['lab.hidden']);
    expect(out['lab.hidden'].dims).toEqual([points, n, dim]);
    let [least, most] = [1, 0];
    for (let row = 0; row < points * n; row++) {
      const [ours, theirs] = [got.subarray(row * dim, (row + 1) * dim), hidden.data.subarray(row * dim, (row + 1) * dim)];
      least = Math.min(least, cosine(ours, theirs));
      most = Math.max(most, Math.hypot(...ours.map((x, i) => x - theirs[i])) / Math.hypot(...theirs));
    }
    if (process.env.STATES_VERBOSE) console.log(name, 1 - least, most, maxDifference(floats(out.logits), logits.data));
    expect(least).toBeGreaterThanOrEqual(tolerance(model).cosine);
    expect(most).toBeLessThanOrEqual(tolerance(model).relative);
    expect(maxDifference(floats(out.logits), logits.data)).toBeLessThan(tolerance(model).logits);

    const written: number[] = [];
    let last = await run(session, model, inputs, ids, labFeeds(precise.lab!, { rows: [n - 1] }));
    for (;;) {
      written.push(Number(last['lab.next'].data[0]));
      if (written.length === greedy.length) break;
      last = await run(session, model, inputs, written.slice(-1), labFeeds(precise.lab!, { rows: [0] }), last);
    }
    expect(written).toEqual(greedy);
  });

  it('the lens reads the model’s own output at the last layer, and the same from states given back', async () => {
    const session = await open(prepared.bytes, external);
    const followed = [5, 300];
    const lens = { positions: [2, n - 1], layers: range(points), tokens: followed };
    const out = await run(session, model, inputs, ids, labFeeds(lab, { rows: [2, n - 1], positions: range(n), lens }));
    const cells = readLens(lab, out['lab.lens_ids'].data as BigInt64Array, floats(out['lab.lens']), followed.length);
    expect(cells).toHaveLength(points * 2);
    const own = floats(out.logits);
    for (const [i, cell] of cells.slice(-2).entries()) {
      const row = own.subarray(i * vocab, (i + 1) * vocab);
      const order = range(vocab).sort((a, b) => row[b] - row[a]);
      const exact = !/16$/.test(name);
      if (exact) expect(cell.top.map((t) => t.id)).toEqual(order.slice(0, lab.topK));
      // The final norm of a fused sum and of a made sum may round differently in half precision only.
      expect(maxDifference(cell.top.map((t) => t.logit), cell.top.map((t) => row[t.id]))).toBeLessThanOrEqual(exact ? 2e-6 : 0.02);
      const p = Float64Array.from(row, (x) => Math.exp(x - row[order[0]]));
      const total = p.reduce((a, b) => a + b);
      expect(Math.abs(cell.logSumExp - row[order[0]] - Math.log(total))).toBeLessThan(exact ? 0.005 : 0.02);
      expect(cell.entropy).toBeCloseTo(-p.reduce((h, x) => h + (x / total) * Math.log(x / total), 0), 2);
      cell.followed.forEach((f, j) => {
        if (exact) expect(f.rank).toBe(row.filter((x) => x > row[followed[j]]).length);
        expect(f.p).toBeCloseTo(p[followed[j]] / total, 2);
      });
    }

    const states = floats(out['lab.hidden']);
    const given = new Float32Array(points * 2 * dim);
    for (let l = 0; l < points; l++) {
      [2, n - 1].forEach((position, i) => given.set(states.subarray((l * n + position) * dim, (l * n + position + 1) * dim), (l * 2 + i) * dim));
    }
    const again = await run(session, model, inputs, [ids[0]], labFeeds(lab, { rows: [0], lens: { states: given, tokens: followed } }));
    const reread = readLens(lab, again['lab.lens_ids'].data as BigInt64Array, floats(again['lab.lens']), followed.length);
    reread.forEach((cell, i) => expect(maxDifference(cell.top.map((t) => t.logit), cells[i].top.map((t) => t.logit))).toBeLessThan(tolerance(model).logits));
  });

  it('a patch moves what follows and nothing before; a clean state patched in changes nothing', async () => {
    const session = await open(prepared.bytes, external);
    const clean = await run(session, model, inputs, ids, labFeeds(lab, { rows: range(n), positions: range(n) }));
    const states = floats(clean['lab.hidden']);
    const position = Math.floor(n / 2);
    for (let layer = 0; layer <= layers; layer++) {
      const own = states.slice((layer * n + position) * dim, (layer * n + position + 1) * dim);
      const same = await run(session, model, inputs, ids, labFeeds(lab, { rows: range(n), patches: [{ layer, position, state: own }] }));
      expect(maxDifference(floats(same.logits), floats(clean.logits))).toBeLessThan(tolerance(model).logits);

      const other = Float32Array.from(own, (x, i) => -x + Math.sin(i));
      const moved = await run(session, model, inputs, ids, labFeeds(lab, { rows: range(n), positions: range(n), patches: [{ layer, position, state: other }] }));
      const change = range(n).map((p) => maxDifference(floats(moved.logits).subarray(p * vocab, (p + 1) * vocab), floats(clean.logits).subarray(p * vocab, (p + 1) * vocab)));
      if (!/quantized$/.test(name)) expect(change.slice(0, position).every((c) => c < tolerance(model).logits / 10)).toBe(true);
      expect(change[position]).toBeGreaterThan(0.1);
      // The states after the patch are what the patched model has: replaced at this layer, untouched below.
      const after = floats(moved['lab.hidden']);
      expect(cosine(after.subarray((layer * n + position) * dim, (layer * n + position + 1) * dim), other)).toBeGreaterThan(0.9999);
      expect(maxDifference(after.subarray(0, layer * n * dim), states.subarray(0, layer * n * dim))).toBe(0);
    }
  });

  it.runIf(model.golden.patched)('a patched run is that of the reference', async () => {
    const session = await open(prepared.bytes, external);
    const position = Math.floor(n / 2);
    for (let layer = 0; layer <= layers; layer++) {
      const state = hidden.data.slice((layer * n + 1) * dim, (layer * n + 2) * dim);
      const row = layer < layers ? n - 1 : position;
      const out = await run(session, model, inputs, ids, labFeeds(lab, { rows: [row], patches: [{ layer, position, state }] }));
      const expected = model.golden.patched!.data.subarray(layer * vocab, (layer + 1) * vocab);
      expect(maxDifference(floats(out.logits), expected)).toBeLessThan(tolerance(model).logits);
    }
  });

  it('is read without looking at a weight', () => {
    const read = readModel(model.bytes);
    expect(read.graph.nodes.length).toBeGreaterThan(10);
    expect(read.graph.initializers.size).toBeGreaterThan(10);
  });
});

// No exporter of the fixtures does, others do.
it('nodes may be called as what they make', async () => {
  const model = fixture('llama/model');
  const read = readModel(model.bytes);
  const edit = new GraphEdit(read);
  for (const node of read.graph.nodes) edit.replace(node.range, rewireNode(model.bytes, node, { name: node.outputs.find((o) => o !== '') }));
  const bytes = edit.build();
  const { ids, logits } = model.golden;
  for (const options of [{ loop: true, halvesInFloat: true }, {}]) {
    const { bytes: prepared, lab, inputs, selfPath } = prepareModel(bytes, options);
    const session = await open(prepared, selfPath ? [{ path: selfPath, data: bytes }] : []);
    const out = await run(session, model, inputs, ids, labFeeds(lab!, { rows: [ids.length - 1] }));
    expect(maxDifference(floats(out.logits), logits.data)).toBeLessThan(2e-3);
  }
});

it.each([
  ['wasm', 'qwen3-fused/model_q4', /WebGPU only/],
  ['webgpu', 'gemma2-opset14/model', /WASM only/],
] as const)('refuses on %s what its kernels cannot compute, and says so: %s', (device, name, why) => {
  const { bytes } = fixture(name);
  expect(() => prepareModel(bytes, { device })).toThrow(OnnxError);
  expect(() => prepareModel(bytes, { device })).toThrow(why);
  expect(prepareModel(bytes, { device: device === 'wasm' ? 'webgpu' : 'wasm' }).lab).not.toBeNull();
});

it('lets bounded caches grow: as it came, the file wants a cache that is full from the start', async () => {
  const model = fixture('gemma3/model_q4');
  const inputs = readModel(model.bytes).graph.inputs;
  await expect(run(await open(model.bytes, model.external), model, inputs, model.golden.ids)).rejects.toThrow(/sliding_window_cache/);
  prepareModel(model.bytes);
  const out = await run(await open(model.bytes, model.external), model, inputs, model.golden.ids);
  expect(out['present.0.key'].dims[2]).toBe(model.golden.ids.length);
});
