import { svelte } from '@sveltejs/vite-plugin-svelte';
import { defineConfig } from 'vite';

// WASM threads need cross-origin isolation; WebGPU does not. A host that cannot set these headers still works, on one thread.
const isolation = {
  'Cross-Origin-Opener-Policy': 'same-origin',
  'Cross-Origin-Embedder-Policy': 'require-corp',
};

export default defineConfig({
  base: './', // the build must work from any sub-path of any static host
  plugins: [svelte()],
  worker: { format: 'es' },
  // ORT's own .mjs files start threads from their own address: pre-bundling would move them away from their wasm
  optimizeDeps: { exclude: ['onnxruntime-web', '@huggingface/transformers'] },
  build: { target: 'es2022', chunkSizeWarningLimit: 1200 },
  server: { headers: isolation },
  preview: { headers: isolation },
});
