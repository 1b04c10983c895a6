/** Builds the benchmark's page with the tree's own Vite settings, and transformers.js' worker with a real runtime beside it. */
import { join, resolve } from 'node:path';
import { build, defaultClientConditions, type InlineConfig, type Plugin } from 'vite';
import tree from '../../vite.config';

const ROOT = resolve(import.meta.dirname, '../..');
const PAGE = join(import.meta.dirname, 'page');

/** The lab's worker with the counter in front, so that it is there before any device is. */
function counted(): Plugin {
  return {
    name: 'bench-counter',
    enforce: 'pre',
    transform: (code, id) => (id.endsWith('/workers/lab.worker.ts') ? `import ${JSON.stringify(join(PAGE, 'counter.ts'))};\n${code}` : null),
  };
}

/** @param out folder that is then served as /bench/ */
export async function buildPage(out: string): Promise<void> {
  const shared: InlineConfig = { configFile: false, root: PAGE, base: './', publicDir: false, logLevel: 'error' };
  const treePlugins = tree.worker?.plugins;
  await build({
    ...tree,
    ...shared,
    worker: { format: 'es', plugins: () => [...((treePlugins?.() ?? []) as Plugin[]), counted()] },
    // Not the app's own entries.
    build: { target: tree.build?.target, outDir: join(out, 'page'), emptyOutDir: true, reportCompressedSize: false, chunkSizeWarningLimit: 2000 },
  });
  await build({
    ...shared,
    // One copy of onnxruntime-web in the tree: transformers.js takes the build it always takes (asyncify, for both devices).
    resolve: { conditions: ['onnxruntime-web-use-extern-wasm', ...defaultClientConditions] },
    build: {
      outDir: join(out, 'transformers'),
      emptyOutDir: true,
      target: 'es2022',
      reportCompressedSize: false,
      chunkSizeWarningLimit: 2000,
      rollupOptions: { input: join(PAGE, 'transformers.worker.ts'), output: { entryFileNames: 'worker.js' } },
    },
  });
}

/** `src/onnx` as one module that a bare Node or a page can import. */
export async function buildOnnx(out: string): Promise<void> {
  await build({
    configFile: false,
    root: ROOT,
    publicDir: false,
    logLevel: 'error',
    build: { outDir: out, emptyOutDir: false, minify: true, lib: { entry: join(ROOT, 'src/onnx/index.ts'), formats: ['es'], fileName: () => 'onnx.mjs' } },
  });
}
