/** Calendar days, and times in the shop's time zone. A calendar day is `YYYY-MM-DD`. */

/** The day exists: 30 February does not. */
export function isDay(text: string): boolean {
  if (!/^\d{4}-\d{2}-\d{2}$/.test(text)) return false;
  const at = new Date(`${text}T00:00:00Z`);
  return !Number.isNaN(at.getTime()) && at.toISOString().startsWith(text);
}

export function addDays(day: string, count: number): string {
  const at = new Date(`${day}T00:00:00Z`);
  at.setUTCDate(at.getUTCDate() + count);
  return at.toISOString().slice(0, 10);
}

export const browserZone = (): string => new Intl.DateTimeFormat().resolvedOptions().timeZone;

/** The time zone, if this browser knows it, or UTC. */
export function knownZone(zone: string): string {
  try {
    return new Intl.DateTimeFormat('en', { timeZone: zone }).resolvedOptions().timeZone;
  } catch {
    return 'UTC';
  }
}

/** The calendar day of an instant. */
export function dayIn(zone: string, at: Date): string {
  const parts = new Intl.DateTimeFormat('en-US', {
    timeZone: zone,
    calendar: 'iso8601',
    numberingSystem: 'latn',
    year: 'numeric',
    month: '2-digit',
    day: '2-digit',
  }).formatToParts(at);
  const part = (type: string) => parts.find((known) => known.type === type)?.value ?? '';
  return `${part('year').padStart(4, '0')}-${part('month')}-${part('day')}`;
}

/** Clocks in the two zones show the same time, all day long. */
export function hasSameClock(zone: string, other: string, instants: readonly string[]): boolean {
  const clock = (timeZone: string) => {
    const format = new Intl.DateTimeFormat('en-GB', { timeZone, dateStyle: 'short', timeStyle: 'short' });
    return instants.map((instant) => format.format(new Date(instant))).join();
  };
  return zone === other || clock(zone) === clock(other);
}

/** Formats in the reader's language and the shop's time zone. */
export function dayFormats(locale: string, zone: string) {
  const words = new Intl.DateTimeFormat(locale, { timeZone: 'UTC', dateStyle: 'full' });
  const time = new Intl.DateTimeFormat(locale, {
    timeZone: zone,
    hour: '2-digit',
    minute: '2-digit',
    hourCycle: 'h23',
  });
  const exact = new Intl.DateTimeFormat(locale, {
    timeZone: zone,
    dateStyle: 'medium',
    timeStyle: 'short',
    hourCycle: 'h23',
  });
  return {
    /** "Monday 16 March 2026". */
    day: (day: string) => words.format(new Date(`${day}T12:00:00Z`)),
    time: (at: Date) => time.format(at),
    dateTime: (at: Date) => exact.format(at),
  };
}
