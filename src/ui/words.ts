/** Words of the page that more than one component needs. */
import type { Language, Phase, Scenario, SelfTest, TokenGroup } from '../types';

export { many } from '../charts/text';

export const LANGUAGE_NAMES: Record<Language, { own: string; english: string }> = {
  en: { own: 'English', english: 'English' },
  de: { own: 'Deutsch', english: 'German' },
  es: { own: 'Español', english: 'Spanish' },
  vi: { own: 'Tiếng Việt', english: 'Vietnamese' },
  zh: { own: '中文', english: 'Chinese' },
  hi: { own: 'हिन्दी', english: 'Hindi' },
  ar: { own: 'العربية', english: 'Arabic' },
  el: { own: 'Ελληνικά', english: 'Greek' },
  ro: { own: 'Română', english: 'Romanian' },
  ru: { own: 'Русский', english: 'Russian' },
  th: { own: 'ไทย', english: 'Thai' },
  tr: { own: 'Türkçe', english: 'Turkish' },
};

/** The badge of a loaded model. The comparison of devices is an extra: nothing is missing without it. */
export function badgeOf({ passed, checks }: SelfTest): string {
  if (!passed) return '✗ failed its test';
  return checks.some((c) => c.passed === null && c.name !== 'webgpu-equals-wasm') ? '✓ tested in part' : '✓ tested';
}

export const english = (l: Language): string => LANGUAGE_NAMES[l].english;

export const GROUP_NAMES: Record<TokenGroup, string> = {
  template: 'Template',
  context: 'Context',
  answerSpan: 'Answer span',
  question: 'Question',
  readout: 'Readout',
  answer: 'Generated answer',
};

export const GROUP_MEANINGS: Record<TokenGroup, string> = {
  template: 'what the chat format adds around the text',
  context: 'the passage, without the answer span',
  answerSpan: 'the place in the passage that answers the question',
  question: 'the question’s tokens',
  readout: 'the prompt’s last position, from which the first answer token is read',
  answer: 'what the model wrote',
};

export function scenarioName(s: Scenario, context: Language, question: Language): string {
  const c = english(context);
  const q = english(question);
  switch (s) {
    case 'en-en':
      return 'everything in English';
    case 'en-x':
      return `English passage, ${q} question`;
    case 'x-x':
      return `passage and question in ${c}`;
    case 'x-en':
      return `${c} passage, English question`;
    case 'x-y':
      return `${c} passage, ${q} question`;
  }
}

export const PHASE_NAMES: Record<Phase, string> = {
  resolve: 'Finding the files',
  download: 'Downloading',
  prepare: 'Preparing the graph',
  compile: 'Compiling',
  'warm-up': 'Warming up',
  'self-test': 'Testing itself',
  run: 'Running',
  done: 'Ready',
};

export function bytes(n: number): string {
  if (n < 1000) return `${n} B`;
  if (n < 1e6) return `${(n / 1e3).toFixed(0)} kB`;
  if (n < 1e9) return `${(n / 1e6).toFixed(1)} MB`;
  return `${(n / 1e9).toFixed(2)} GB`;
}
