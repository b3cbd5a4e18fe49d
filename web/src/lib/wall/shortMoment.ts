import type { Formats } from '../i18n/format';

/** "16:40", or "yesterday 23:58": the seconds of today's times would only flicker. `today` is today's midnight. */
export const shortMoment = (at: Date, f: Formats, today: number): string =>
  at.getTime() >= today ? f.time(at) : f.moment(at.toISOString());
