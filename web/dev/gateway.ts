/**
 * A simulated gateway: a journal in memory, a Kafka that can be taken away, tills that sell. It keeps the promises that
 * the pages are written against (one row per id, confirmations in order, totals that fit), and none of the real one's.
 */
import type {
  BacklogPoint, Batch, Confirmed, DeadLetter, Delivery, Device, Gateway, GatewayStatus, Hour, InitialData, Kind, Link, Order, Payment, SettingsProblem, Stats, Whereabouts,
} from '../src/lib/api/types';
import { address, BUSY, customer, id, lines, method, NEXT_DELIVERY, pick, seeded, summaryOf, totalOf, type Random } from './shop';

const SHOWN = 50;
const STORE = 'paris-1';
const TILLS = ['till-1', 'till-2', 'till-3', 'till-4'];
const HOUR_MS = 3_600_000;
const MOST_KEPT = 20_000;

type Item = Order | Payment | Delivery;
type Pending = { kind: Kind; id: string; item: Item };
type Till = { epoch: number; seq: number; confirmed: number };

export class SimulatedGateway {
  /** Newest first. */
  readonly orders: Order[] = [];
  readonly payments: Payment[] = [];
  readonly deliveries: Delivery[] = [];
  deadLetters: DeadLetter[] = [];
  /** Orders per second that the tills make by themselves. */
  rate = 0.6;
  refusing = false;
  version = '0.3.0';
  settingsProblems: SettingsProblem[] = [];
  readonly #random: Random;
  readonly #hours = new Map<number, Hour>();
  readonly #tills = new Map<string, Till>();
  readonly #total = { orders: 0, good: 0, bad: 0, deliveries: 0, cents: 0 };
  readonly #positions = new Map<string, number>();
  readonly #unsent: Pending[] = [];
  readonly #backlog: BacklogPoint[] = [];
  #batch = emptyBatch();
  #offset = 48_211;
  #row = 0;
  #watermark = 48_211;
  #kafka: Link;
  #mqtt: Link;
  #due: { at: number; run: () => void }[] = [];
  readonly #clock: () => number;

  constructor(options: { seed: number; clock?: () => number; history?: boolean }) {
    this.#random = seeded(options.seed);
    this.#clock = options.clock ?? Date.now;
    this.#mqtt = { state: 'up', since: this.iso(this.now() - 9 * HOUR_MS) };
    this.#kafka = { state: 'up', since: this.iso(this.now() - 26 * HOUR_MS - 12 * 60_000) };
    for (const topic of ['orders', 'payments', 'deliveries']) for (let p = 0; p < 3; p += 1) this.#positions.set(`${topic} ${p}`, options.history === false ? 0 : 4000 + Math.floor(this.#random() * 3000));
    [...TILLS, 'counter'].forEach((till) => this.#tills.set(till, { epoch: till === 'counter' ? 0 : Math.floor(this.#random() * 1e9), seq: 0, confirmed: 0 }));
    if (options.history !== false) this.#fillHistory();
  }

  now(): number {
    return this.#clock();
  }

  iso(at: number): string {
    return new Date(at).toISOString();
  }

  /** One step of 100 ms. Returns what the browsers are to be told, if anything. */
  tick(): Batch | null {
    const now = this.now();
    const due = this.#due.filter((d) => d.at <= now);
    this.#due = this.#due.filter((d) => d.at > now);
    for (const { run } of due) run();
    let expected = this.rate / 10;
    while (expected > 0 && !this.refusing) {
      if (this.#random() < expected) this.sell();
      expected -= 1;
    }
    this.#send(now);
    const last = this.#backlog.at(-1);
    if (!last || now - Date.parse(last.at) >= 10_000) {
      this.#backlog.push({ at: this.iso(now), pending: this.#unsent.length });
      if (this.#backlog.length > 360) this.#backlog.shift();
    }
    return this.#takeBatch();
  }

  /** A till sells: an order, later its payment, and for some a delivery that makes its way. */
  sell(): void {
    const order = this.createOrder({}, pick(this.#random, TILLS));
    // Under load only orders: the lives of thousands would go on long after.
    if (this.rate > 50) return;
    this.#later(2000 + this.#random() * 5000, () => {
      const payment = this.createPayment({ order_id: order.order_id, amount: order.amount }, order.device);
      this.#update(order, payment.status === 'SUCCESS' ? 'Processing' : 'Cancelled');
      if (payment.status !== 'SUCCESS') return;
      this.#later(4000 + this.#random() * 9000, () => this.#update(order, 'Completed'));
      if (this.#random() < 0.45) this.#later(3000, () => this.createDelivery({ order_id: order.order_id, address: order.address ?? address(this.#random) }, order.device));
    });
  }

  createOrder(given: Partial<Order>, device = 'counter'): Order {
    const known = this.orders.find((o) => o.order_id === given.order_id);
    if (known) return this.#update(known, given.status ?? known.status);
    const who = customer(this.#random);
    const bought = given.lines ?? lines(this.#random);
    const order: Order = {
      order_id: id(this.#random, 'o'), customer_name: who.name, customer_email: who.email, product: summaryOf(bought), lines: bought, amount: totalOf(bought), currency: 'EUR', status: 'Pending',
      address: address(this.#random), timestamp: this.iso(this.now()), store: STORE, device, ...this.#name(device), ...given,
    };
    this.#store('order', order.order_id, order);
    return order;
  }

  createPayment(given: Partial<Payment>, device = 'counter'): Payment {
    const order = this.orders[Math.floor(this.#random() * Math.min(20, this.orders.length))];
    const payment: Payment = {
      payment_id: id(this.#random, 'p'), order_id: order?.order_id ?? id(this.#random, 'o'), amount: order?.amount ?? 12.5, currency: 'EUR', method: method(this.#random),
      status: this.#random() < 0.9 ? 'SUCCESS' : 'FAILED', timestamp: this.iso(this.now()), store: STORE, device, ...this.#name(device), ...given,
    };
    this.#store('payment', payment.payment_id, payment);
    return payment;
  }

  createDelivery(given: Partial<Delivery>, device = 'counter'): Delivery {
    const delivery: Delivery = {
      delivery_id: id(this.#random, 'd'), order_id: this.orders[0]?.order_id ?? id(this.#random, 'o'), address: address(this.#random), status: 'Pending',
      estimated_date: this.iso(this.now() + (1 + Math.floor(this.#random() * 4)) * 24 * HOUR_MS).slice(0, 10), timestamp: this.iso(this.now()), store: STORE, device, ...this.#name(device), ...given,
    };
    this.#store('delivery', delivery.delivery_id, delivery);
    this.#travel(delivery);
    return delivery;
  }

  turnKafka(up: boolean): void {
    if ((this.#kafka.state === 'up') === up) return;
    this.#kafka = { state: up ? 'up' : 'down', since: this.iso(this.now()), ...(up ? {} : { problem: 'no Kafka broker answers' }) };
    this.#batch.gateway = this.status();
  }

  turnMqtt(up: boolean): void {
    this.#mqtt = { state: up ? 'up' : 'down', since: this.iso(this.now()), ...(up ? {} : { problem: 'connection refused' }) };
  }

  initial(): InitialData {
    return {
      orders: this.orders.slice(0, SHOWN), payments: this.payments.slice(0, SHOWN), deliveries: this.deliveries.slice(0, SHOWN),
      stats: this.stats(), gateway: this.status(),
    };
  }

  stats(): Stats {
    const { orders, good, bad, deliveries, cents } = this.#total;
    return {
      total_orders: orders, total_payments: good + bad, success_payments: good, failed_payments: bad, total_deliveries: deliveries, total_revenue: cents / 100, currency: 'EUR',
      payment_success_rate: good + bad === 0 ? 0 : Math.round((good / (good + bad)) * 10_000) / 100,
      orders_per_hour: [...this.#hours.values()].sort((a, b) => (a.hour < b.hour ? -1 : 1)),
    };
  }

  status(): GatewayStatus {
    const stored = this.#total.orders + this.#total.good + this.#total.bad + this.#total.deliveries;
    return {
      store: STORE, version: this.version, demo: true, mqtt: this.#mqtt, kafka: this.#kafka, bridge: this.#kafka.state === 'up' ? { state: 'up', since: this.#kafka.since } : { state: 'down', since: this.#kafka.since, problem: 'waits for Kafka' },
      commands: this.#kafka, clock: { state: 'synchronised' },
      journal: {
        events: stored, pending: this.#unsent.length, oldest_pending: this.#unsent[0]?.item.timestamp ?? null, bytes: stored * 640 + 61_000_000, max_bytes: 1_000_000_000, refusing: this.refusing,
        first_offset: 1, last_offset: this.#offset, watermark: this.#watermark, duplicates: 37, lost: 0,
      },
      consumer_group: `comptoir-${STORE}`,
      partitions: [...this.#positions].map(([key, end]) => ({ topic: key.split(' ')[0] ?? '', partition: Number(key.split(' ')[1]), position: end, end, lag: 0 })),
      dead_letters: this.deadLetters.length,
    };
  }

  gateway(): Gateway {
    const devices: Device[] = [...this.#tills].map(([device, till]) => {
      const missing: [number, number][] = device === 'till-3' && till.seq > 60 ? [[41, 44]] : [];
      const counts = { received: till.seq - (missing.length > 0 ? 4 : 0), stored: till.seq - (missing.length > 0 ? 4 : 0), in_kafka: till.confirmed - (missing.length > 0 ? 4 : 0) };
      return { store: STORE, device, online: device === 'counter' ? null : device !== 'till-4', epochs: [{ epoch: till.epoch, ...counts, elsewhere: 0, missing, lost: [] }], ...counts, missing, reused: 0 };
    });
    return { ...this.status(), devices, backlog: this.#backlog, settings_problems: this.settingsProblems };
  }

  #later(ms: number, run: () => void): void {
    this.#due.push({ at: this.now() + ms, run });
  }

  #travel(delivery: Delivery): void {
    this.#later(12_000 + this.#random() * 20_000, () => {
      const index = this.deliveries.findIndex((d) => d.delivery_id === delivery.delivery_id);
      const current = this.deliveries[index];
      const status = current && NEXT_DELIVERY[current.status];
      if (!current || !status) return;
      const next = { ...current, status, ...this.#name(current.device) };
      this.deliveries[index] = next;
      this.#journal('delivery', next.delivery_id, next);
      this.#travel(next);
    });
  }

  #update(order: Order, status: Order['status']): Order {
    const index = this.orders.findIndex((o) => o.order_id === order.order_id);
    const next = { ...order, ...this.orders[index], status, ...this.#name(order.device) };
    if (index >= 0) this.orders[index] = next;
    this.#journal('order', next.order_id, next);
    return next;
  }

  #name(device: string): Whereabouts {
    const till = this.#tills.get(device) ?? { epoch: 0, seq: 0, confirmed: 0 };
    till.seq += 1;
    this.#offset += 1;
    return { ce_id: `${STORE}/${device}/${till.epoch}/${till.seq}`, origin: 'local', confirmed: false, journal_offset: this.#offset };
  }

  #hour(at: number): Hour {
    const start = Math.floor(at / HOUR_MS) * HOUR_MS;
    let hour = this.#hours.get(start);
    if (!hour) this.#hours.set(start, (hour = { hour: this.iso(start), orders: 0, success_payments: 0, failed_payments: 0, deliveries: 0, revenue: 0, quarters: noQuarters() }));
    return hour;
  }

  #store(kind: Kind, key: string, item: Item): void {
    const at = Date.parse(item.timestamp);
    const hour = this.#hour(at);
    const quarter = Math.floor(at / (HOUR_MS / 4)) % 4;
    const count = (what: 'orders' | 'success_payments' | 'failed_payments' | 'deliveries') => {
      hour[what] += 1;
      hour.quarters[what][quarter] = (hour.quarters[what][quarter] ?? 0) + 1;
    };
    const list: Item[] = kind === 'order' ? this.orders : kind === 'payment' ? this.payments : this.deliveries;
    this.#row += 1;
    item.row = this.#row;
    list.unshift(item);
    if (list.length > MOST_KEPT) list.length = MOST_KEPT;
    if (kind === 'order') {
      this.#total.orders += 1;
      count('orders');
    } else if (kind === 'delivery') {
      this.#total.deliveries += 1;
      count('deliveries');
    } else {
      const payment = item as Payment;
      const good = payment.status === 'SUCCESS';
      this.#total[good ? 'good' : 'bad'] += 1;
      count(good ? 'success_payments' : 'failed_payments');
      const cents = good ? Math.round(payment.amount * 100) : 0;
      this.#total.cents += cents;
      hour.revenue = (Math.round(hour.revenue * 100) + cents) / 100;
      hour.quarters.revenue[quarter] = (Math.round((hour.quarters.revenue[quarter] ?? 0) * 100) + cents) / 100;
    }
    this.#journal(kind, key, item);
  }

  #journal(kind: Kind, key: string, item: Item): void {
    const list = kind === 'order' ? this.#batch.orders : kind === 'payment' ? this.#batch.payments : this.#batch.deliveries;
    (list as Item[]).push(item);
    this.#unsent.push({ kind, id: key, item });
  }

  /** Kafka takes what is older than a moment, in order; after an outage as fast as a real one would. */
  #send(now: number): void {
    if (this.#kafka.state !== 'up') return;
    let taken = 0;
    while (taken < 1000 && this.#unsent[0] && (now - Date.parse(this.#unsent[0].item.timestamp) > 350 || this.#unsent.length > 20)) {
      const next = this.#unsent.shift() as Pending;
      this.#batch.confirmed.push(this.#confirm(next));
      taken += 1;
    }
  }

  #confirm({ kind, item }: Pending): Confirmed {
    const topic = `${kind === 'delivery' ? 'deliverie' : kind}s`;
    const partition = [...item.order_id].reduce((sum, c) => sum + c.charCodeAt(0), 0) % 3;
    const at = `${topic} ${partition}`;
    const offset = this.#positions.get(at) ?? 0;
    this.#positions.set(at, offset + 1);
    Object.assign(item, { confirmed: true, partition, offset });
    this.#watermark = Math.max(this.#watermark, item.journal_offset ?? 0);
    const till = this.#tills.get(item.device);
    if (till) till.confirmed += 1;
    return { kind, ce_id: item.ce_id, order_id: item.order_id, partition, offset };
  }

  #takeBatch(): Batch | null {
    const { orders, payments, deliveries, confirmed } = this.#batch;
    if (orders.length + payments.length + deliveries.length + confirmed.length === 0 && !this.#batch.gateway) return null;
    const batch: Batch = {
      orders: orders.slice(-SHOWN), payments: payments.slice(-SHOWN), deliveries: deliveries.slice(-SHOWN), confirmed: confirmed.slice(-3 * SHOWN),
      stats: this.stats(), gateway: this.status(),
    };
    this.#batch = emptyBatch();
    return batch;
  }

  /** Three days of sales in the totals, the last ones as rows too, and an outage an hour ago that the backlog shows. */
  #fillHistory(): void {
    const now = this.now();
    const start = Math.floor(now / HOUR_MS) * HOUR_MS;
    for (let back = 60; back >= 0; back -= 1) {
      const at = start - back * HOUR_MS;
      const share = back === 0 ? (now - start) / HOUR_MS : 1;
      const growth = back > 24 ? 0.9 : 1.02;
      const sold = Math.round((BUSY[new Date(at).getHours()] ?? 1) * growth * share * (0.82 + this.#random() * 0.36));
      const failed = Math.round(sold * 0.08 * this.#random() * 1.6);
      const cents = Math.round((sold - failed) * (4200 + this.#random() * 2600));
      const delivered = Math.round(sold * 0.44);
      // Evenly; of the running hour in the quarters that have begun.
      const begun = back === 0 ? Math.floor((now - start) / (HOUR_MS / 4)) + 1 : 4;
      const spread = (count: number) => [0, 1, 2, 3].map((i) => (i < begun ? Math.floor((count * (i + 1)) / begun) - Math.floor((count * i) / begun) : 0)) as Four;
      Object.assign(this.#hour(at), {
        orders: sold, success_payments: sold - failed, failed_payments: failed, deliveries: delivered, revenue: cents / 100,
        quarters: { orders: spread(sold), success_payments: spread(sold - failed), failed_payments: spread(failed), deliveries: spread(delivered), revenue: spread(cents).map((c) => c / 100) as Four },
      });
      this.#total.orders += sold;
      this.#total.good += sold - failed;
      this.#total.bad += failed;
      this.#total.cents += cents;
      this.#total.deliveries += delivered;
    }
    this.#fillRows(now);
    for (let i = 360; i > 0; i -= 1) {
      const down = i > 150 && i < 215;
      const pending = down ? Math.round((215 - i) * 3.1) : i <= 150 && i > 147 ? (i - 147) * 55 : Math.floor(this.#random() * 3);
      this.#backlog.push({ at: this.iso(now - i * 10_000), pending });
    }
    this.deadLetters = deadLettersAt(now).map((d, i) => ({ ...d, offset: 3 - i }));
  }

  /** The rows were counted above: they go to the lists past the totals. */
  #fillRows(now: number): void {
    const count = 140;
    for (let i = count; i > 0; i -= 1) {
      const device = pick(this.#random, TILLS);
      const at = now - i * 95_000 - this.#random() * 60_000;
      const stamp = { timestamp: this.iso(at), store: STORE, device };
      const inKafka = () => {
        const where = this.#name(device);
        const offset = 4000 + (count - i) * 2;
        const till = this.#tills.get(device);
        if (till) till.confirmed += 1;
        this.#row += 1;
        return { ...where, row: this.#row, confirmed: true, partition: Math.floor(this.#random() * 3), offset };
      };
      const who = customer(this.#random);
      const bought = lines(this.#random);
      const paid = this.#random() < 0.91;
      const where = address(this.#random);
      const order: Order = {
        order_id: id(this.#random, 'o'), customer_name: who.name, customer_email: who.email, product: summaryOf(bought), lines: bought, amount: totalOf(bought), currency: 'EUR',
        status: !paid ? 'Cancelled' : i < 4 ? 'Processing' : 'Completed', address: where, ...stamp, ...inKafka(),
      };
      this.orders.unshift(order);
      this.payments.unshift({
        payment_id: id(this.#random, 'p'), order_id: order.order_id, amount: order.amount, currency: 'EUR', method: method(this.#random), status: paid ? 'SUCCESS' : 'FAILED',
        ...stamp, timestamp: this.iso(at + 25_000), ...inKafka(),
      });
      if (!paid || this.#random() < 0.4) continue;
      this.deliveries.unshift({
        delivery_id: id(this.#random, 'd'), order_id: order.order_id, address: where, status: i > 80 ? 'Delivered' : i > 30 ? pick(this.#random, ['In Transit', 'Delivered', 'In Transit']) : pick(this.#random, ['Pending', 'Pending', 'In Transit']),
        estimated_date: this.iso(now + (i > 80 ? 0 : 1 + Math.floor(this.#random() * 3)) * 24 * HOUR_MS).slice(0, 10), ...stamp, timestamp: this.iso(at + 45_000), ...inKafka(),
      });
    }
    this.#watermark = this.#offset;
  }
}

type Four = [number, number, number, number];
const noQuarters = (): Hour['quarters'] => ({ orders: [0, 0, 0, 0], success_payments: [0, 0, 0, 0], failed_payments: [0, 0, 0, 0], deliveries: [0, 0, 0, 0], revenue: [0, 0, 0, 0] });

const emptyBatch = (): Batch => ({ orders: [], payments: [], deliveries: [], confirmed: [], stats: null, gateway: null });

function deadLettersAt(now: number): DeadLetter[] {
  const letter = (ago: number, ce_id: string, topic: string, reason: string, payload: Buffer): DeadLetter => ({
    offset: 0, ce_id, topic, reason, received: new Date(now - ago * 60_000).toISOString(), retried: null, bytes: payload.length, payload: payload.toString('base64'),
  });
  return [
    letter(18, 'paris-1/till-4/0/181', 'pos/paris-1/till-4/payments', 'amount: expected a decimal number, found "douze"', Buffer.from('{"payment_id":"p-77","order_id":"o-19","amount":"douze","method":"Cash","status":"SUCCESS"}')),
    letter(64, 'paris-1/till-2/0/96', 'pos/paris-1/till-2/orders', 'format version 9 is not known', Buffer.from([9, 0xe2, 0x82, 0xac, 0, 1, 0x7f, 0x43, 0x6f, 0x6d, 0x70, 0x74, 0x6f, 0x69, 0x72, 0xff, 0xfe, 0x10, 0x22, 0x5c])),
    letter(1510, 'paris-1/till-9/0/3', 'pos/paris-1/till-9/deliveries', 'the JSON ends in the middle of a string', Buffer.from('{"delivery_id":"d-12","order_id":"o-4","address":"12 rue des Lil')),
  ];
}
