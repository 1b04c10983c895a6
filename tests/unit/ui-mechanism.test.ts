/** What a set is of, and whether that is what stands beside it: decides what links and records say. */
import { describe, expect, it } from 'vitest';
import type { PatchSet } from '../../src/probe/patch-set';
import type { RelevanceSet } from '../../src/probe/relevance-set';
import type { Ask, Language, Provenance } from '../../src/types';
import { aboutSet, fits, type Beside } from '../../src/ui/mechanism/about';
import { provenance } from '../fixtures/share/probe';

const ask = (questionLanguage: Language, more: Partial<Extract<Ask, { item: unknown }>> = {}): Ask => ({ item: 'i', set: 'world', contextLanguage: 'en', questionLanguage, ...more });
const of = (asks: Ask[], made: Provenance | null = provenance()): RelevanceSet =>
  ({ kind: 'relevance-set', rule: 'attnlrp', target: { kind: 'first' }, layers: 2, items: asks.map((a, index) => ({ index, ask: a })), total: asks.length, missed: [], stopped: null, ms: 0, provenance: made }) as unknown as RelevanceSet;

describe('a set beside the page', () => {
  const here: Beside = { made: provenance(), set: 'world', contextLanguage: 'en', questionLanguage: 'de' };
  it('fits where model, file, item set and languages are those of the page', () => {
    expect(fits(of([ask('de'), ask('de')]), here)).toBe(true);
    expect(fits(of([ask('de')]), { ...here, set: null })).toBe(true);
    // of many languages, it is of each
    expect(fits(of([ask('th'), ask('el')]), here)).toBe(true);
  });
  it.each<[string, RelevanceSet, Partial<Beside>]>([
    ['another model', of([ask('de')]), { made: provenance({ model: 'bundled:passage-post' }) }],
    ['another revision', of([ask('de')]), { made: provenance({ revision: 'r2' }) }],
    ['another file', of([ask('de')]), { made: provenance({ dtype: 'q4' }) }],
    ['no model', of([ask('de')]), { made: null }],
    ['nothing finished', of([ask('de')], null), {}],
    ['another question language', of([ask('de')]), { questionLanguage: 'th' }],
    ['another passage language', of([ask('de')]), { contextLanguage: 'ru' }],
    ['another item set', of([ask('de')]), { set: 'atlas' }],
    ['two item sets', of([ask('de'), ask('de', { set: 'atlas' })]), {}],
  ])('does not fit beside %s', (_, set, change) => expect(fits(set, { ...here, ...change })).toBe(false));

  it('is said in words: scenario, languages, item set', () => {
    expect(aboutSet(of([ask('de'), ask('de')]))).toBe('en-x, English passages, questions in German, items of “world”');
    expect(aboutSet(of([ask('de'), ask('th'), ask('el'), ask('ru')]))).toBe('en-x, English passages, questions in 4 languages, items of “world”');
    const swept = { kind: 'patch-set', items: [{ ask: ask('en', { contextLanguage: 'th' }) }], missed: [{ ask: ask('th', { contextLanguage: 'th' }) }] } as unknown as PatchSet;
    expect(aboutSet(swept)).toBe('x-en and x-x, Thai passages, questions in English, Thai, items of “world”');
  });
});
