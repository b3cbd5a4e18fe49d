/**
 * Midnight of the day of `now` in the reader's time zone, where the day's sales begin. `now` is in Unix milliseconds.
 */
export function startOfDay(now: number): string {
  const at = new Date(now);
  return new Date(at.getFullYear(), at.getMonth(), at.getDate()).toISOString();
}
