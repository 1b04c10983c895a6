/** What the mechanism's views show, as fields of a link: a link reopens the same map and the same sweep. Read with checks, never with trust. */
import type { RelevanceRule, RelevanceTarget } from '../probe/relevance';
import { isLanguage, LIMITS, SET_SIZES, whole, type MechanismView, type SetOver } from './view';

const RULES: readonly RelevanceRule[] = ['attnlrp', 'cp-lrp', 'gradient'];
/** Most generated tokens that a target may lie behind. */
const MOST_GENERATED = 1000;
const MOST_TEXT = 60;

/** Fields `rr` rule, `rt` target (`first`, `at3`, `gold`, `sum`, `diff`, `diff2`), `ra` and `rb` the two tokens of a difference (`#id` or text), `pc` clean run, `pm` match, `rs` and `ps` maps and sweeps over many items (`20`, `50,all`, `20,all,en`), `rsr`, `rst` and `psm` their rule, target and match where others than the single ones', `rv` how the heatmap is shaded (`layer`). */
export function readMechanism(field: (key: string) => string | undefined, remarks: string[]): MechanismView | undefined {
  const out: MechanismView = {};
  const rule = readRule(field('rr'), 'no relevance is computed', remarks);
  if (rule) out.rule = rule;
  const target = field('rt');
  if (target !== undefined) {
    const read = readTarget(target, field('ra'), field('rb'), remarks);
    if (read) out.target = read;
    else remarks.push('What the link attributes is not understood; the first generated token is taken.');
  }
  const clean = field('pc');
  if (clean !== undefined) {
    const m = /^([\w.:-]{1,120}),([a-z]{2})$/.exec(clean);
    if (m && isLanguage(m[2])) out.clean = { item: m[1], language: m[2] };
    else remarks.push('The clean run this link names is not understood and was left out.');
  }
  const match = readMatch(field('pm'), remarks);
  if (match) out.match = match;
  const scale = field('rv');
  if (scale === 'layer') out.scale = scale;
  else if (scale !== undefined) remarks.push('How the heatmap is shaded is not understood; one scale for all layers is taken.');
  const [maps, sweeps] = [readOver(field('rs'), remarks), readOver(field('ps'), remarks)];
  if (maps) {
    const [own, of] = [readRule(field('rsr'), 'that of the single map is taken', remarks), field('rst')];
    const wanted = of === undefined ? null : readTarget(of, undefined, undefined, remarks);
    if (of !== undefined && !wanted) remarks.push('What the maps over many items attribute is not understood; the single map’s target is taken.');
    out.maps = { ...maps, ...(own ? { rule: own } : {}), ...(wanted ? { target: wanted } : {}) };
  }
  if (sweeps) {
    const own = readMatch(field('psm'), remarks);
    out.sweeps = { ...sweeps, ...(own ? { match: own } : {}) };
  }
  return Object.keys(out).length > 0 ? out : undefined;
}

function readRule(text: string | undefined, otherwise: string, remarks: string[]): RelevanceRule | undefined {
  const known = RULES.find((r) => r === text);
  if (text !== undefined && !known) remarks.push(`The rule “${text.slice(0, 24)}” is not known; ${otherwise}.`);
  return known;
}

function readMatch(text: string | undefined, remarks: string[]): 'last' | 'mean' | undefined {
  if (text === 'last' || text === 'mean') return text;
  if (text !== undefined) remarks.push('How groups of unequal length meet is not understood; last token onto last token is taken.');
  return undefined;
}

function readOver(text: string | undefined, remarks: string[]): SetOver | null {
  if (text === undefined) return null;
  const [count, ...flags] = text.slice(0, 40).split(',');
  const items = SET_SIZES.find((n) => String(n) === count);
  if (!items || flags.some((f) => f !== 'all' && f !== 'en')) remarks.push('Over how many items is not understood and was left out.');
  else return { items, languages: flags.includes('all') ? 'all' : 'asked', ...(flags.includes('en') ? { clean: 'en' } : {}) };
  return null;
}

function readTarget(text: string, a: string | undefined, b: string | undefined, remarks: string[]): RelevanceTarget | null {
  if (text === 'first' || text === 'gold' || text === 'sum') return { kind: text };
  const m = /^(at|diff)(\d{0,6})$/.exec(text);
  if (!m) return null;
  const index = m[2] === '' ? 0 : whole(m[2], MOST_GENERATED, 'The generated token', remarks);
  if (index === null) return null;
  if (m[1] === 'at') return { kind: 'generated', index };
  const [x, y] = [readToken(a, remarks), readToken(b, remarks)];
  return x === null || y === null ? null : { kind: 'difference', a: x, b: y, ...(index > 0 ? { index } : {}) };
}

/** `#123` is a token id, anything else text whose first token is meant. */
function readToken(text: string | undefined, remarks: string[]): number | string | null {
  if (text === undefined || text === '' || text.length > MOST_TEXT) return null;
  return /^#\d{1,9}$/.test(text) ? whole(text.slice(1), LIMITS.follow, 'A token', remarks) : text;
}

/** The same fields, in a fixed order. */
export function writeMechanism(view: MechanismView | undefined): [string, string][] {
  const out: [string, string][] = [];
  if (!view) return out;
  const { rule, target, clean, match, scale, maps, sweeps } = view;
  if (rule) out.push(['rr', rule]);
  if (target) {
    out.push(['rt', targetText(target)]);
    if (target.kind === 'difference') for (const key of ['a', 'b'] as const) out.push([`r${key}`, typeof target[key] === 'number' ? `#${target[key]}` : String(target[key]).slice(0, MOST_TEXT)]);
  }
  if (clean) out.push(['pc', `${clean.item},${clean.language}`]);
  if (match) out.push(['pm', match]);
  for (const [key, over] of [['rs', maps], ['ps', sweeps]] as const)
    if (over) out.push([key, [over.items, ...(over.languages === 'all' ? ['all'] : []), ...(over.clean ? [over.clean] : [])].join()]);
  if (maps?.rule) out.push(['rsr', maps.rule]);
  if (maps?.target) out.push(['rst', targetText(maps.target)]);
  if (sweeps?.match) out.push(['psm', sweeps.match]);
  if (scale) out.push(['rv', scale]);
  return out;
}

function targetText(target: RelevanceTarget): string {
  if (target.kind === 'generated') return `at${target.index}`;
  return target.kind === 'difference' ? `diff${target.index ? String(target.index) : ''}` : target.kind;
}
