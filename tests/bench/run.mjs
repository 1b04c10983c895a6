// `npm run bench [-- flags]`: loads main.ts through Vite's own module runner, so that the benchmark needs no build step of its own.
import { fileURLToPath } from 'node:url';
import { runnerImport } from 'vite';

const root = fileURLToPath(new URL('../../', import.meta.url));
const { module } = await runnerImport(fileURLToPath(new URL('main.ts', import.meta.url)), {
  root,
  configFile: false,
  logLevel: 'error',
});
await module.main(process.argv.slice(2));
