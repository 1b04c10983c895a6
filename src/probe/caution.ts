/** What stands on everything that a model which failed its self-test has shown. */
import type { SelfTest } from '../types';

/** null where none of the models failed: a test that was not run is no failure. */
export function cautionOf(models: readonly { title: string; selfTest: SelfTest | null | undefined }[]): string | null {
  const failed = [...new Set(models.filter((m) => m.selfTest?.passed === false).map((m) => m.title))];
  return cautionAbout(failed);
}

export function cautionAbout(failed: readonly string[]): string | null {
  if (failed.length === 0) return null;
  return `${failed.join(' and ')} failed ${failed.length === 1 ? 'its self-test' : 'their self-tests'} on loading: do not trust what is shown here.`;
}
