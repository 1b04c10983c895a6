import { defineConfig } from 'vitest/config';

// `npm run score`: measures the bundled models in the page and rewrites docs/scores.md. Not a test: it asserts nothing.
export default defineConfig({
  test: {
    include: ['tests/score/**/*.score.ts'],
    environment: 'node',
    testTimeout: 4 * 3600_000,
    hookTimeout: 300_000,
    fileParallelism: false,
    disableConsoleIntercept: true,
  },
});
