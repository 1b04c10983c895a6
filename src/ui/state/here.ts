/** The link to what is on show. */
import type { ProbeLink } from '../../share/link';
import { linkAsk, linkOfRuns, modelsOf } from '../../share/link-of';
import { compare } from './compare.svelte';
import { model } from './model.svelte';
import { records } from './records.svelte';
import { run } from './run.svelte';
import { seen } from './seen';

/** @param hide panels left out */
export function here(hide: readonly string[]): ProbeLink {
  const view = { ...seen(), ...(hide.length ? { hide: [...hide] } : {}) };
  const { shown, answer } = run;
  const recording = records.showing;
  // what a model that cannot be looked into answered has no pictures: those that are left are of something else
  if (!shown || (answer && answer !== shown.main.answer)) {
    const asked = answer ? run.asked : run.ask();
    const { loaded } = model;
    return { version: 1, ask: asked && linkAsk(asked), models: loaded ? [{ ...loaded.ref, revision: loaded.provenance.revision, dtype: loaded.dtype }] : [], view };
  }
  // a recording is all there is to it: no model need run
  if (recording) return { version: 1, ask: null, ...(compare.b ? modelsOf(shown.main, compare.b) : { models: [] }), recording, view };
  return linkOfRuns([shown.main, ...shown.others], compare.b, view);
}
