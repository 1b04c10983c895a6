/** Relevance and patching into a record and out of it again: what a view draws is there without the model. Pure. */
import type { Patching, Relevance } from '../../lab-mechanism';
import { MRD_THRESHOLD, groupRelevance, mrd, phases, tokenMrds } from '../../probe/phases';
import { checkMap, groupProfiles } from '../../probe/relevance';
import type { RecordedPatch, RecordedRelevance } from '../../share/record';
import { GROUPS, type Ask, type Probe, type TokenGroup } from '../../types';

export function toRecorded(r: Relevance): RecordedRelevance {
  return {
    rule: r.rule,
    target: { text: r.targets.map((t) => t.text).join(''), ids: r.targets.map((t) => t.id) },
    values: r.relevance,
    rows: r.layers + 1,
    threshold: r.threshold,
    mrd: r.mrd,
    groupMrd: r.groupMrd,
    wish: r.target,
    targets: r.targets,
    z: r.z,
    ms: r.ms,
  };
}

export function toRecordedPatch(p: Patching): RecordedPatch {
  const { layers, effects, absent, a, b, contrast, clean, corrupted, differences, flips, done, ms, positions } = p;
  return {
    clean: questionOf(p.cleanAsk),
    groups: p.groups.map((g) => g.group),
    layers,
    effects,
    sweep: { cleanAsk: p.cleanAsk, match: p.groups.map((g) => g.match), absent, a, b, contrast, clean, corrupted, differences, flips, done, ms, ...(positions ? { positions } : {}) },
  };
}

/** A map that was computed with `probe`'s model; rules of newer labs are not shown as one of this one's. */
export function fromRecorded(probe: Probe, r: RecordedRelevance): Relevance | null {
  const { rule, values: relevance, rows } = r;
  const tokens = probe.tokens.slice(0, relevance.length / rows);
  if ((rule !== 'attnlrp' && rule !== 'cp-lrp' && rule !== 'gradient') || tokens.length * rows !== relevance.length) return null;
  const layers = rows - 1;
  const target = r.wish ?? { kind: 'first' };
  const targets = r.targets ?? r.target.ids.map((id) => ({ id, text: r.target.text, weight: 1 }));
  const z = r.z ?? NaN;
  // the sum over an answer has a row for each token of it, all others one
  const ends = target.kind === 'sum' ? targets.map((_, k) => tokens.length - targets.length + k) : [tokens.length - 1];
  const checks = checkMap({ rule, target, plan: { ids: tokens.map((t) => t.id), rows: ends, tokens: [], weights: [] }, relevance, layers, tokens: tokens.length, z, logits: new Float32Array(0), ms: 0 });
  const threshold = r.threshold || MRD_THRESHOLD;
  const groupMrd: Partial<Record<TokenGroup, number | null>> = {};
  for (const group of GROUPS) {
    const curve = groupRelevance(relevance, tokens, group);
    if (curve) groupMrd[group] = mrd(curve, threshold);
  }
  return {
    ask: probe.ask, rule, target, targets, relevance, layers, tokens, threshold, groupMrd, z, checks,
    groups: groupProfiles({ relevance }, tokens),
    mrd: tokenMrds(relevance, tokens.length, threshold),
    phases: phases(relevance, tokens, threshold),
    ms: r.ms ?? 0,
    provenance: probe.provenance,
    notes: [],
  };
}

/** null for records made before whole sweeps were kept. */
export function fromRecordedPatch(probe: Probe, p: RecordedPatch): Patching | null {
  if (!p.sweep) return null;
  const { cleanAsk, match, positions = null, ...rest } = p.sweep;
  return {
    ...rest,
    positions,
    ask: probe.ask,
    cleanAsk,
    layers: p.layers,
    groups: p.groups.map((group, g) => ({ group, match: match[g] })),
    effects: p.effects,
    whole: null,
    stopped: p.sweep.done.every((d) => d === 1) ? null : { code: 'cancelled', message: 'The sweep was stopped before this record was made.' },
    provenance: probe.provenance,
    notes: [],
  };
}

export function questionOf(ask: Ask): string {
  if (!('item' in ask)) return ask.question;
  return typeof ask.item === 'string' ? ask.item : (ask.item.question[ask.questionLanguage] ?? ask.item.id);
}
