/** An option that is accepted and ignored lets a reader believe in a measurement that was not made: unknown ones are refused by name. */
import { LabError } from './runtime/errors';

/** The names of an options type, each once; one that the type does not have, or one left out, does not compile. */
export type Names<T> = Record<keyof T, true>;

/** @throws LabError 'bad-input' */
export function refuseUnknown(call: string, options: object, names: Readonly<Record<string, true>>): void {
  const unknown = Object.keys(options).find((name) => !Object.hasOwn(names, name));
  if (unknown !== undefined) throw new LabError('bad-input', `${call} has no option “${unknown}”.`, `There are ${Object.keys(names).join(', ')}.`);
}
