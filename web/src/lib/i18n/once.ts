/** What is made at its first use, and kept: a formatter of Intl takes longer to make than a page of rows to format. */
export function once<T>(make: () => T): () => T {
  let made: T | undefined;
  return () => (made ??= make());
}
