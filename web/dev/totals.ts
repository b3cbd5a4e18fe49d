/** The simulated shop's totals since its first sale, and by the hour. */
import type { Hour, Kind, Payment, Stats } from '../src/lib/api/types';
import type { Item } from '../src/lib/live/reducer';

export const HOUR_MS = 3_600_000;

export type PerQuarter = [number, number, number, number];
const noQuarters = (): Hour['quarters'] => ({
  orders: [0, 0, 0, 0],
  success_payments: [0, 0, 0, 0],
  failed_payments: [0, 0, 0, 0],
  deliveries: [0, 0, 0, 0],
  revenue: [0, 0, 0, 0],
});

export class Totals {
  readonly #hours = new Map<number, Hour>();
  readonly #total = { orders: 0, good: 0, bad: 0, deliveries: 0, cents: 0 };

  get storedEvents(): number {
    return this.#total.orders + this.#total.good + this.#total.bad + this.#total.deliveries;
  }

  stats(): Stats {
    const { orders, good, bad, deliveries, cents } = this.#total;
    return {
      total_orders: orders,
      total_payments: good + bad,
      success_payments: good,
      failed_payments: bad,
      total_deliveries: deliveries,
      total_revenue: cents / 100,
      currency: 'EUR',
      payment_success_rate: good + bad === 0 ? 0 : Math.round((good / (good + bad)) * 10_000) / 100,
      orders_per_hour: [...this.#hours.values()].sort((a, b) => (a.hour < b.hour ? -1 : 1)),
    };
  }

  /** Counts a new item. */
  count(kind: Kind, item: Item): void {
    const at = Date.parse(item.timestamp);
    const hour = this.#hourOf(at);
    const quarter = Math.floor(at / (HOUR_MS / 4)) % 4;
    const add = (what: 'orders' | 'success_payments' | 'failed_payments' | 'deliveries') => {
      hour[what] += 1;
      hour.quarters[what][quarter] = (hour.quarters[what][quarter] ?? 0) + 1;
    };
    if (kind === 'order') {
      this.#total.orders += 1;
      return add('orders');
    }
    if (kind === 'delivery') {
      this.#total.deliveries += 1;
      return add('deliveries');
    }
    const payment = item as Payment;
    const good = payment.status === 'SUCCESS';
    this.#total[good ? 'good' : 'bad'] += 1;
    add(good ? 'success_payments' : 'failed_payments');
    const cents = good ? Math.round(payment.amount * 100) : 0;
    this.#total.cents += cents;
    hour.revenue = (Math.round(hour.revenue * 100) + cents) / 100;
    hour.quarters.revenue[quarter] = (Math.round((hour.quarters.revenue[quarter] ?? 0) * 100) + cents) / 100;
  }

  /** Adds a whole past hour. */
  addHour(at: number, past: Omit<Hour, 'hour'>): void {
    Object.assign(this.#hourOf(at), past);
    this.#total.orders += past.orders;
    this.#total.good += past.success_payments;
    this.#total.bad += past.failed_payments;
    this.#total.cents += Math.round(past.revenue * 100);
    this.#total.deliveries += past.deliveries;
  }

  #hourOf(at: number): Hour {
    const start = Math.floor(at / HOUR_MS) * HOUR_MS;
    let hour = this.#hours.get(start);
    if (!hour) {
      hour = {
        hour: new Date(start).toISOString(),
        orders: 0,
        success_payments: 0,
        failed_payments: 0,
        deliveries: 0,
        revenue: 0,
        quarters: noQuarters(),
      };
      this.#hours.set(start, hour);
    }
    return hour;
  }
}
