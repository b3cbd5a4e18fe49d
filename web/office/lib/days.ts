/**
 * Midnight where the reader is, at the beginning of a calendar day (`YYYY-MM-DD`), or so many days later. `null` if it
 * is not a day. A day need not have 24 hours.
 */
export function midnight(day: string, daysLater = 0): string | null {
  if (!isDay(day)) return null;
  const [year = 0, month = 0, date = 0] = day.split('-').map(Number);
  return localMidnight(year, month, date + daysLater).toISOString();
}

/** Whether the calendar has this day, which must be of the form `YYYY-MM-DD`. */
export function isDay(text: string): boolean {
  if (!/^\d{4}-\d\d-\d\d$/.test(text)) return false;
  const [year = 0, month = 0, date = 0] = text.split('-').map(Number);
  const at = localMidnight(year, month, date);
  return at.getMonth() === month - 1 && at.getDate() === date;
}

function localMidnight(year: number, month: number, date: number): Date {
  // The constructor would take the year 26 for 1926.
  const at = new Date(2000, 0, 1);
  at.setFullYear(year, month - 1, date);
  return at;
}
