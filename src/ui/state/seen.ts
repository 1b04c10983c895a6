/** The whole state of a view, from all who have a part in it, for links and records; and back. */
import type { ViewState } from '../../share/view';
import { mechanismView } from '../mechanism/on-show.svelte';
import { alignment } from './alignment.svelte';
import { plane } from './plane.svelte';
import { applyViewState, viewState } from './view.svelte';

export const seen = (): ViewState => ({ ...viewState(), ...mechanismView(), ...plane.seen(), ...alignment.seen() });

/** @param before the view as it was when what brings this one began: what the reader has changed since stays */
export function apply(view: ViewState, before?: ViewState): void {
  applyViewState(before ? { ...view, ...changed(before, viewState()) } : view);
  alignment.apply(view);
}

function changed(before: ViewState, now: ViewState): ViewState {
  const keys = Object.keys({ ...before, ...now }) as (keyof ViewState)[];
  // a run lets a token go by itself, where its prompt is another
  const different = keys.filter((k) => JSON.stringify(before[k]) !== JSON.stringify(now[k]) && !(k === 'token' && now.token === undefined));
  return Object.fromEntries(different.map((k) => [k, now[k]]));
}
