/** From an answer of a study to its probe on this page: by link where the item ships, as literal text where it does not. */
import { makeLink } from '../../share/link';
import type { StudyDesign } from '../../study/design';
import type { CellResult } from '../../study/result';
import type { Item, ModelRef } from '../../types';
import { model } from '../state/model.svelte';
import { address } from '../state/route.svelte';
import { run } from '../state/run.svelte';
import { view } from '../state/view.svelte';
import { sets } from './sets.svelte';

export async function openProbe(design: StudyDesign, cell: CellResult, item: Item, ref: ModelRef | null): Promise<void> {
  if (!ref) return;
  const { contextLanguage, questionLanguage } = cell;
  if (sets.shipped.length === 0) await sets.start();
  if (sets.shipped.includes(design.set.name)) {
    const link = makeLink({ version: 1, ask: { kind: 'item', set: design.set.name, item: item.id, contextLanguage, questionLanguage }, models: [ref], view: { tab: 'prompt' } }, address());
    if (link.ok) {
      location.hash = link.value.slice(link.value.indexOf('#'));
      show();
      return;
    }
  }
  view.mode = 'text';
  view.contextLanguage = contextLanguage;
  view.questionLanguage = questionLanguage;
  const text = { context: item.context[contextLanguage] ?? '', question: item.question[questionLanguage] ?? '' };
  const answer = item.answer[contextLanguage];
  view.text = { ...text };
  view.gold = answer ? { ...text, answer } : null;
  view.english = item.question.en ?? '';
  view.tab = 'prompt';
  show();
  if (model.loaded?.ref.id !== ref.id || (ref.dtype && ref.dtype !== model.loaded.dtype)) await model.load(ref);
  if (model.loaded) await run.go();
}

const show = (): void => document.getElementById('inside')?.scrollIntoView();
