/** What the page of a day shows of its figures. Pure functions. */
import type { HourTakings, ProductSales, ShopDay } from '../api/types';
import { addUp } from '../order/sums';

/** Nothing happened, not even something that failed. */
export function isQuiet({ takings, orders, by_product, other_currencies }: ShopDay): boolean {
  const counts = [takings.payments, takings.refunds, takings.failed, orders.orders, orders.cancelled];
  return counts.every((count) => count === 0) && by_product.length === 0 && other_currencies.length === 0;
}

const HOUR_MS = 3_600_000;
/** More is not a day. */
const MAX_HOURS = 30;

/** From the first hour with payments to the last, with those between that have none. */
export function fillHours(hours: readonly HourTakings[]): HourTakings[] {
  const known = new Map(hours.map((hour) => [Date.parse(hour.hour), hour]));
  const times = [...known.keys()].sort((a, b) => a - b);
  const [first, last] = [times[0], times.at(-1)];
  if (first === undefined || last === undefined || (last - first) / HOUR_MS > MAX_HOURS) return [...hours];
  const filled: HourTakings[] = [];
  for (let at = first; at <= last; at += HOUR_MS) {
    filled.push(known.get(at) ?? { hour: new Date(at).toISOString(), payments: 0, net: 0 });
  }
  // A time zone whose offset changes by half an hour.
  return filled.length >= hours.length && times.every((at) => (at - first) % HOUR_MS === 0) ? filled : [...hours];
}

/** The width of each bar, 0 to 1. */
export function barWidths(values: readonly number[]): number[] {
  const most = Math.max(0, ...values.map(Math.abs));
  return values.map((value) => (most === 0 ? 0 : Math.abs(value) / most));
}

/** Without accents and capitals, as people search. */
const plain = (text: string) =>
  text.normalize('NFD').replace(/\p{M}/gu, '').replace(/œ/gi, 'oe').replace(/[’']/g, "'").toLowerCase();

export type ShownProducts = {
  rows: readonly ProductSales[];
  /** Those that are not shown, together. `null` if there are none, or while somebody searches. */
  others: { products: number; amount: number } | null;
};

/** The products that match every word of the search, or the best `limit`. */
export function selectProducts(
  { by_product, other_products }: Pick<ShopDay, 'by_product' | 'other_products'>,
  { search, limit, decimals }: { search: string; limit: number; decimals: number },
): ShownProducts {
  const wanted = plain(search).split(/\s+/).filter(Boolean);
  if (wanted.length > 0) {
    const matches = (name: string) => wanted.every((word) => plain(name).includes(word));
    return { rows: by_product.filter(({ product }) => matches(product)), others: null };
  }
  const rest = by_product.slice(limit);
  const others = {
    products: rest.length + other_products.products,
    amount: addUp([...rest.map(({ amount }) => amount), other_products.amount], decimals),
  };
  return { rows: by_product.slice(0, limit), others: others.products === 0 ? null : others };
}

type Takings = { payments: number; refunded: number; net: number };

/** The first rows, and the sum of the others: a printed page has room for so many tills only. */
export function foldRows<T extends Takings>(
  rows: readonly T[],
  limit: number,
  decimals: number,
): { rows: readonly T[]; others: (Takings & { count: number }) | null } {
  if (rows.length <= limit) return { rows, others: null };
  const rest = rows.slice(limit);
  const sum = (value: (row: T) => number) => addUp(rest.map(value), decimals);
  const others = {
    count: rest.length,
    payments: rest.reduce((count, { payments }) => count + payments, 0),
    refunded: sum(({ refunded }) => refunded),
    net: sum(({ net }) => net),
  };
  return { rows: rows.slice(0, limit), others };
}
