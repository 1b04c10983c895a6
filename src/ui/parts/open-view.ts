/** From elsewhere on the page to one of the views below: opened, brought into sight, its tab in focus. */
import { tick } from 'svelte';
import { route } from '../state/route.svelte';
import { run } from '../state/run.svelte';
import { view, type Tab } from '../state/view.svelte';

export async function openView(tab: Tab): Promise<void> {
  view.tab = tab;
  if (run.shown?.source === 'live') route.step();
  await tick();
  document.getElementById('panel')?.scrollIntoView();
  document.getElementById(`tab-${tab}`)?.focus({ preventScroll: true });
}
