import { defineConfig } from 'vitest/config';
import { svelte } from '@sveltejs/vite-plugin-svelte';

// `unit`: pure modules in Node. `browser`: the real lab in Chromium, on WASM and on WebGPU (SwiftShader).
// `e2e`: the built dist/ from a sub-path, used by clicking. The last two share tests/harness.ts and need `npm run build` first.
export default defineConfig({
  test: {
    projects: [
      // a busy machine is no failure
      { plugins: [svelte()], test: { name: 'unit', include: ['tests/unit/**/*.test.ts'], environment: 'node', testTimeout: 60_000 } },
      {
        test: {
          name: 'browser',
          include: ['tests/browser/**/*.test.ts'],
          environment: 'node',
          testTimeout: 300_000,
          hookTimeout: 120_000,
          // Every file brings its own server and browser; two of them keep two cores busy.
          maxWorkers: 2,
        },
      },
      {
        test: {
          name: 'e2e',
          include: ['tests/e2e/**/*.test.ts'],
          environment: 'node',
          testTimeout: 180_000,
          hookTimeout: 120_000,
          // Every file brings its own server and browser; two of them keep two cores busy.
          maxWorkers: 2,
        },
      },
    ],
  },
});
