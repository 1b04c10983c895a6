/** The whole state of a view, from all who have a part in it, for links and records; and back. */
import type { ViewState } from '../../share/view';
import { mechanismView } from '../mechanism/on-show.svelte';
import { alignment } from './alignment.svelte';
import { plane } from './plane.svelte';
import { applyViewState, viewState } from './view.svelte';

export const seen = (): ViewState => ({ ...viewState(), ...mechanismView(), ...plane.seen(), ...alignment.seen() });

export function apply(view: ViewState): void {
  applyViewState(view);
  alignment.apply(view);
}
