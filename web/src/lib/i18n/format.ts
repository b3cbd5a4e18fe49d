/** Amounts, dates and numbers in the reader's language and time zone. */
import { once } from './once';

export type Formats = ReturnType<typeof formatsOf>;

export function formatsOf(locale: string) {
  const number = once(() => new Intl.NumberFormat(locale));
  const decimal = once(() => new Intl.NumberFormat(locale, { maximumFractionDigits: 1, minimumFractionDigits: 0 }));
  const percent = once(() => new Intl.NumberFormat(locale, { style: 'percent', maximumFractionDigits: 1 }));
  const change = once(() => new Intl.NumberFormat(locale, { style: 'percent', maximumFractionDigits: 0, signDisplay: 'exceptZero' }));
  const time = once(() => new Intl.DateTimeFormat(locale, { hour: '2-digit', minute: '2-digit', second: '2-digit', hourCycle: 'h23' }));
  const clock = once(() => new Intl.DateTimeFormat(locale, { hour: '2-digit', minute: '2-digit', hourCycle: 'h23' }));
  const day = once(() => new Intl.DateTimeFormat(locale, { weekday: 'short', day: 'numeric', month: 'short' }));
  const today = once(() => new Intl.DateTimeFormat(locale, { weekday: 'long', day: 'numeric', month: 'long' }));
  const hour = once(() => new Intl.DateTimeFormat(locale, { hour: 'numeric', hourCycle: 'h23' }));
  const list = once(() => new Intl.ListFormat(locale, { type: 'unit', style: 'narrow' }));
  const money = new Map<string, Intl.NumberFormat>();
  const unit = new Map<string, Intl.NumberFormat>();

  const moneyOf = (currency: string) => {
    let format = money.get(currency);
    if (!format) money.set(currency, (format = new Intl.NumberFormat(locale, { style: 'currency', currency })));
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
    /** A foreign event may carry no currency, or one that Intl refuses: the shop's own is the best guess. */
    money: (amount: number, currency = 'EUR') => {
      try {
        return moneyOf(currency).format(amount);
      } catch {
        return `${number().format(amount)} ${currency}`;
      }
    },
    clock: (at: Date) => clock().format(at),
    today: (at: Date) => today().format(at),
    hour: (at: Date) => hour().format(at),
    /** Today's as a time, older ones with their day. Empty for what is no date. */
    moment: (iso: string, now = new Date()) => {
      const at = new Date(iso);
      if (Number.isNaN(at.getTime())) return '';
      return sameDay(at, now) ? time().format(at) : `${day().format(at)} ${clock().format(at)}`;
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
