/** Creates a value on first use and keeps it. An Intl formatter takes longer to create than to format a page of rows. */
export function lazy<T>(create: () => T): () => T {
  let value: T | undefined;
  return () => (value ??= create());
}
