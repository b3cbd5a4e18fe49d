/** Collects the changes since the last tick, for the browsers. */
import type { Batch, Kind, Stats, GatewayStatus, Confirmed } from '../src/lib/api/types';
import type { Item } from '../src/lib/live/reducer';

/** As many as the real gateway sends in `initial_data`. */
export const LIST_LENGTH = 50;

const emptyBatch = (): Batch => ({
  orders: [],
  payments: [],
  deliveries: [],
  confirmed: [],
  stats: null,
  gateway: null,
});

/** Keeps only items among the latest 50, as the real gateway does. */
function onlyListed<T extends Item>(changed: T[], all: readonly T[]): T[] {
  const oldest = all[LIST_LENGTH - 1]?.row ?? 0;
  return changed.filter(({ row }) => (row ?? 0) >= oldest).slice(-LIST_LENGTH);
}

type Lists = Pick<Readonly<Batch>, 'orders' | 'payments' | 'deliveries'>;

export class ChangeSet {
  #batch = emptyBatch();

  add(kind: Kind, item: Item): void {
    const { orders, payments, deliveries } = this.#batch;
    const list = kind === 'order' ? orders : kind === 'payment' ? payments : deliveries;
    (list as Item[]).push(item);
  }

  addConfirmed(confirmed: Confirmed): void {
    this.#batch.confirmed.push(confirmed);
  }

  setStatus(status: GatewayStatus): void {
    this.#batch.gateway = status;
  }

  /** The changes since the last call, or `null` if there are none. */
  take(all: Lists, stats: () => Stats, status: () => GatewayStatus): Batch | null {
    const { orders, payments, deliveries, confirmed, gateway } = this.#batch;
    if (orders.length + payments.length + deliveries.length + confirmed.length === 0 && !gateway) return null;
    this.#batch = emptyBatch();
    return {
      orders: onlyListed(orders, all.orders),
      payments: onlyListed(payments, all.payments),
      deliveries: onlyListed(deliveries, all.deliveries),
      confirmed: confirmed.slice(-3 * LIST_LENGTH),
      stats: stats(),
      gateway: status(),
    };
  }
}
