/** Amounts, dates and numbers in the reader's language and time zone. */
import { DECIMALS } from '../api/types';
import { once } from './once';

/** Intl throws at a currency that is none. */
function attempt<T>(get: () => T): T | undefined {
  try {
    return get();
  } catch {
    return undefined;
  }
}

export type Formats = ReturnType<typeof formatsOf>;

/** `today`: what is the present day; where it is reactive, "yesterday" is so, too. */
export function formatsOf(locale: string, today = () => new Date()) {
  const number = once(() => new Intl.NumberFormat(locale));
  const decimal = once(() => new Intl.NumberFormat(locale, { maximumFractionDigits: 1, minimumFractionDigits: 0 }));
  const percent = once(() => new Intl.NumberFormat(locale, { style: 'percent', maximumFractionDigits: 1 }));
  const change = once(() => new Intl.NumberFormat(locale, { style: 'percent', maximumFractionDigits: 0, signDisplay: 'exceptZero' }));
  const signed = once(() => new Intl.NumberFormat(locale, { maximumFractionDigits: 0, signDisplay: 'exceptZero' }));
  const time = once(() => new Intl.DateTimeFormat(locale, { hour: '2-digit', minute: '2-digit', second: '2-digit', hourCycle: 'h23' }));
  const clock = once(() => new Intl.DateTimeFormat(locale, { hour: '2-digit', minute: '2-digit', hourCycle: 'h23' }));
  const day = once(() => new Intl.DateTimeFormat(locale, { weekday: 'short', day: 'numeric', month: 'short' }));
  const short = once(() => new Intl.DateTimeFormat(locale, { day: '2-digit', month: '2-digit' }));
  const relative = once(() => new Intl.RelativeTimeFormat(locale, { numeric: 'auto' }));
  const hour = once(() => new Intl.DateTimeFormat(locale, { hour: 'numeric', hourCycle: 'h23' }));
  const list = once(() => new Intl.ListFormat(locale, { type: 'unit', style: 'narrow' }));
  const money = new Map<string, Intl.NumberFormat>();
  const unit = new Map<string, Intl.NumberFormat>();

  /** ISO 4217's, as the gateway counts: browsers know other ones of some currencies, and would show rounded amounts. */
  const decimalsOf = (currency: string) => DECIMALS[currency] ?? 2;
  const moneyOf = (currency: string) => {
    let format = money.get(currency);
    if (!format) {
      const digits = decimalsOf(currency);
      format = new Intl.NumberFormat(locale, { style: 'currency', currency, minimumFractionDigits: digits, maximumFractionDigits: digits });
      money.set(currency, format);
    }
    return format;
  };
  const inUnit = (value: number, name: string, display: 'narrow' | 'short' = 'short') => {
    let format = unit.get(name + display);
    if (!format) {
      format = new Intl.NumberFormat(locale, { style: 'unit', unit: name, unitDisplay: display, maximumFractionDigits: 1 });
      unit.set(name + display, format);
    }
    return format.format(value);
  };
  const sameDay = (a: Date, b: Date) => a.toDateString() === b.toDateString();

  return {
    number: (n: number) => number().format(n),
    decimal: (n: number) => decimal().format(n),
    /** Of a ratio: 0.5 is 50 %. */
    percent: (ratio: number) => percent().format(ratio),
    change: (ratio: number) => change().format(ratio),
    signed: (n: number) => signed().format(n),
    /** A foreign event may carry no currency, or one that Intl refuses: the shop's own is the best guess. */
    money: (amount: number, currency = 'EUR') => {
      if (!Number.isFinite(amount)) return '–';
      // Nothing is owed less than nothing: -0 is 0.
      const plain = amount === 0 ? 0 : amount;
      try {
        return moneyOf(currency).format(plain);
      } catch {
        return `${number().format(plain)} ${currency}`;
      }
    },
    signedMoney: (amount: number, currency = 'EUR') => (amount > 0 ? '+' : '') + moneyOf(currency).format(amount),
    symbol: (currency: string) => attempt(() => moneyOf(currency).formatToParts(0).find((part) => part.type === 'currency')?.value) ?? currency,
    decimals: decimalsOf,
    /** As people type an amount: no symbol, no groups. */
    typed: (amount: number, currency: string) => {
      const digits = decimalsOf(currency);
      return new Intl.NumberFormat(locale, { useGrouping: false, minimumFractionDigits: digits, maximumFractionDigits: digits }).format(amount);
    },
    clock: (at: Date) => clock().format(at),
    hour: (at: Date) => hour().format(at),
    /** "16:39:58", "yesterday 23:58", "15/03 23:58": as short as a column is narrow. Empty for what is no date. */
    moment: (iso: string) => {
      const at = new Date(iso);
      if (Number.isNaN(at.getTime())) return '';
      const now = today();
      if (sameDay(at, now)) return time().format(at);
      const yesterday = new Date(now.getFullYear(), now.getMonth(), now.getDate() - 1);
      return `${sameDay(at, yesterday) ? relative().format(-1, 'day') : short().format(at)} ${clock().format(at)}`;
    },
    /** A calendar day (YYYY-MM-DD) is no instant: it must not shift with the time zone. */
    day: (date: string) => {
      const at = new Date(`${date}T12:00:00`);
      return Number.isNaN(at.getTime()) ? date : day().format(at);
    },
    bytes: (n: number) => {
      const names = ['byte', 'kilobyte', 'megabyte', 'gigabyte', 'terabyte'];
      let step = 0;
      while (n >= 1000 && step < names.length - 1) {
        n /= 1000;
        step += 1;
      }
      // The short form of a byte is the whole word in English; the narrow one lacks the space.
      return step === 0 ? inUnit(n, 'byte', 'narrow').replace(/(\d)(\D*)$/, '$1\u00a0$2') : inUnit(n, names[step] ?? 'byte');
    },
    /** "2 d 4 h", "3 min", "12 s": the two largest units. */
    lasting: (ms: number) => {
      const s = Math.max(0, Math.floor(ms / 1000));
      const parts: [number, string][] = [[Math.floor(s / 86400), 'day'], [Math.floor(s / 3600) % 24, 'hour'], [Math.floor(s / 60) % 60, 'minute'], [s % 60, 'second']];
      const first = parts.findIndex(([n]) => n > 0);
      if (first < 0) return inUnit(0, 'second');
      // Seconds beside hours would only flicker.
      const said = parts.slice(first, first + (first === 2 ? 1 : 2)).filter(([n]) => n > 0);
      return list().format(said.map(([n, name]) => inUnit(n, name)));
    },
  };
}
