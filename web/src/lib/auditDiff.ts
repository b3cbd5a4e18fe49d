/** The fields in which an audit entry's `before` and `after` differ, as flat paths such as `lines[0].product`. */
export type FieldChange = { path: string; before: unknown; after: unknown };

type Fields = Record<string, unknown> | null;

export function diffFields(before: Fields, after: Fields): FieldChange[] {
  const [old, current] = [flatten(before ?? {}), flatten(after ?? {})];
  return [...new Set([...old.keys(), ...current.keys()])]
    .map((path) => ({ path, before: old.get(path), after: current.get(path) }))
    .filter((change) => change.before !== change.after);
}

/** A list of names is one value: its items have no position of their own. */
const isWordList = (value: unknown): value is string[] =>
  Array.isArray(value) && value.length > 0 && value.every((item) => typeof item === 'string');

function flatten(value: object, prefix = ''): Map<string, unknown> {
  const fields = new Map<string, unknown>();
  for (const [key, child] of Object.entries(value) as [string, unknown][]) {
    const path = Array.isArray(value) ? `${prefix}[${key}]` : prefix === '' ? key : `${prefix}.${key}`;
    if (isWordList(child)) fields.set(path, child.join(', '));
    else if (typeof child === 'object' && child !== null)
      flatten(child, path).forEach((leaf, p) => fields.set(p, leaf));
    else fields.set(path, child);
  }
  return fields;
}
