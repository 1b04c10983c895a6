/** Imports run one way (see docs/house.md): ui → charts, share, study → probe → models → runtime; models/probe → onnx, xmrc. */
const rule = (name, from, to, comment) => ({
  name,
  comment,
  severity: 'error',
  from: { path: from },
  to: { path: to },
});
module.exports = {
  forbidden: [
    { name: 'no-circular', severity: 'error', from: {}, to: { circular: true, dependencyTypesNot: ['type-only'] } },
    rule('onnx-is-pure', '^src/onnx', '^src/(?!onnx|types)', 'a graph is plain data'),
    rule('xmrc-is-pure', '^src/xmrc', '^src/(?!xmrc|types)', 'items, prompts and scores know nothing above them'),
    rule('charts-are-pure', '^src/charts', '^src/(?!charts|types)', 'a chart is a function of data, size and theme'),
    rule('runtime-is-low', '^src/runtime', '^src/(models|probe|study|share|charts|ui|lab)', 'nothing lower imports anything higher'),
    rule('models-below-probe', '^src/models', '^src/(probe|study|share|charts|ui|lab)', 'nothing lower imports anything higher'),
    rule('probe-below-study', '^src/probe', '^src/(study|share|charts|ui|lab)', 'nothing lower imports anything higher'),
    rule('study-below-ui', '^src/(study|share)', '^src/(charts|ui|lab)', 'nothing lower imports anything higher'),
    {
      name: 'main-thread-never-touches-ort',
      severity: 'error',
      comment: 'the page talks to the worker through the typed facade',
      from: { path: '^src/(ui|charts|share)' },
      to: { path: '^src/(onnx|runtime|models)', dependencyTypesNot: ['type-only'] },
    },
    {
      name: 'one-importer-of-ort',
      severity: 'error',
      from: { path: '^(src|workers)', pathNot: '^src/runtime/ort\\.ts$' },
      to: { path: 'onnxruntime-web', dependencyTypesNot: ['type-only'] },
    },
  ],
  options: {
    doNotFollow: { path: 'node_modules' },
    tsConfig: { fileName: 'tsconfig.json' },
    tsPreCompilationDeps: 'specify',
    enhancedResolveOptions: { extensions: ['.ts', '.svelte', '.js', '.mjs'] },
  },
};
