/** Times in the reader's language that only the office's page shows. `Formats` has all others. */
import { lazy } from '../../src/lib/i18n/lazy';

export type Ages = ReturnType<typeof createAges>;

export function createAges(locale: string) {
  const relative = lazy(() => new Intl.RelativeTimeFormat(locale, { style: 'short', numeric: 'always' }));
  const short = lazy(() => new Intl.DateTimeFormat(locale, { dateStyle: 'short', timeStyle: 'short' }));
  const exact = lazy(() => new Intl.DateTimeFormat(locale, { dateStyle: 'long', timeStyle: 'medium' }));
  const format = (iso: string, formatter: () => Intl.DateTimeFormat): string => {
    const at = new Date(iso);
    return Number.isNaN(at.getTime()) ? iso : formatter().format(at);
  };
  return {
    /** "12 sec ago", "3 min ago", "2 days ago": the largest unit. */
    ago: (ms: number): string => {
      const s = Math.max(0, Math.floor(ms / 1000));
      if (s < 60) return relative().format(-s, 'second');
      if (s < 3600) return relative().format(-Math.floor(s / 60), 'minute');
      if (s < 86_400) return relative().format(-Math.floor(s / 3600), 'hour');
      return relative().format(-Math.floor(s / 86_400), 'day');
    },
    /** The whole date and the time with seconds. */
    exact: (iso: string): string => format(iso, exact),
    /** "16/03/2026 16:39": sales of all years are in one column. */
    short: (iso: string): string => format(iso, short),
  };
}
