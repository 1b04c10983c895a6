/** The state of a view as fields of a link: short keys, read with checks and clamps, written in a fixed order; what has its default is left out. */
import { readMechanism, writeMechanism } from './mechanism';
import { ALIGNED, ALIGNMENT_SIZES, COMPARED, FOLLOWED_BY, isGroup, isHex, isLanguage, isWord, LIMITS, PROJECTIONS, real, SHADES, SPREADS, whole, wholes, words, type AlignmentView, type ViewState } from './view';

export function readView(field: (key: string) => string | undefined, remarks: string[]): ViewState {
  const view: ViewState = {};
  const get = (key: string, read: (text: string) => void): void => {
    const text = field(key);
    if (text !== undefined) read(text);
  };
  const number = (key: string, max: number, name: string, put: (n: number) => void): void =>
    get(key, (t) => {
      const n = whole(t, max, name, remarks);
      if (n !== null) put(n);
    });
  /** One word of a list whose first is the default. */
  const word = <T extends string>(key: string, list: readonly [string, ...T[]], name: string, put: (w: T) => void): void =>
    get(key, (t) => {
      const known = (list.slice(1) as T[]).find((w) => w === t);
      if (known) put(known);
      else if (t !== list[0]) remarks.push(`${name} “${t.slice(0, 24)}” is not known here and was left out.`);
    });
  get('tab', (t) => (isWord(t) ? (view.tab = t) : remarks.push('The view this link opens is not a name the lab understands.')));
  number('l', LIMITS.layer, 'Layer', (n) => (view.layer = n));
  number('i', LIMITS.token, 'Token', (n) => (view.token = n));
  get('pin', (t) => (view.pins = words(t, isLanguage, 'The language', remarks)));
  get('pt', (t) => (view.pinned = wholes(t, LIMITS.follow, LIMITS.pinned, 'The pinned token', remarks)));
  get('g', (t) => (view.groups = words(t, isGroup, 'The token group', remarks)));
  get('p', (t) => {
    const kind = PROJECTIONS.find((p) => p === t);
    if (kind) view.projection = kind;
    else remarks.push(`The projection “${t.slice(0, 24)}” is not known; joint PCA is used.`);
  });
  get('b', (t) => (isHex(t) ? (view.basis = t) : remarks.push('The id of the projection’s basis is damaged: whether the picture is the same cannot be told.')));
  get('s', (t) => {
    const m = /^([pm])([pm])$/.exec(t);
    if (m) view.signs = [m[1] === 'p' ? 1 : -1, m[2] === 'p' ? 1 : -1];
    else remarks.push('The signs of the axes are damaged; the fixed rule is used.');
  });
  get('z', (t) => {
    const [k, x, y, h] = t.split(',').map((v, i) => (i === 0 ? real(v, 1 / LIMITS.zoom, LIMITS.zoom, 'Zoom', remarks) : i === 3 ? real(v, 1, LIMITS.height, 'Height', remarks) : real(v, -LIMITS.pan, LIMITS.pan, 'Pan', remarks)));
    if (typeof k === 'number' && typeof x === 'number' && typeof y === 'number') view.zoom = { k, x, y, ...(typeof h === 'number' ? { h } : {}) };
    else remarks.push('The zoom is damaged and was left out.');
  });
  get('r', (t) => {
    const m = t.split('-');
    const a = m.length === 2 ? whole(m[0], LIMITS.layer, 'Layer', remarks) : null;
    const b = m.length === 2 ? whole(m[1], LIMITS.layer, 'Layer', remarks) : null;
    if (a !== null && b !== null) view.range = a <= b ? [a, b] : [b, a];
    else remarks.push('The range of layers is damaged and was left out.');
  });
  number('f', LIMITS.follow, 'Followed token', (n) => (view.follow = n));
  get('th', (t) => {
    const n = real(t, 0.5, 1, 'MRD threshold', remarks);
    if (n !== null) view.threshold = n;
  });
  get('ap', (t) => (t === '1' ? (view.apart = true) : remarks.push('Whether the groups stand apart is not understood and was left out.')));
  word('sh', SHADES, 'The shade', (w) => (view.shade = w));
  word('fm', FOLLOWED_BY, 'The measure of the followed words', (w) => (view.followBy = w));
  word('cb', SPREADS, 'The spread of the curves', (w) => (view.spread = w));
  word('cm', COMPARED, 'The measure compared', (w) => (view.compared = w));
  get('al', (t) => {
    const alignment = readAlignment(t);
    if (alignment) view.alignment = alignment;
    else remarks.push('The alignment over the item set is not understood and was left out.');
  });
  const mechanism = readMechanism(field, remarks);
  if (mechanism) view.mechanism = mechanism;
  get('hide', (t) => (view.hide = words(t, (w): w is string => isWord(w), 'The panel', remarks)));
  return view;
}

/** `50`, `20,own,centred,de,th`: how many items, to their own passages, by which measure, in which languages (none named: all eleven). null = not understood. */
function readAlignment(text: string): AlignmentView | null {
  const [count, ...flags] = text.slice(0, 80).split(',');
  const items = ALIGNMENT_SIZES.find((n) => String(n) === count);
  if (!items) return null;
  const out: AlignmentView = { items };
  const languages = new Set<(typeof flags)[number]>();
  for (const flag of flags) {
    const how = ALIGNED.find((h) => h === flag);
    if (flag === 'own') out.passage = 'own';
    else if (how === ALIGNED[0]) continue;
    else if (how) out.how = how;
    else if (isLanguage(flag) && flag !== 'en') languages.add(flag);
    else return null;
  }
  const named = [...languages].filter(isLanguage);
  return named.length > 0 ? { ...out, languages: named } : out;
}

const decimal = (n: number): string => String(Number(n.toFixed(3)));

export function writeView(view: ViewState): [string, string][] {
  const out: [string, string][] = [];
  const add = (key: string, value: string | number | undefined): void => {
    if (value !== undefined) out.push([key, String(value)]);
  };
  const { pinned, zoom, alignment: al } = view;
  add('tab', view.tab);
  add('l', view.layer);
  add('i', view.token);
  add('pin', view.pins?.join());
  if (pinned && pinned.length > 0) add('pt', pinned.join());
  add('g', view.groups?.join());
  add('p', view.projection);
  add('b', view.basis);
  add('s', view.signs?.map((s) => (s > 0 ? 'p' : 'm')).join(''));
  if (zoom) add('z', [zoom.k, zoom.x, zoom.y, ...(zoom.h === undefined ? [] : [zoom.h])].map(decimal).join());
  add('r', view.range?.join('-'));
  add('f', view.follow);
  if (view.threshold !== undefined) add('th', decimal(view.threshold));
  if (view.apart) add('ap', 1);
  add('sh', view.shade);
  add('fm', view.followBy);
  add('cb', view.spread);
  add('cm', view.compared);
  if (al) add('al', [al.items, ...(al.passage ? [al.passage] : []), ...(al.how ? [al.how] : []), ...(al.languages ?? [])].join());
  out.push(...writeMechanism(view.mechanism));
  if (view.hide && view.hide.length > 0) add('hide', view.hide.join());
  return out;
}
