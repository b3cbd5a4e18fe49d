import type { Messages } from './i18n/en';

/** Names a field of an event in the reader's language. `path` is as in `lines[2].unit_price`. */
export function fieldName(path: string, m: Messages): string {
  const [, index, name = path] = /^lines\[(\d+)\](?:\.(\w+))?$/.exec(path) ?? [];
  // A field of a newer gateway keeps its own name.
  const label = m.field[index !== undefined && name === path ? 'lines' : name] ?? name;
  return index === undefined ? label : m.fieldOfLine(label, Number(index) + 1);
}
