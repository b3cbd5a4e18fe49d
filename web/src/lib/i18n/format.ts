/** Amounts, dates and numbers in the reader's language and time zone. */
import { DECIMALS } from '../api/types';
import { lazy } from './lazy';

export type Formats = ReturnType<typeof createFormats>;

/** `today` returns the current day. If it is reactive, "yesterday" is too. */
export function createFormats(locale: string, today = () => new Date()) {
  const number = lazy(() => new Intl.NumberFormat(locale));
  const percent = lazy(() => new Intl.NumberFormat(locale, { style: 'percent', maximumFractionDigits: 1 }));
  const change = lazy(
    () => new Intl.NumberFormat(locale, { style: 'percent', maximumFractionDigits: 0, signDisplay: 'exceptZero' }),
  );
  const signed = lazy(() => new Intl.NumberFormat(locale, { maximumFractionDigits: 0, signDisplay: 'exceptZero' }));
  const hoursMinutes = { hour: '2-digit', minute: '2-digit', hourCycle: 'h23' } as const;
  const timeWithSeconds = lazy(() => new Intl.DateTimeFormat(locale, { ...hoursMinutes, second: '2-digit' }));
  const time = lazy(() => new Intl.DateTimeFormat(locale, hoursMinutes));
  const day = lazy(() => new Intl.DateTimeFormat(locale, { weekday: 'short', day: 'numeric', month: 'short' }));
  const shortDay = lazy(() => new Intl.DateTimeFormat(locale, { day: '2-digit', month: '2-digit' }));
  const relative = lazy(() => new Intl.RelativeTimeFormat(locale, { numeric: 'auto' }));
  const hour = lazy(() => new Intl.DateTimeFormat(locale, { hour: 'numeric', hourCycle: 'h23' }));
  const list = lazy(() => new Intl.ListFormat(locale, { type: 'unit', style: 'narrow' }));
  const collator = lazy(() => new Intl.Collator(locale));
  const moneyFormats = new Map<string, Intl.NumberFormat>();
  const unitFormats = new Map<string, Intl.NumberFormat>();

  /** From ISO 4217, as in the gateway. Browsers have other decimals for some currencies, and would round amounts. */
  const decimals = (currency: string) => DECIMALS[currency] ?? 2;

  /** @throws RangeError if `currency` is not three letters. */
  const moneyFormat = (currency: string) => {
    let format = moneyFormats.get(currency);
    if (!format) {
      const digits = decimals(currency);
      format = new Intl.NumberFormat(locale, {
        style: 'currency',
        currency,
        minimumFractionDigits: digits,
        maximumFractionDigits: digits,
      });
      moneyFormats.set(currency, format);
    }
    return format;
  };

  const formatUnit = (value: number, unit: string, unitDisplay: 'narrow' | 'short' = 'short') => {
    let format = unitFormats.get(unit + unitDisplay);
    if (!format) {
      format = new Intl.NumberFormat(locale, { style: 'unit', unit, unitDisplay, maximumFractionDigits: 1 });
      unitFormats.set(unit + unitDisplay, format);
    }
    return format.format(value);
  };

  const isSameDay = (a: Date, b: Date) => a.toDateString() === b.toDateString();

  return {
    number: (n: number) => number().format(n),
    /** A dash stands for an unknown number. */
    count: (n: number | undefined) => (n === undefined ? '–' : number().format(n)),
    /** Compares names as a dictionary does: accents and capitals count last. */
    compare: (a: string, b: string) => collator().compare(a, b),
    /** Formats a ratio: 0.5 is 50 %. */
    percent: (ratio: number) => percent().format(ratio),
    change: (ratio: number) => change().format(ratio),
    signed: (n: number) => signed().format(n),
    decimals,
    /** An event from outside may have a currency that Intl rejects: its code follows the number. */
    money: (amount: number, currency = 'EUR') => {
      if (!Number.isFinite(amount)) return '–';
      // Intl would show -0 as "-0.00".
      const value = amount === 0 ? 0 : amount;
      try {
        return moneyFormat(currency).format(value);
      } catch {
        return `${number().format(value)}\u00a0${currency}`;
      }
    },
    signedMoney: (amount: number, currency = 'EUR') => (amount > 0 ? '+' : '') + moneyFormat(currency).format(amount),
    symbol: (currency: string) => {
      try {
        const parts = moneyFormat(currency).formatToParts(0);
        return parts.find((part) => part.type === 'currency')?.value ?? currency;
      } catch {
        return currency;
      }
    },
    /** An amount for an input field: no symbol, no grouping. */
    amountInput: (amount: number, currency: string) => {
      const digits = decimals(currency);
      return new Intl.NumberFormat(locale, {
        useGrouping: false,
        minimumFractionDigits: digits,
        maximumFractionDigits: digits,
      }).format(amount);
    },
    time: (at: Date) => time().format(at),
    hour: (at: Date) => hour().format(at),
    /** "16:39:58", "yesterday 23:58" or "15/03 23:58": short enough for a column. Empty for an invalid date. */
    moment: (iso: string) => {
      const at = new Date(iso);
      if (Number.isNaN(at.getTime())) return '';
      const now = today();
      if (isSameDay(at, now)) return timeWithSeconds().format(at);
      const yesterday = new Date(now.getFullYear(), now.getMonth(), now.getDate() - 1);
      const dayName = isSameDay(at, yesterday) ? relative().format(-1, 'day') : shortDay().format(at);
      return `${dayName} ${time().format(at)}`;
    },
    /** Formats a calendar day (YYYY-MM-DD). It is not an instant, so it must not shift with the time zone. */
    day: (date: string) => {
      const at = new Date(`${date}T12:00:00`);
      return Number.isNaN(at.getTime()) ? date : day().format(at);
    },
    bytes: (count: number) => {
      const units = ['byte', 'kilobyte', 'megabyte', 'gigabyte', 'terabyte'];
      let value = count;
      let step = 0;
      while (value >= 1000 && step < units.length - 1) {
        value /= 1000;
        step += 1;
      }
      // English has the whole word "byte" as the short form; the narrow form lacks the space.
      if (step === 0) return formatUnit(value, 'byte', 'narrow').replace(/(\d)(\D*)$/, '$1\u00a0$2');
      return formatUnit(value, units[step] ?? 'byte');
    },
    /** "2 d 4 h", "3 min", "12 s": the two largest units. */
    duration: (ms: number) => {
      const s = Math.max(0, Math.floor(ms / 1000));
      const parts: [number, string][] = [
        [Math.floor(s / 86400), 'day'],
        [Math.floor(s / 3600) % 24, 'hour'],
        [Math.floor(s / 60) % 60, 'minute'],
        [s % 60, 'second'],
      ];
      const first = parts.findIndex(([n]) => n > 0);
      if (first < 0) return formatUnit(0, 'second');
      // Minutes stand alone: seconds beside them would only flicker.
      const shown = parts.slice(first, first + (first === 2 ? 1 : 2)).filter(([n]) => n > 0);
      return list().format(shown.map(([n, unit]) => formatUnit(n, unit)));
    },
  };
}
