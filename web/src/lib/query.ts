/** Query strings without `?`. */

/** All values of a parameter, which may occur several times. */
export const valuesOf = (query: string, name: string): string[] => new URLSearchParams(query).getAll(name);

/** Other values of one parameter. The others are kept. */
export function withValues(query: string, name: string, values: readonly string[]): string {
  const others = [...new URLSearchParams(query)].filter(([known]) => known !== name);
  return new URLSearchParams([...others, ...values.map((value) => [name, value])]).toString();
}
