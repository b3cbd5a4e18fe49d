/** The figures of a simulated office's shops. They follow from the number of the shop and the day. */
import type { Compared, Comparison, ShopComparison, ShopHour, ShopStats, Sums } from '../office/lib/types';
import type { SalesAnswer } from './officeSales';

const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;
/** Of the shop's hours. */
const DAYS = 7;
const NO_QUARTERS = [0, 0, 0, 0] as const;

const json = (status: number, body: object): SalesAnswer => ({
  status,
  type: status >= 400 ? 'application/problem+json' : 'application/json',
  body: JSON.stringify(body),
});

const refuse = (field: string, detail: string) =>
  json(400, { type: 'urn:comptoir:problem:invalid-query', status: 400, detail, field });

const notFound = (store: string) =>
  json(404, { type: 'urn:comptoir:problem:not-found', status: 404, detail: `There is no shop "${store}".` });

const cents = (amount: number) => Math.round(amount * 100) / 100;

/** The orders of a shop in an hour since 1970: from 7 to 18 o'clock UTC, most of them at noon. */
function ordersIn(shop: number, hour: number): number {
  const ofDay = hour % 24;
  if (ofDay < 7 || ofDay > 18) return 0;
  const day = Math.floor(hour / 24);
  return Math.max(0, 9 - Math.abs(12 - ofDay) + (((shop + 3) * (day + 7)) % 5));
}

function createHour(shop: number, hour: number): ShopHour {
  const orders = ordersIn(shop, hour);
  const failed = orders % 4 === 3 ? 1 : 0;
  const revenue = cents(orders * 23.45);
  const first = (value: number): [number, number, number, number] => [value, 0, 0, 0];
  return {
    hour: new Date(hour * HOUR_MS).toISOString(),
    orders,
    success_payments: orders,
    failed_payments: failed,
    deliveries: Math.floor(orders / 3),
    revenue,
    quarters: {
      orders: first(orders),
      success_payments: first(orders),
      failed_payments: first(failed),
      deliveries: first(Math.floor(orders / 3)),
      revenue: orders === 0 ? [...NO_QUARTERS] : first(revenue),
    },
  };
}

export function answerStats(store: string, stores: readonly string[], now: number): SalesAnswer {
  const shop = stores.indexOf(store);
  if (shop < 0) return notFound(store);
  const last = Math.floor(now / HOUR_MS);
  const hours = Array.from({ length: DAYS * 24 }, (_, i) => createHour(shop, last - DAYS * 24 + 1 + i));
  const sold = hours.filter(({ orders }) => orders > 0);
  const sum = (of: (hour: ShopHour) => number) => sold.reduce((total, hour) => total + of(hour), 0);
  const [orders, success, failed] = [
    sum((hour) => hour.orders),
    sum((hour) => hour.success_payments),
    sum((hour) => hour.failed_payments),
  ];
  const revenue = cents(sum((hour) => hour.revenue) * 150);
  return json(200, {
    store,
    total_orders: orders * 150,
    total_payments: (success + failed) * 150,
    success_payments: success * 150,
    failed_payments: failed * 150,
    total_deliveries: sum((hour) => hour.deliveries) * 150,
    total_revenue: revenue,
    currency: 'EUR',
    revenue: [...(shop % 10 === 2 ? [{ amount: 229.4, currency: 'CHF' }] : []), { amount: revenue, currency: 'EUR' }],
    payment_success_rate: Math.round((success / (success + failed)) * 10_000) / 100,
    orders_per_hour: sold,
  } satisfies ShopStats);
}

const noSums = (): Sums => ({ orders: 0, payments: 0, deliveries: 0, revenue: [] });

function add(total: Sums, more: Sums): void {
  total.orders += more.orders;
  total.payments += more.payments;
  total.deliveries += more.deliveries;
  for (const { amount, currency } of more.revenue) {
    const known = total.revenue.find((other) => other.currency === currency);
    if (known) known.amount = cents(known.amount + amount);
    else total.revenue.push({ amount, currency });
  }
}

/** From midnight UTC of `start` on, for so many days, and before `end`. */
function sumDays(shop: number, start: number, days: number, end: number): Sums {
  const total = noSums();
  for (let at = start; at < start + days * DAY_MS && at < end; at += HOUR_MS) {
    const orders = ordersIn(shop, at / HOUR_MS);
    // The second shop has opened this month.
    if (orders === 0 || (shop === 1 && at < Date.parse('2026-03-14'))) continue;
    const revenue = [{ amount: cents(orders * 23.45), currency: shop % 10 === 2 ? 'CHF' : 'EUR' }];
    add(total, { orders, payments: orders, deliveries: Math.floor(orders / 3), revenue });
  }
  return total;
}

const dayOf = (at: number) => new Date(at).toISOString().slice(0, 10);

export function answerComparison({ searchParams }: URL, all: readonly string[], now: number): SalesAnswer {
  const by = searchParams.get('by') === 'week' ? 'week' : 'day';
  const step = by === 'week' ? 7 : 1;
  const monday = (at: number) => at - ((new Date(at).getUTCDay() + 6) % 7) * DAY_MS;
  const begin = (at: number) => (by === 'week' ? monday(at) : at);
  const last = begin(Date.parse(dayOf(now))) + step * DAY_MS;
  const until = searchParams.get('until');
  const end = until === null ? last : Math.min(last, begin(Date.parse(until) - DAY_MS) + step * DAY_MS);
  const since = searchParams.get('since');
  const start = since === null ? end - (by === 'week' ? 28 : 7) * DAY_MS : begin(Date.parse(since));
  const count = (end - start) / DAY_MS / step;
  if (!(count >= 1 && count <= 92)) return refuse('since', 'since: before `until`, and at most 92 days before it');
  const wanted = searchParams.get('store')?.split(',') ?? [...all].sort();
  const unknown = wanted.find((store) => !all.includes(store));
  if (unknown !== undefined) return notFound(unknown);
  const starts = Array.from({ length: count }, (_, i) => start + i * step * DAY_MS);
  const back = count * step * DAY_MS;
  const isPartial = end > now;
  const compareStep = (shop: number, at: number): Compared => ({
    now: sumDays(shop, at, step, now),
    before: sumDays(shop, at - back, step, isPartial && at + step * DAY_MS === end ? now - back : at),
  });
  const total = (steps: readonly Compared[]): Compared => {
    const sum = { now: noSums(), before: noSums() };
    for (const { now, before } of steps) {
      add(sum.now, now);
      add(sum.before, before);
    }
    return sum;
  };
  const shops = wanted.map((store): ShopComparison => {
    const steps = starts.map((at) => compareStep(all.indexOf(store), at));
    return { store, total: total(steps), steps };
  });
  const steps = starts.map((_, i) => total(shops.flatMap((shop) => shop.steps[i] ?? [])));
  return json(200, {
    by,
    time_zone: searchParams.get('time_zone') ?? 'UTC',
    since: dayOf(start),
    until: dayOf(end),
    before: dayOf(start - back),
    starts: starts.map(dayOf),
    is_partial: isPartial,
    shops,
    total: { total: total(steps), steps },
  } satisfies Comparison);
}
