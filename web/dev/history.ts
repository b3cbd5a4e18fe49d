/** Three days of sales before the simulator starts. All are in the totals; the latest are also rows. */
import type { BacklogPoint, Delivery, Order, Payment, Whereabouts } from '../src/lib/api/types';
import { address, BUSY, customer, id, lines, method, pick, summaryOf, totalOf, type Random } from './shop';
import { TILLS, type DeviceTable } from './tills';
import { HOUR_MS, type PerQuarter, type Totals } from './totals';

const HOURS = 60;
const ROWS = 140;
/** Of which a part is refunded. */
const REFUNDED_ROWS = [5, 21, 60];

type Shop = {
  store: string;
  random: Random;
  now: number;
  totals: Totals;
  devices: DeviceTable;
  orders: Order[];
  payments: Payment[];
  deliveries: Delivery[];
  nameEvent: (device: string) => Whereabouts;
  nextRow: () => number;
};

const iso = (at: number) => new Date(at).toISOString();

export function createHistory(shop: Shop): void {
  countHours(shop);
  createRows(shop);
}

function countHours({ random, now, totals }: Shop): void {
  const start = Math.floor(now / HOUR_MS) * HOUR_MS;
  for (let back = HOURS; back >= 0; back -= 1) {
    const at = start - back * HOUR_MS;
    const share = back === 0 ? (now - start) / HOUR_MS : 1;
    const growth = back > 24 ? 0.9 : 1.02;
    const sold = Math.round((BUSY[new Date(at).getHours()] ?? 1) * growth * share * (0.82 + random() * 0.36));
    const failed = Math.round(sold * 0.08 * random() * 1.6);
    const cents = Math.round((sold - failed) * (4200 + random() * 2600));
    const delivered = Math.round(sold * 0.44);
    // Counts are spread evenly over the hour's quarters; in the current hour, over the quarters that have begun.
    const begun = back === 0 ? Math.floor((now - start) / (HOUR_MS / 4)) + 1 : 4;
    const spread = (count: number) =>
      [0, 1, 2, 3].map((i) =>
        i < begun ? Math.floor((count * (i + 1)) / begun) - Math.floor((count * i) / begun) : 0,
      ) as PerQuarter;
    totals.addHour(at, {
      orders: sold,
      success_payments: sold - failed,
      failed_payments: failed,
      deliveries: delivered,
      revenue: cents / 100,
      quarters: {
        orders: spread(sold),
        success_payments: spread(sold - failed),
        failed_payments: spread(failed),
        deliveries: spread(delivered),
        revenue: spread(cents).map((c) => c / 100) as PerQuarter,
      },
    });
  }
}

/** The totals already include these rows. */
function createRows({ store, random, now, devices, orders, payments, deliveries, nameEvent, nextRow }: Shop): void {
  for (let i = ROWS; i > 0; i -= 1) {
    const device = pick(random, TILLS);
    const at = now - i * 95_000 - random() * 60_000;
    const stamp = { timestamp: iso(at), store, device };
    const inKafka = () => {
      const where = nameEvent(device);
      devices.confirm(device);
      const partition = Math.floor(random() * 3);
      return { ...where, row: nextRow(), confirmed: true, partition, offset: 4000 + (ROWS - i) * 2 };
    };
    const buyer = customer(random);
    const basket = lines(random);
    const paid = random() < 0.91;
    const where = address(random);
    const order: Order = {
      order_id: id(random, 'o'),
      customer_name: buyer.name,
      customer_email: buyer.email,
      product: summaryOf(basket),
      lines: basket,
      amount: totalOf(basket),
      currency: 'EUR',
      status: !paid ? 'Cancelled' : i < 4 ? 'Processing' : 'Completed',
      address: where,
      ...stamp,
      ...inKafka(),
    };
    orders.unshift(order);
    payments.unshift({
      payment_id: id(random, 'p'),
      order_id: order.order_id,
      amount: order.amount,
      currency: 'EUR',
      method: method(random),
      status: paid ? 'SUCCESS' : 'FAILED',
      ...stamp,
      timestamp: iso(at + 25_000),
      ...inKafka(),
    });
    if (paid && REFUNDED_ROWS.includes(i)) {
      const [payment] = payments as [Payment];
      payments.unshift({
        ...payment,
        payment_id: `p-${order.order_id.slice(2, 10)}${'0'.repeat(23)}1`,
        refund_of: payment.payment_id,
        amount: -Math.round(payment.amount * 50) / 100,
        timestamp: iso(at + 35_000),
        ...nameEvent(device),
        row: nextRow(),
        confirmed: true,
        partition: 1,
        offset: 4001 + (ROWS - i) * 2,
      });
      devices.confirm(device);
    }
    if (!paid || random() < 0.4) continue;
    deliveries.unshift({
      delivery_id: id(random, 'd'),
      order_id: order.order_id,
      address: where,
      status:
        i > 80
          ? 'Delivered'
          : i > 30
            ? pick(random, ['In Transit', 'Delivered', 'In Transit'])
            : pick(random, ['Pending', 'Pending', 'In Transit']),
      estimated_date: iso(now + (i > 80 ? 0 : 1 + Math.floor(random() * 3)) * 24 * HOUR_MS).slice(0, 10),
      ...stamp,
      timestamp: iso(at + 45_000),
      ...inKafka(),
    });
  }
}

/** The last hour's backlog, including ten minutes in which Kafka was unreachable. */
export function createBacklog(random: Random, now: number): BacklogPoint[] {
  const points: BacklogPoint[] = [];
  for (let i = 360; i > 0; i -= 1) {
    const down = i > 150 && i < 215;
    const pending = down
      ? Math.round((215 - i) * 3.1)
      : i <= 150 && i > 147
        ? (i - 147) * 55
        : Math.floor(random() * 3);
    points.push({ at: iso(now - i * 10_000), pending });
  }
  return points;
}
