/**
 * What drawing costs: `node tests/bench/charts.mjs`. Each chart at the largest case the lab promises to keep fluid (12 languages,
 * 36 layers, 600 tokens), from data to markup, against 16 ms; and what an interaction costs, which never draws: the answer to a pointer.
 * CPU time is printed beside wall time, because a shared machine's wall time measures its neighbours.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { build } from 'vite';

const root = new URL('../..', import.meta.url).pathname;
const out = mkdtempSync(join(tmpdir(), 'charts-bench-'));
async function load(name, entry) {
  await build({ root, configFile: false, publicDir: false, logLevel: 'error', build: { outDir: out, emptyOutDir: false, minify: false, lib: { entry: join(root, entry), formats: ['es'], fileName: () => `${name}.mjs` } } });
  return import(pathToFileURL(join(out, `${name}.mjs`)).href);
}
const charts = await load('charts', 'src/charts/index.ts');
const data = await load('data', 'tests/fixtures/charts/data.ts');
const projection = await load('projection', 'src/probe/projection.ts');

const LAYERS = 37;
const { LANGUAGE_STYLE } = charts;
const languages = Object.keys(LANGUAGE_STYLE);
const layers = Array.from({ length: LAYERS }, (_, l) => l);
const wave = (k, l) => Math.sin(l / 9 + k) + 0.1 * Math.sin(l * 1.3 + 2 * k);
const paths = languages.flatMap((language, k) => ['question', 'readout', 'answerSpan'].map((group, g) => ({ language, group, pinned: k < 2, layers, x: layers.map((l) => wave(k + g, l)), y: layers.map((l) => wave(k * 1.7 + 3 * g, l)) })));
const trajectories = { paths, axes: [{ name: 'PC 1', explained: 0.4 }, { name: 'PC 2', explained: 0.2 }], method: 'Joint PCA' };
const heat = data.relevance(600, LAYERS);
const size = { width: 1200 };
const cells = layers.flatMap((layer) => Array.from({ length: 24 }, (_, i) => ({ ...data.lens(36, i)[layer], layer, position: i })));

const made = {
  'trajectory, 36 paths × 37 layers': () => charts.trajectory(trajectories, size),
  'relevance, 600 tokens × 37 layers': () => charts.relevanceHeatmap(heat, size),
  'lens column, 37 layers': () => charts.lensColumn({ cells: data.lens(36) }, size),
  'lens grid, 37 layers × 24 positions': () => charts.lensGrid({ cells, positions: Array.from({ length: 24 }, (_, i) => ({ position: i, text: 'x' })) }, size),
  'layer curves, 12 languages': () => charts.layerCurves({ y: 'cosine', series: languages.map((language, k) => ({ name: language, language, values: layers.map((l) => wave(k, l)) })) }, size),
  'matrix, 12 models × 12 languages': () => charts.matrix({ measure: 'F1', rows: languages, columns: languages, cells: languages.map((_, i) => languages.map((_, j) => ({ value: i + j, low: i, high: 30 }))) }, size),
};

function measure(work, rounds = 60) {
  for (let i = 0; i < 15; i++) work();
  const wall = [];
  const cpu0 = process.cpuUsage();
  for (let i = 0; i < rounds; i++) {
    const t = performance.now();
    work();
    wall.push(performance.now() - t);
  }
  const { user, system } = process.cpuUsage(cpu0);
  wall.sort((a, b) => a - b);
  return { median: wall[rounds >> 1], p95: wall[Math.floor(rounds * 0.95)], cpu: (user + system) / 1000 / rounds };
}
const ms = (v) => v.toFixed(2).padStart(8);
let over = 0;
console.log('from data to markup (ms)'.padEnd(42), '  median      p95      cpu   elements');
for (const [name, make] of Object.entries(made)) {
  const m = measure(() => charts.renderToString(make().svg));
  const markup = charts.renderToString(make().svg);
  const late = Math.min(m.median, m.cpu) > 16;
  if (late) over++;
  console.log(name.padEnd(42), ms(m.median), ms(m.p95), ms(m.cpu), String((markup.match(/<\w/g) ?? []).length).padStart(8), late ? ' over 16 ms' : '');
}
console.log('\nanswering a pointer (ms)');
for (const [name, make] of Object.entries(made)) {
  const chart = make();
  let k = 0;
  const m = measure(() => chart.locate((k = (k + 97) % 1200), (k * 7) % chart.height), 400);
  console.log(name.padEnd(42), m.median.toFixed(4), m.p95.toFixed(4));
}
const dim = 2048;
let s = 123456789;
const noise = () => {
  s ^= s << 13;
  s ^= s >>> 17;
  s ^= s << 5;
  return (s >>> 0) / 2 ** 32 - 0.5;
};
const states = Array.from({ length: 36 }, () => {
  const a = new Float32Array(LAYERS * dim);
  for (let l = 0; l < LAYERS; l++) for (let j = 0; j < dim; j++) a[l * dim + j] = (l > 0 ? a[(l - 1) * dim + j] : 0) + noise() + 0.2 * Math.sin(j + l / 5);
  return { states: a };
});
for (const fit of ['jointPca', 'layerPca']) {
  const t = performance.now();
  projection[fit](states, dim);
  console.log(`\n${fit}, 36 paths × 37 layers × ${dim}: ${(performance.now() - t).toFixed(0)} ms (off the main thread)`);
}
rmSync(out, { recursive: true });
process.exitCode = over > 0 ? 1 : 0;
