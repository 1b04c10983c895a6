/** From an answer of a study to its probe on this page: by the link that names its item, model and languages. */
import { makeLink } from '../../share/link';
import { linkAsk } from '../../share/link-of';
import type { StudyDesign } from '../../study/design';
import type { CellResult } from '../../study/result';
import type { Item, ModelRef } from '../../types';
import { address, route } from '../state/route.svelte';

/** The study has loaded its models on the reader's word: none is asked for again. */
export async function openProbe(design: StudyDesign, cell: CellResult, item: Item, ref: ModelRef | null): Promise<void> {
  if (!ref) return;
  const { contextLanguage, questionLanguage } = cell;
  const link = makeLink({ version: 1, ask: linkAsk({ item, set: design.set.name, contextLanguage, questionLanguage, prompt: design.prompt }), models: [ref], view: { tab: 'prompt' } }, address());
  if (!link.ok) return;
  document.getElementById('inside')?.scrollIntoView();
  // what is in the way is said where the reader looks then
  await route.open(link.value, true).catch(() => undefined);
}
