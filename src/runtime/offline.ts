/**
 * Keeps what this page or worker has fetched of the page's own files (runtime, chunks, bundled model) for the service worker: on a
 * first visit they came before it was in charge. `SHELL` is the cache that `workers/service-worker.ts` reads.
 */
declare const __APP_VERSION__: string;

export async function keepForOffline(base: string): Promise<void> {
  if (!import.meta.env.PROD || !('caches' in globalThis)) return;
  const seen = performance.getEntriesByType('resource').map((entry) => entry.name);
  // The page or the worker script itself first: without it nothing else is of use.
  const urls = new Set([new URL(location.pathname, location.href).href, ...seen.filter((url) => url.startsWith(base))]);
  const cache = await caches.open(`lab-shell-${__APP_VERSION__}`).catch(() => null);
  // One file that cannot be kept (gone, or no room) costs that file's copy, not the others'.
  for (const url of cache ? urls : []) if (!(await cache?.match(url))) await cache?.add(url).catch(() => undefined);
}
