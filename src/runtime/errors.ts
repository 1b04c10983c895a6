/**
 * One error type for everything the lab refuses or loses: a code for programs, a sentence for people, a hint for what to do next.
 * It crosses the worker boundary whole (see `wire.ts`); a plain Error would lose its code there.
 */
import type { LabErrorCode } from '../types';

export interface PlainLabError {
  name: 'LabError';
  code: LabErrorCode;
  message: string;
  hint: string;
}

export class LabError extends Error {
  override readonly name = 'LabError';
  readonly code: LabErrorCode;
  /** What the reader can try; '' when there is nothing to say. */
  readonly hint: string;

  constructor(code: LabErrorCode, message: string, hint = '', options?: ErrorOptions) {
    super(message, options);
    this.code = code;
    this.hint = hint;
  }

  toJSON(): PlainLabError {
    return { name: 'LabError', code: this.code, message: this.message, hint: this.hint };
  }

  static from(plain: PlainLabError): LabError {
    return new LabError(plain.code, plain.message, plain.hint);
  }
}

export function isLabError(error: unknown): error is LabError {
  return error instanceof LabError;
}

/** After these a model must be loaded anew before anything is asked of it. */
export const LOST: readonly LabErrorCode[] = ['device-lost', 'worker-lost', 'out-of-memory'];

/** Texts by which browsers and ORT report the same few troubles; they have no codes of their own. */
const PATTERNS: [RegExp, LabErrorCode, string][] = [
  [
    /device (?:was |is |has been )?lost|lost.{0,20}device|instance (?:was )?dropped|DXGI_ERROR_DEVICE|external Instance reference/i,
    'device-lost',
    'The graphics device went away (a driver reset, sleep, or too much memory asked for). Load the model again.',
  ],
  [
    /out of memory|bad_alloc|allocation failed|failed to allocate|cannot allocate|memory access out of bounds|Invalid typed array length|could not allocate|OOM/i,
    'out-of-memory',
    'Try a smaller model or a more compact file (q4f16, q4), or close other tabs.',
  ],
  [
    /no available backend|WebGPU.{0,40}not (?:available|supported)|Failed to get GPU adapter|shader-f16/i,
    'unsupported-device',
    'Choose WASM, or a browser with WebGPU switched on.',
  ],
];

/** Turns whatever was thrown into a LabError; `fallback` says what it is when its text says nothing known. */
export function toLabError(error: unknown, fallback: LabErrorCode = 'internal', context = ''): LabError {
  if (error instanceof LabError) return error;
  const text = error instanceof Error ? error.message : String(error);
  const prefix = context ? `${context}: ` : '';
  if (error instanceof DOMException && error.name === 'AbortError') return new LabError('cancelled', 'Cancelled.');
  if (error instanceof DOMException && error.name === 'QuotaExceededError')
    return new LabError('storage-full', `${prefix}${text}`, 'Free some space in the storage panel.', { cause: error });
  for (const [pattern, code, hint] of PATTERNS)
    if (pattern.test(text)) return new LabError(code, `${prefix}${text}`, hint, { cause: error });
  // An aborted WebAssembly module throws bare numbers: addresses of C++ exceptions nobody can read.
  if (typeof error === 'number')
    return new LabError(
      'out-of-memory',
      `${prefix}the runtime gave up (exception ${error}), most often for want of memory.`,
      'Try a smaller model or a more compact file.',
    );
  return new LabError(fallback, `${prefix}${text}`, '', { cause: error });
}

/** The reason an AbortSignal was aborted for, as a LabError ('cancelled' unless the aborter gave one, e.g. 'superseded'). */
export function abortReason(signal: AbortSignal): LabError {
  return signal.reason instanceof LabError ? signal.reason : new LabError('cancelled', 'Cancelled.');
}

export function throwIfAborted(signal: AbortSignal | undefined): void {
  if (signal?.aborted) throw abortReason(signal);
}
