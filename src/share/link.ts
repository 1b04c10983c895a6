/**
 * Links that reopen a probe view: `#/probe?v=1&set=xquad&item=…&c=en&q=hi&m=owner/name@commit:q4&t=<hash>&…`.
 *
 * Items that ship or come from XQuAD go by id and stay short and readable; custom text travels deflated in `x`, an item’s edited
 * prompt in `e`.
 * A link is data: nothing in it is markup, and nothing in it is fetched before the reader agrees (needs.ts).
 * Fields are only ever added within a version; a changed meaning is a new version with a migration below.
 */
import type { Device, Language, ModelRef, PromptOptions } from '../types';
import { fromBase64url, pack, unpack } from './base64url';
import { fail, type Read } from './result';
import { isHex, isLanguage, whole, words, type ViewState } from './view';
import { readView, writeView } from './view-fields';

export const LINK_VERSION = 1;
/** Longest link that is handed out; chat programs and mail cut longer ones. */
export const LINK_LIMIT = 2000;
/** Longest link that is read at all, and the most text one may unfold to. */
export const READ_LIMIT = 65_536;
export const TEXT_LIMIT = 262_144;

/** `english`: the same question in English, asked beside it. */
export type LinkAsk =
  | { kind: 'item'; set: string; item: string; contextLanguage: Language; questionLanguage: Language; prompt?: PromptOptions }
  | { kind: 'text'; context: string; question: string; contextLanguage?: Language; questionLanguage?: Language; answer?: { text: string; start: number }; english?: string; prompt?: PromptOptions };

export interface ProbeLink {
  version: typeof LINK_VERSION;
  ask: LinkAsk | null;
  /** Slot A, and slot B when two are compared. */
  models: ModelRef[];
  device?: Device;
  /** Slot B's device, where it is not A's. */
  deviceB?: Device;
  /** Question languages asked beside the main one. */
  languages?: Language[];
  /** Hash of the prompt's token ids (hash.ts). */
  tokens?: string;
  /** A sketch of the run's states (provenance.ts), for "your run differs by cos …". */
  sketch?: string;
  /** Id of a shipped recording to show before the model is there. */
  recording?: string;
  view: ViewState;
}

// ---------------------------------------------------------------- reading

const DEVICES: readonly string[] = ['webgpu', 'wasm'] satisfies Device[];
const isDevice = (s: string): s is Device => DEVICES.includes(s);
/** Names of sets, items and recordings; no slash, no dots-only, nothing that could walk a path. */
export const isName = (s: string): boolean => /^[\w.:-]{1,120}$/.test(s) && !/^\.+$/.test(s);

/** Reads the part after `#`, or a whole address that has one. Never throws. */
export function parseLink(input: string): Read<ProbeLink> {
  const at = input.indexOf('#');
  const hash = at >= 0 ? input.slice(at + 1) : input;
  if (hash.length > READ_LIMIT) return fail('too-long', `This link has ${hash.length} characters; the lab reads at most ${READ_LIMIT}. A longer text travels as a file.`);
  const cut = hash.indexOf('?');
  const path = (cut >= 0 ? hash.slice(0, cut) : hash).replace(/^\//, '');
  if (path !== 'probe') return fail('not-a-link', path === '' ? 'This address names no view.' : `This address names a view “${path.slice(0, 40)}” that the lab does not have.`);
  const fields = readFields(cut >= 0 ? hash.slice(cut + 1) : '');
  const version = fields.get('v');
  if (version === undefined) return fail('broken', 'This link has lost its version number (v=…); it was probably cut when it was copied.');
  if (!/^\d{1,6}$/.test(version) || Number(version) < 1) return fail('broken', 'This link’s version number is damaged.');
  if (Number(version) > LINK_VERSION) return fail('newer-version', `This link was made by a newer lab (version ${Number(version)}; this one reads up to ${LINK_VERSION}). Reload the page to get the newest lab.`);
  const migrated = migrateLink(fields, Number(version));
  return readLink(migrated);
}

/** Percent-decoding that lets damaged escapes stand, `+` kept as it is; the first of doubled fields counts. */
function readFields(query: string): Map<string, string> {
  const out = new Map<string, string>();
  for (const pair of query.split('&')) {
    if (pair === '') continue;
    const eq = pair.indexOf('=');
    const key = eq >= 0 ? pair.slice(0, eq) : pair;
    if (out.has(key)) continue;
    const raw = eq >= 0 ? pair.slice(eq + 1) : '';
    let value = raw;
    try {
      value = decodeURIComponent(raw);
    } catch {
      // a cut or damaged escape: the field's own check decides
    }
    out.set(key, value);
  }
  return out;
}

/** From version n to n + 1, by n. Each is a pure function of the fields. */
export const LINK_MIGRATIONS: Record<number, (fields: Map<string, string>) => Map<string, string>> = {};
function migrateLink(fields: Map<string, string>, from: number): Map<string, string> {
  let f = fields;
  for (let v = from; v < LINK_VERSION; v++) f = LINK_MIGRATIONS[v](f);
  return f;
}

function readLink(f: Map<string, string>): Read<ProbeLink> {
  const remarks: string[] = [];
  const ask = readAsk(f, remarks);
  if (ask !== null && 'ok' in ask) return ask;
  const models: ModelRef[] = [];
  for (const [k, h] of [
    ['m', 'h'],
    ['m2', 'h2'],
  ]) {
    const text = f.get(k);
    if (text === undefined) continue;
    const ref = readModel(text, f.get(h));
    if (ref === null) return fail('broken', `The model this link names, “${text.slice(0, 80)}”, is not a name the lab understands (owner/name@revision).`);
    models.push(ref);
  }
  const link: ProbeLink = { version: LINK_VERSION, ask, models, view: readView((key) => f.get(key), remarks) };
  for (const [key, slot] of [
    ['d', 'device'],
    ['d2', 'deviceB'],
  ] as const) {
    const device = f.get(key);
    if (device === undefined) continue;
    if (isDevice(device)) link[slot] = device;
    else remarks.push(`The device “${device.slice(0, 24)}” is not known; the best one here is used.`);
  }
  const languages = f.get('also');
  if (languages !== undefined) link.languages = words(languages, isLanguage, 'The language', remarks);
  const tokens = f.get('t');
  if (tokens !== undefined) {
    if (isHex(tokens)) link.tokens = tokens;
    else remarks.push('The link’s token hash is damaged: a drift of the tokenizer cannot be noticed.');
  }
  const sketch = f.get('sk');
  if (sketch !== undefined) {
    if (sketch.length <= 200 && fromBase64url(sketch) !== null) link.sketch = sketch;
    else remarks.push('The link’s sketch of its run is damaged: your run cannot be compared with it.');
  }
  const recording = f.get('rec');
  if (recording !== undefined) {
    if (isName(recording)) link.recording = recording;
    else remarks.push('The recording this link names is not a name the lab understands.');
  }
  return { ok: true, value: link, remarks };
}

/** `owner/name@revision:dtype`, `bundled:name…`; host apart. Nothing that could climb out of a path. null = not understood. */
function readModel(text: string, host: string | undefined): ModelRef | null {
  const m = /^((?:bundled|files):[\w.-]{1,96}|[\w.-]{1,96}\/[\w.-]{1,96})(?:@([\w./-]{1,96}))?(?::([\w-]{1,24}))?$/.exec(text);
  if (!m || m[1].split(/[:/]/).some((p) => /^\.+$/.test(p)) || (m[2] ?? '').split('/').some((p) => p === '' ? m[2] !== undefined : /^\.+$/.test(p))) return null;
  const ref: ModelRef = { id: m[1] };
  if (m[2]) ref.revision = m[2];
  if (m[3]) ref.dtype = m[3];
  if (host !== undefined) {
    try {
      const url = new URL(host);
      if ((url.protocol !== 'https:' && url.protocol !== 'http:') || url.username !== '' || url.password !== '') return null;
      ref.host = url.origin + url.pathname.replace(/\/+$/, '');
    } catch {
      return null;
    }
  }
  return ref;
}

function readAsk(f: Map<string, string>, remarks: string[]): LinkAsk | null | ReturnType<typeof fail> {
  const language = (key: string): Language | undefined => {
    const v = f.get(key);
    if (v === undefined) return undefined;
    if (isLanguage(v)) return v;
    remarks.push(`The language “${v.slice(0, 24)}” is not one of the lab’s; English is taken.`);
    return undefined;
  };
  const c = language('c');
  const q = language('q');
  const prompt = readPrompt(f, remarks);
  const payload = f.get('x');
  if (payload !== undefined) {
    const text = unfold(payload);
    if (!text.ok) return text;
    let data: unknown;
    try {
      data = JSON.parse(text.value);
    } catch {
      return fail('broken', 'The text in this link is damaged: what it unfolds to cannot be read.');
    }
    const o = typeof data === 'object' && data !== null ? (data as Record<string, unknown>) : {};
    if (typeof o.context !== 'string' || typeof o.question !== 'string') return fail('broken', 'The text in this link holds no context and question.');
    const ask: LinkAsk = { kind: 'text', context: o.context, question: o.question };
    if (c) ask.contextLanguage = c;
    if (q) ask.questionLanguage = q;
    if (typeof o.answer === 'string') {
      const length = [...o.context].length;
      if (Number.isInteger(o.start) && (o.start as number) >= 0 && (o.start as number) < length) ask.answer = { text: o.answer, start: o.start as number };
      else remarks.push('The answer’s place in the context is out of range and was left out.');
    }
    if (typeof o.english === 'string') ask.english = o.english;
    const edited = typeof o.prompt === 'string' ? o.prompt : undefined;
    if (prompt || edited !== undefined) ask.prompt = { ...prompt, ...(edited !== undefined ? { text: edited } : {}) };
    return ask;
  }
  const set = f.get('set');
  const item = f.get('item');
  if (set === undefined && item === undefined) return null;
  if (set === undefined || item === undefined) return fail('broken', `This link names ${item === undefined ? 'a set but no item' : 'an item but no set'}; it was probably cut when it was copied.`);
  if (!isName(set) || !isName(item)) return fail('broken', 'The item this link names is not a name the lab understands.');
  const ask: LinkAsk = { kind: 'item', set, item, contextLanguage: c ?? 'en', questionLanguage: q ?? 'en', ...(prompt ? { prompt } : {}) };
  const edited = f.get('e');
  if (edited === undefined) return ask;
  const text = unfold(edited);
  return text.ok ? { ...ask, prompt: { ...prompt, text: text.value } } : text;
}

function unfold(payload: string): Read<string> {
  const text = unpack(payload, TEXT_LIMIT);
  if (text.ok) return { ok: true, value: text.text, remarks: [] };
  return text.why === 'too-large'
    ? fail('too-large', 'The text in this link unfolds to more than the lab takes from a link. It may have been made to do harm; ask its sender for a file.')
    : fail('broken', 'The text in this link is damaged; it was probably cut when it was copied. Ask its sender for the link again, or for a file.');
}

function readPrompt(f: Map<string, string>, remarks: string[]): PromptOptions | undefined {
  const out: PromptOptions = {};
  const kind = f.get('pk');
  if (kind === 'chat' || kind === 'completion') out.kind = kind;
  else if (kind !== undefined) remarks.push(`The prompt kind “${kind.slice(0, 24)}” is not known; the model’s own is used.`);
  const shots = f.get('shots');
  if (shots !== undefined) {
    const n = whole(shots, 16, 'The number of examples', remarks);
    if (n !== null) out.shots = n;
  }
  return Object.keys(out).length > 0 ? out : undefined;
}

// ---------------------------------------------------------------- writing

/** Readable where it may be: only what would break the address or the fields is escaped. */
const quote = (s: string): string => encodeURIComponent(s).replace(/%(3A|2F|40|2C)/g, (e) => decodeURIComponent(e));

export function modelText(ref: ModelRef): string {
  return `${ref.id}${ref.revision ? `@${ref.revision}` : ''}${ref.dtype ? `:${ref.dtype}` : ''}`;
}

/**
 * The hash of a link, in a fixed order of fields, so that the same view is the same text. `base` (the page's address) counts towards
 * the limit: `LINK_LIMIT` for what is handed out, `READ_LIMIT` for the page's own history.
 */
export function makeLink(link: ProbeLink, base = '', limit = LINK_LIMIT): Read<string> {
  const f: [string, string][] = [['v', String(LINK_VERSION)]];
  const add = (key: string, value: string | undefined): void => {
    if (value !== undefined) f.push([key, value]);
  };
  const { ask } = link;
  if (ask?.kind === 'item') {
    add('set', ask.set);
    add('item', ask.item);
  }
  add('c', ask?.contextLanguage);
  add('q', ask?.questionLanguage);
  if (link.languages && link.languages.length > 0) add('also', link.languages.join(','));
  add('pk', ask?.prompt?.kind);
  if (ask?.prompt?.shots !== undefined) add('shots', String(ask.prompt.shots));
  link.models.slice(0, 2).forEach((ref, i) => {
    add(i === 0 ? 'm' : 'm2', modelText(ref));
    add(i === 0 ? 'h' : 'h2', ref.host);
  });
  add('d', link.device);
  add('d2', link.deviceB);
  add('t', link.tokens);
  add('sk', link.sketch);
  add('rec', link.recording);
  f.push(...writeView(link.view));
  if (ask?.kind === 'item' && ask.prompt?.text !== undefined) add('e', pack(ask.prompt.text));
  if (ask?.kind === 'text')
    add('x', pack(JSON.stringify({ context: ask.context, question: ask.question, ...(ask.answer ? { answer: ask.answer.text, start: ask.answer.start } : {}), ...(ask.english ? { english: ask.english } : {}), ...(ask.prompt?.text !== undefined ? { prompt: ask.prompt.text } : {}) })));
  const text = `#/probe?${f.map(([k, v]) => `${k}=${quote(v)}`).join('&')}`;
  const length = base.length + text.length;
  if (length > limit) return fail('too-long', `As a link this would have ${length} characters, more than the ${limit} that mail and chat leave whole. Save it as a file instead: whoever drops the file on the lab sees the same view.`);
  const remarks: string[] = [];
  for (const ref of link.models) {
    if (ref.id.startsWith('files:')) remarks.push('The model came from files on this device; whoever opens the link has to drop the same files.');
    else if (!ref.revision) remarks.push(`The model ${ref.id} is not pinned to a revision, so the link may mean another model one day.`);
  }
  return { ok: true, value: text, remarks };
}
