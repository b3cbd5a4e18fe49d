/** Midnight of the day of `now` where the reader is: the sales of the day begin there. `now` is in Unix milliseconds. */
export function startOfDay(now: number): string {
  const at = new Date(now);
  return new Date(at.getFullYear(), at.getMonth(), at.getDate()).toISOString();
}
