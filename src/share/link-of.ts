/** What a link says of runs, and what a link asks. Pure, and light: the page makes its address by it. */
import type { Ask, Probe } from '../types';
import { goldOf } from '../xmrc/answer';
import { tokensHash } from './hash';
import { isName, type LinkAsk, type ProbeLink } from './link';
import { sketchProbe } from './provenance';
import type { LabRecord } from './record';
import type { ViewState } from './view';

/** How a link says what was asked. An item of no set, or of one that a link cannot name, travels as its text. */
export function linkAsk(ask: Ask): LinkAsk {
  const { contextLanguage, questionLanguage, prompt } = ask;
  const more = prompt ? { prompt } : {};
  if (!('item' in ask)) {
    // the model's own answer is found again by whoever asks it again
    const gold = goldOf(ask.answer);
    return { kind: 'text', context: ask.context, question: ask.question, ...(contextLanguage ? { contextLanguage } : {}), ...(questionLanguage ? { questionLanguage } : {}), ...(gold ? { answer: gold } : {}), ...more };
  }
  const { item } = ask;
  const set = ask.set ?? (typeof item === 'string' ? undefined : item.set);
  if ((set && isName(set) && isName(typeof item === 'string' ? item : item.id)) || typeof item === 'string') return { kind: 'item', set: set ?? 'world', item: typeof item === 'string' ? item : item.id, contextLanguage: ask.contextLanguage, questionLanguage: ask.questionLanguage, ...more };
  const answer = item.answer[ask.contextLanguage];
  return { kind: 'text', context: item.context[ask.contextLanguage] ?? '', question: item.question[ask.questionLanguage] ?? '', contextLanguage: ask.contextLanguage, questionLanguage: ask.questionLanguage, ...(answer ? { answer } : {}), ...more };
}

/** And back: the ask that a link means; null when it asks nothing. */
export function askOfLink(ask: LinkAsk | null): Ask | null {
  if (!ask) return null;
  if (ask.kind === 'item') {
    const { kind: _kind, ...rest } = ask;
    return rest;
  }
  const { kind: _kind, english: _english, ...rest } = ask;
  return rest;
}

const modelOf = ({ model }: Probe): ProbeLink['models'][number] => ({ ...model.ref, revision: model.provenance.revision, dtype: model.dtype });

/** What a link says of the models of two slots: pinned to their commits; devices where they were chosen, or are what differs. */
export function modelsOf(a: Probe, b: Probe | null): Pick<ProbeLink, 'models' | 'device' | 'deviceB'> {
  const apart = b !== null && b.model.device !== a.model.device;
  return {
    models: [a, ...(b ? [b] : [])].map(modelOf),
    ...(apart || a.model.deviceReason === 'asked for' ? { device: a.model.device } : {}),
    ...(apart ? { deviceB: b.model.device } : {}),
  };
}

const marks = new WeakMap<Probe, Pick<ProbeLink, 'tokens' | 'sketch'>>();
/** What tells a run from another. Kept: a page writes its address at every turn of the reader's hand, and a run does not change. */
function markOf(main: Probe): Pick<ProbeLink, 'tokens' | 'sketch'> {
  const known = marks.get(main);
  if (known) return known;
  const sketch = sketchProbe(main);
  const mark = { tokens: tokensHash(main.tokens.filter((t) => t.group !== 'answer')), ...(sketch ? { sketch } : {}) };
  marks.set(main, mark);
  return mark;
}

/** The link that asks the same again, in the same view: of one model's probes, the asked one first, and of another's beside it. */
export function linkOfRuns([main, ...others]: [Probe, ...Probe[]], b: Probe | null, view: ViewState): ProbeLink {
  const ask = linkAsk(main.ask);
  // a text of one's own is asked in no other language than English, and travels with that wording
  const english = ask?.kind === 'text' ? others.find((p) => !('item' in p.ask) && p.ask.questionLanguage === 'en')?.ask : undefined;
  const languages = english ? [] : others.flatMap((p) => p.ask.questionLanguage ?? []);
  return {
    version: 1,
    ask: ask?.kind === 'text' && english && !('item' in english) ? { ...ask, english: english.question } : ask,
    ...modelsOf(main, b),
    ...(languages.length > 0 ? { languages } : {}),
    ...markOf(main),
    view,
  };
}

export function linkOfRecord({ runs, view }: LabRecord): ProbeLink {
  const [main, ...others] = runs.filter((r) => r.slot === 'A').map((r) => r.probe);
  const b = runs.find((r) => r.slot === 'B')?.probe ?? null;
  return main ? linkOfRuns([main, ...others], b, view) : { version: 1, ask: null, models: [], view };
}
