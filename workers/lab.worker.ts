/** Wires the lab to the page; nothing else lives here. */
import { expose, transfer } from 'comlink';
import { Lab } from '../src/lab';
import { refuseWebGPU } from '../src/runtime/capabilities';
import { LabError } from '../src/runtime/errors';
import { keepForOffline } from '../src/runtime/offline';
import type { Probe } from '../src/types';
import { installErrorTransfer, type Calls, type Endpoint, type WireEvent } from '../src/wire';

installErrorTransfer();

const scope = self as unknown as DedicatedWorkerGlobalScope;
const post = (event: WireEvent): void => scope.postMessage(event);
/** The page's address travels in the worker's name: the worker's own script lies somewhere under assets/. */
const lab = new Lab(scope.name);
const controllers = new Map<number, AbortController>();

const endpoint: Endpoint = {
  async call(id, method, args) {
    const controller = new AbortController();
    controllers.set(id, controller);
    const call: Calls = {
      signal: controller.signal,
      onProgress: (progress) => post({ lab: 'progress', call: id, progress }),
      onToken: (token) => post({ lab: 'token', call: id, token }),
      onPart: (part) => post({ lab: 'part', call: id, part }),
    };
    try {
      const run = lab[method] as (...args: unknown[]) => Promise<unknown>;
      const result = await run.apply(lab, [...args, call]);
      if (method === 'load' || method === 'items') void keepForOffline(scope.name);
      // Tens of megabytes that nothing here keeps change hands instead of being copied.
      const states = method === 'probe' ? (result as Probe).states : null;
      return states ? transfer(result as Probe, [states.buffer]) : result;
    } finally {
      controllers.delete(id);
    }
  },
  cancel: (id) => controllers.get(id)?.abort(new LabError('cancelled', 'Cancelled.')),
  cancelAll: () => lab.cancelAll(),
  setToken: (host, token) => lab.setToken(host, token),
  setFiles: (id, files) => lab.setFiles(id, files),
  refuseWebGPU,
};
expose(endpoint);

// A dead worker sends no message. This lock is freed by the browser when the worker ends, however it ends: the page waits for it.
const lock = navigator.locks ? `lab-worker-${crypto.randomUUID()}` : null;
if (lock)
  void navigator.locks.request(lock, () => {
    post({ lab: 'ready', lock });
    return new Promise<never>(() => undefined);
  });
else post({ lab: 'ready', lock: null });
