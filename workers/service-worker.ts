/**
 * Offline: what was loaded once loads again without a network. Files under assets/ carry their hash in their name and are taken
 * from the cache first; everything else of the page is asked for anew and taken from the cache when there is no answer.
 * Models from a hub are not its business: they are in the store (`src/runtime/store.ts`), half-finished ones included.
 */
declare const __APP_VERSION__: string;

const scope = self as unknown as ServiceWorkerGlobalScope;
const PREFIX = 'lab-shell-';
const SHELL = `${PREFIX}${__APP_VERSION__}`;

scope.addEventListener('install', () => void scope.skipWaiting());

scope.addEventListener('activate', (event) => {
  event.waitUntil(
    (async () => {
      for (const name of await caches.keys()) if (name.startsWith(PREFIX) && name !== SHELL) await caches.delete(name);
      await scope.clients.claim();
    })(),
  );
});

scope.addEventListener('fetch', (event) => {
  const { request } = event;
  const url = new URL(request.url);
  // A part of a file must never stand for the whole of it.
  if (request.method !== 'GET' || request.headers.has('Range') || !url.href.startsWith(scope.registration.scope)) return;
  event.respondWith(url.pathname.includes('/assets/') ? cacheFirst(request) : networkFirst(request));
});

async function cacheFirst(request: Request): Promise<Response> {
  return (await kept(request)) ?? fetchAndKeep(request);
}

async function networkFirst(request: Request): Promise<Response> {
  try {
    return await fetchAndKeep(request);
  } catch (error) {
    const old = await kept(request);
    if (old) return old;
    throw error;
  }
}

async function kept(request: Request): Promise<Response | undefined> {
  const cache = await caches.open(SHELL);
  // Links to the page carry their state behind the address: it is one and the same page.
  return cache.match(request, { ignoreSearch: request.mode === 'navigate', ignoreVary: true });
}

async function fetchAndKeep(request: Request): Promise<Response> {
  const response = await fetch(request);
  if (response.status === 200 && response.type === 'basic') {
    const copy = response.clone();
    // A full disk costs the offline copy, not the page.
    void caches
      .open(SHELL)
      .then((cache) => cache.put(request, copy))
      .catch(() => undefined);
  }
  return response;
}

export {};
