/** What reading something that came from outside gives: the thing, with remarks, or the reason why not in plain words. Never an exception. */
export type Read<T> = { ok: true; value: T; remarks: string[] } | { ok: false; code: ReadErrorCode; message: string };
export type ReadErrorCode = 'not-a-link' | 'not-a-record' | 'newer-version' | 'broken' | 'too-large' | 'too-long';

export const fail = (code: ReadErrorCode, message: string): { ok: false; code: ReadErrorCode; message: string } => ({ ok: false, code, message });
