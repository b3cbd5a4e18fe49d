/** What is compared: as the address of the page has it, and as the API wants it. */
import { compare, type Comparison as Change } from '../../src/lib/stats/days';
import { isDay } from '../lib/days';
import type { Amount, By, Comparison, Sums } from '../lib/types';

export type Choice = {
  by: By;
  /** The first and the last day; empty for the last days until today. */
  from: string;
  to: string;
  /** None are all. */
  stores: readonly string[];
};

export const NO_CHOICE: Choice = { by: 'day', from: '', to: '', stores: [] };

/** The query string of the page, without `?`. */
export function formatChoice({ by, from, to, stores }: Choice): string {
  return formatQuery([
    ['by', by === 'day' ? '' : by],
    ['from', from],
    ['to', to],
    ['store', [...stores].sort().join()],
  ]);
}

/** What is not valid in the address does not count. The server checks the names of shops. */
export function parseChoice(query: string): Choice {
  const parameters = new URLSearchParams(query);
  const day = (name: string) => {
    const text = parameters.get(name) ?? '';
    return isDay(text) ? text : '';
  };
  const stores = (parameters.get('store') ?? '').split(',').filter((store) => store !== '');
  return { by: parameters.get('by') === 'week' ? 'week' : 'day', from: day('from'), to: day('to'), stores };
}

/** The query string of the API, without `?`. */
export function formatApiQuery({ by, from, to, stores }: Choice, timeZone: string): string {
  return formatQuery([
    ['by', by],
    ['since', from],
    // Exclusive: the last day is shown to its end.
    ['until', to === '' ? '' : addDays(to, 1)],
    ['time_zone', timeZone],
    ['store', stores.join()],
  ]);
}

function formatQuery(parameters: [string, string][]): string {
  const set = parameters.filter(([, value]) => value !== '');
  // A comma needs no escaping, and an address is for people, too.
  return new URLSearchParams(set).toString().replaceAll('%2C', ',');
}

/** The calendar day (`YYYY-MM-DD`) so many days later. */
export function addDays(day: string, count: number): string {
  const at = new Date(`${day}T00:00:00Z`);
  at.setUTCDate(at.getUTCDate() + count);
  return at.toISOString().slice(0, 10);
}

/** The amount in this currency; 0 without one. */
export const amountIn = (amounts: readonly Amount[], currency: string): number =>
  amounts.find((amount) => amount.currency === currency)?.amount ?? 0;

/** The currency of most shops, and the first one of those that as many shops have. */
export function mainCurrency({ shops }: Pick<Comparison, 'shops'>): string {
  const counts = new Map<string, number>();
  for (const { total } of shops) {
    const currencies = new Set([...total.now.revenue, ...total.before.revenue].map(({ currency }) => currency));
    for (const currency of currencies) counts.set(currency, (counts.get(currency) ?? 0) + 1);
  }
  const sorted = [...counts].sort(([a, m], [b, n]) => n - m || (a < b ? -1 : 1));
  return sorted[0]?.[0] ?? 'EUR';
}

/** How the revenue in a currency has changed. `decimals` is the precision of the currency. */
export function revenueChange(now: Sums, before: Sums, currency: string, decimals: number): Change {
  return compare(amountIn(now.revenue, currency), amountIn(before.revenue, currency), before.payments, decimals);
}
