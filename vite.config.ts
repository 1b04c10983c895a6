import { readFileSync, statSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { svelte } from '@sveltejs/vite-plugin-svelte';
import { defaultClientConditions, defineConfig, type Plugin } from 'vite';

const versionOf = (file: string): string => (JSON.parse(readFileSync(new URL(file, import.meta.url), 'utf8')) as { version: string }).version;

/** Each build of the runtime as it is fetched, script and program together: what a reader is told before anything is. */
const runtimeBytes = Object.fromEntries(
  Object.entries({ jspi: '.jspi', asyncify: '.asyncify', wasm: '' }).map(([build, suffix]) => [
    build,
    ['mjs', 'wasm'].reduce((sum, ext) => sum + statSync(new URL(`node_modules/onnxruntime-web/dist/ort-wasm-simd-threaded${suffix}.${ext}`, import.meta.url)).size, 0),
  ]),
);

// WASM threads need cross-origin isolation; WebGPU does not. A host that cannot set these headers still works, on one thread.
const isolation = {
  'Cross-Origin-Opener-Policy': 'same-origin',
  'Cross-Origin-Embedder-Policy': 'require-corp',
};

/** transformers.js is here for its tokenizers: the runtime it would bring along is replaced by a stub. */
function tokenizersOnly(): Plugin {
  const stub = fileURLToPath(new URL('src/runtime/no-ort.ts', import.meta.url));
  return {
    name: 'tokenizers-only',
    enforce: 'pre',
    resolveId(source, importer) {
      if (/^onnxruntime-(web|common)/.test(source) && importer?.includes('/@huggingface/transformers/')) return stub;
      return null;
    },
  };
}

/** A browser asks for a page's icon after every change of its address: what stands in the page itself is there. */
function iconsInPage(): Plugin {
  const inlined = (file: string): string => `data:image/png;base64,${readFileSync(new URL(file, import.meta.url), 'base64')}`;
  return {
    name: 'icons-in-page',
    apply: 'build',
    transformIndexHtml: { order: 'pre', handler: (html) => html.replace(/(?<=<link rel="icon" href=")[^"]+/g, inlined) },
  };
}

const plugins = (): Plugin[] => [tokenizersOnly()];

export default defineConfig({
  base: './', // the build must work from any sub-path of any static host
  plugins: [...plugins(), iconsInPage(), svelte()],
  define: {
    __APP_VERSION__: JSON.stringify(versionOf('package.json')),
    __ORT_VERSION__: JSON.stringify(versionOf('node_modules/onnxruntime-web/package.json')),
    __RUNTIME_BYTES__: JSON.stringify(runtimeBytes),
  },
  // ORT without its wasm loader inlined: the loader is a file of its own, which threads start from.
  resolve: { conditions: ['onnxruntime-web-use-extern-wasm', ...defaultClientConditions] },
  worker: { format: 'es', plugins },
  // ORT's own .mjs files start threads from their own address: pre-bundling would move them away from their wasm
  optimizeDeps: { exclude: ['onnxruntime-web', '@huggingface/transformers'] },
  build: {
    target: 'es2022',
    chunkSizeWarningLimit: 1200,
    rolldownOptions: {
      // Marks are pure functions: a view that comes late brings its own along.
      treeshake: { moduleSideEffects: [{ test: /src\/charts\//, sideEffects: false }] },
      input: { main: fileURLToPath(new URL('index.html', import.meta.url)), 'service-worker': fileURLToPath(new URL('workers/service-worker.ts', import.meta.url)) },
      // A service worker governs the folder it lies in, and keeps its address from one build to the next.
      output: { entryFileNames: (chunk) => (chunk.name === 'service-worker' ? 'service-worker.js' : 'assets/[name]-[hash].js') },
    },
  },
  server: { headers: isolation },
  preview: { headers: isolation },
});
