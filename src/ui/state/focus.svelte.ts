/** What a pointer or the keyboard is on right now: lights everywhere, is kept nowhere. */
import { run } from './run.svelte';
import { view } from './view.svelte';

class Focus {
  layer: number | null = $state(null);
  token: number | null = $state(null);
  language: string | null = $state(null);

  litLayer: number = $derived(Math.min(this.layer ?? run.layer, run.layers));
  litToken: number | null = $derived(this.token ?? view.position);
  litLanguage: string | null = $derived(this.language ?? view.language);
}

export const focus = new Focus();
