/** What can go wrong between here and a host, in words; and which of it another attempt may cure. */
import { LabError, abortReason, toLabError } from './errors';

/** A failure that another attempt may cure. `final`: what it comes to when none does. */
export class Retry extends Error {
  constructor(
    message: string,
    readonly waitMs?: number,
    readonly final?: LabError,
  ) {
    super(message);
  }
}

const LONGEST_WAIT_MS = 30_000;
/** Absent in workers of some runtimes and in Node. */
const offline = (): boolean => globalThis.navigator?.onLine === false;

export function asFailure(error: unknown, url: string, signal: AbortSignal | undefined): { error: LabError; retry: boolean; waitMs?: number } {
  if (signal?.aborted) return { error: abortReason(signal), retry: false };
  if (error instanceof Retry)
    return {
      error:
        error.final ??
        new LabError('network', `${fileName(url)}: ${error.message}`, 'What arrived is kept; loading again goes on from there.'),
      retry: true,
      waitMs: error.waitMs,
    };
  // fetch and body readers report every transport failure as a TypeError with a text that differs by browser.
  if (error instanceof TypeError || (error instanceof DOMException && error.name === 'NetworkError'))
    return {
      error: new LabError(
        'network',
        `${fileName(url)} could not be fetched from ${hostOf(url)}.`,
        offline()
          ? 'This device is offline. What was loaded before still works.'
          : 'The host may be unreachable, or may not allow other pages to read it (CORS).',
        { cause: error },
      ),
      retry: !offline(),
    };
  return { error: toLabError(error, 'network', fileName(url)), retry: false };
}

/**
 * A status that is none of the good ones. The hub says in X-Error-Code what it means: to someone it does not know it answers 401 for a
 * repository that does not exist, as it does for a private one, so that names cannot be tried out.
 */
export function statusError(response: Response, url: string): LabError | Retry {
  const name = fileName(url);
  const host = hostOf(url);
  const { status } = response;
  const code = response.headers.get('X-Error-Code');
  if (code === 'RepoNotFound')
    return new LabError('not-found', `${host} has no model ${repositoryOf(url)}, or it is private.`, 'Check the name; a private one needs an access token.');
  if (code === 'RevisionNotFound') return new LabError('not-found', `${repositoryOf(url)} at ${host} has no such revision.`, 'Check the revision, or leave it out.');
  if (status === 404)
    return new LabError('not-found', `${name} is not at ${host}${absolute(url).pathname.replace(/[^/]*$/, '')}.`, 'Check the model, the revision and the kind of file.');
  if (status === 401 && code !== 'GatedRepo')
    return new LabError(
      'gated',
      `${host} does not give out ${name} without permission: the model does not exist, is private, or its licence must be accepted.`,
      'Check the name; for a private or gated model enter an access token here.',
    );
  if (status === 401 || status === 403)
    return new LabError('gated', `${host} does not give out ${name} without permission.`, 'Its licence must be accepted at the hub first: do so, and enter an access token here.');
  if (status === 429 || status >= 500) {
    const said = Number(response.headers.get('Retry-After'));
    const waitMs = said > 0 ? Math.min(said * 1000, LONGEST_WAIT_MS) : undefined;
    const words = status === 429 ? 'asks for a pause (too many requests)' : `has trouble (status ${status})`;
    return new Retry(words, waitMs, new LabError('network', `${name}: ${host} ${words}.`, 'Try again in a while.'));
  }
  return new LabError('network', `${name}: ${host} answered with status ${status}.`, 'Try again later.');
}

/** What a reader would call the thing at an address: the path within a repository, never its revision. */
export function fileName(url: string): string {
  const { pathname } = absolute(url);
  const within = /\/resolve\/[^/]+\/(.+)$/.exec(pathname)?.[1];
  if (within) return decodeURIComponent(within);
  if (/\/api\/models\//.test(pathname)) return `the list of files of ${repositoryOf(url)}`;
  return decodeURIComponent(pathname.split('/').pop() || url);
}

/** owner/name */
function repositoryOf(url: string): string {
  const { pathname } = absolute(url);
  return /([^/]+\/[^/]+)\/(?:resolve|revision)\//.exec(pathname)?.[1] ?? pathname;
}

const absolute = (url: string): URL => new URL(url, globalThis.location?.href);
const hostOf = (url: string): string => absolute(url).host;

export function wait(ms: number, signal: AbortSignal | undefined): Promise<void> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(done, ms);
    function done(): void {
      signal?.removeEventListener('abort', aborted);
      resolve();
    }
    function aborted(): void {
      clearTimeout(timer);
      reject(abortReason(signal as AbortSignal));
    }
    signal?.addEventListener('abort', aborted, { once: true });
  });
}

/** Ends a request from which nothing has come for so long. A connection that neither delivers nor closes would be waited for without end. */
export class Patience {
  private readonly controller = new AbortController();
  private timer: ReturnType<typeof setTimeout> | undefined;
  private readonly abort = (): void => this.controller.abort(this.outer?.reason);
  /** Set once patience has run out. */
  failure: Retry | null = null;

  constructor(
    private readonly ms: number,
    private readonly outer: AbortSignal | undefined,
  ) {
    outer?.addEventListener('abort', this.abort, { once: true });
    if (outer?.aborted) this.abort();
    this.touch();
  }

  get signal(): AbortSignal {
    return this.controller.signal;
  }

  /** Something came. */
  touch(): void {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => {
      this.failure = new Retry(`the host sent nothing for ${this.ms / 1000} s.`);
      this.controller.abort(this.failure);
    }, this.ms);
  }

  end(): void {
    clearTimeout(this.timer);
    this.outer?.removeEventListener('abort', this.abort);
  }
}
