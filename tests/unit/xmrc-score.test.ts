import { existsSync, readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import type { Language, Scores } from '../../src/types';
import { normalizeLanguageAware, normalizeSquad, score, scoreLanguageAware, scoreSquad, squadTokens } from '../../src/xmrc/score';
import extension from '../fixtures/xmrc/score-extension.json';

const golden = '../shared/golden/scores.json';
const missing = !existsSync(golden);
if (missing) console.warn(`skipped: ${golden} is not here, so the official scripts' 720 scores are not compared`);

interface Golden { id: string; lang: Language; prediction: string; gold: string; squad: Scores; mlqa?: Scores }
const round = (s: Scores) => ({ em: s.em, f1: Math.round(s.f1 * 1e6) / 1e6 });

describe.skipIf(missing)('official scores', () => {
  const all: Golden[] = missing ? [] : (JSON.parse(readFileSync(golden, 'utf8')) as Golden[]);
  it('equals SQuAD v1.1 on all of them', () => {
    expect(all).toHaveLength(720);
    const wrong = all.filter((g) => JSON.stringify(round(scoreSquad(g.prediction, g.gold))) !== JSON.stringify(round(g.squad)));
    expect(wrong).toEqual([]);
  });
  it('equals MLQA in its seven languages', () => {
    const seven = all.filter((g) => g.mlqa);
    expect(seven.length).toBe(420);
    for (const g of seven) expect(round(scoreLanguageAware(g.prediction, g.gold, g.lang)), g.prediction).toEqual(round(g.mlqa!));
  });
});

describe('the lab\'s extension', () => {
  it.each(extension)('$lang: $prediction / $gold', (g) => {
    const s = scoreLanguageAware(g.prediction, g.gold, g.lang as Language);
    expect(s.em).toBe(g.em);
    expect(s.f1).toBeCloseTo(g.f1, 12);
  });
});

describe('Python\'s notions of space and word', () => {
  it('splits where str.split() splits', () => {
    expect(squadTokens('x\u00a0y\u0085z\u3000w')).toEqual(['x', 'y', 'z', 'w']);
    expect(squadTokens('x\ufeffy')).toEqual(['x\ufeffy']);
  });
  it('has an article next to a combining mark removed, as re does', () => {
    expect(normalizeSquad('The cat, a dog')).toBe('cat dog');
    expect(normalizeSquad('the_cat')).toBe('thecat');
    expect(normalizeLanguageAware('của anh', 'vi')).toBe('anh');
  });
  it('takes the best gold and both measures', () => {
    expect(score('le chat', ['dog', 'chat'], { language: 'en' }).squad).toEqual({ f1: 2 / 3, em: 0 });
    expect(scoreSquad('', '').f1).toBe(0);
    expect(scoreSquad('', '').em).toBe(1);
  });
});
