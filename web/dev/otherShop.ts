/** Another shop, whose sales the simulated gateway has read from Kafka. */
import type { Delivery, Order, Payment, Stats, Whereabouts } from '../src/lib/api/types';
import { createHistory } from './history';
import { address, createRandom, customer, id, lines, summaryOf, totalOf, type Random } from './shop';
import { DeviceTable, TILLS } from './tills';
import { Totals } from './totals';

/** The sales of one shop, which the API's lists are built from. */
export type Sales = {
  readonly orders: readonly Order[];
  readonly payments: readonly Payment[];
  readonly deliveries: readonly Delivery[];
  stats(): Stats;
};

export const noSales: Sales = { orders: [], payments: [], deliveries: [], stats: () => new Totals().stats() };

export class OtherShop implements Sales {
  /** Newest first. */
  readonly orders: Order[] = [];
  readonly payments: Payment[] = [];
  readonly deliveries: Delivery[] = [];
  readonly #store: string;
  readonly #random: Random;
  readonly #totals = new Totals();
  readonly #devices: DeviceTable;
  #row = 0;

  constructor({ store, seed, now }: { store: string; seed: number; now: number }) {
    this.#store = store;
    this.#random = createRandom(seed);
    this.#devices = new DeviceTable(this.#random, store);
    createHistory({
      store,
      random: this.#random,
      now,
      totals: this.#totals,
      devices: this.#devices,
      orders: this.orders,
      payments: this.payments,
      deliveries: this.deliveries,
      nameEvent: (device) => this.#nameEvent(device),
      nextRow: () => (this.#row += 1),
    });
  }

  stats(): Stats {
    return this.#totals.stats();
  }

  /** Makes a sale at one of the shop's tills. */
  sell(now: number): void {
    const device = TILLS[0] ?? '';
    const buyer = customer(this.#random);
    const basket = lines(this.#random);
    this.#row += 1;
    const order: Order = {
      order_id: id(this.#random, 'o'),
      customer_name: buyer.name,
      product: summaryOf(basket),
      lines: basket,
      amount: totalOf(basket),
      currency: 'EUR',
      status: 'Pending',
      address: address(this.#random),
      timestamp: new Date(now).toISOString(),
      store: this.#store,
      device,
      ...this.#nameEvent(device),
      row: this.#row,
    };
    this.orders.unshift(order);
    this.#totals.count('order', order);
  }

  #nameEvent(device: string): Whereabouts {
    return { ce_id: this.#devices.nextEvent(device), origin: 'kafka', confirmed: true };
  }
}
