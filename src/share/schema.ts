/** Checks plain data against the part of JSON Schema (2020-12) that the lab's own schemas use. Pure; finds the first ten faults. */

export interface Schema {
  [keyword: string]: unknown;
}

/** Every keyword understood here; a test holds the published schemas to it, so that none is silently unchecked. */
export const KEYWORDS = ['$schema', '$id', '$defs', '$ref', 'title', 'description', 'type', 'const', 'enum', 'required', 'properties', 'additionalProperties', 'items', 'minItems', 'maxItems', 'minimum', 'maximum', 'pattern', 'anyOf'];

const typeOf = (v: unknown): string => (v === null ? 'null' : Array.isArray(v) ? 'array' : typeof v);

export function validate(data: unknown, root: Schema): string[] {
  const faults: string[] = [];
  check(data, root, root, '', faults);
  return faults.slice(0, 10);
}

function check(data: unknown, s: Schema, root: Schema, path: string, faults: string[]): void {
  if (faults.length >= 10) return;
  const say = (what: string): void => void faults.push(`${path || 'the record'}: ${what}`);
  if (typeof s.$ref === 'string') {
    const target = (root.$defs as Record<string, Schema> | undefined)?.[s.$ref.replace('#/$defs/', '')];
    if (!target) say(`the schema names an unknown part ${s.$ref}`);
    else check(data, target, root, path, faults);
    return;
  }
  if (Array.isArray(s.anyOf)) {
    const options = s.anyOf as Schema[];
    const each = options.map((o) => {
      const f: string[] = [];
      check(data, o, root, path, f);
      return f;
    });
    // the closest option's faults say most
    if (!each.some((f) => f.length === 0)) faults.push(...each.reduce((a, b) => (b.length < a.length ? b : a)));
    return;
  }
  if ('const' in s && data !== s.const) return say(`should be ${JSON.stringify(s.const)}`);
  if (Array.isArray(s.enum) && !s.enum.includes(data)) return say(`should be one of ${s.enum.map((e) => JSON.stringify(e)).join(', ')}`);
  const type = typeOf(data);
  if (s.type !== undefined) {
    const allowed = Array.isArray(s.type) ? (s.type as string[]) : [s.type as string];
    const fits = allowed.some((t) => t === type || (t === 'integer' && Number.isInteger(data)));
    if (!fits) return say(`should be ${allowed.join(' or ')}, is ${type}`);
  }
  if (typeof data === 'number') {
    if (typeof s.minimum === 'number' && data < s.minimum) say(`is below ${s.minimum}`);
    if (typeof s.maximum === 'number' && data > s.maximum) say(`is above ${s.maximum}`);
  }
  if (typeof data === 'string' && typeof s.pattern === 'string' && !new RegExp(s.pattern, 'u').test(data)) say(`does not look as it should (${s.pattern})`);
  if (Array.isArray(data)) {
    if (typeof s.minItems === 'number' && data.length < s.minItems) say(`has fewer than ${s.minItems} entries`);
    if (typeof s.maxItems === 'number' && data.length > s.maxItems) say(`has more than ${s.maxItems} entries`);
    if (s.items) for (let i = 0; i < data.length && faults.length < 10; i++) check(data[i], s.items as Schema, root, `${path}[${i}]`, faults);
    return;
  }
  if (type !== 'object') return;
  const object = data as Record<string, unknown>;
  for (const key of (s.required as string[] | undefined) ?? []) if (!Object.hasOwn(object, key)) say(`“${key}” is missing`);
  const known = (s.properties as Record<string, Schema> | undefined) ?? {};
  for (const key of Object.keys(object)) {
    const at = path === '' ? key : `${path}.${key}`;
    if (Object.hasOwn(known, key)) check(object[key], known[key], root, at, faults);
    else if (typeof s.additionalProperties === 'object' && s.additionalProperties !== null) check(object[key], s.additionalProperties as Schema, root, at, faults);
    else if (s.additionalProperties === false) say(`“${key}” is not known`);
  }
}
