/**
 * A simulated gateway for the development server and the browser tests: a journal in memory, a Kafka that can be taken
 * down, tills that sell. It behaves as the pages expect (one row per id, confirmations in order, totals that match) and
 * guarantees nothing else. The browser tests that need no simulator also run against the real gateway, so that the two
 * cannot drift apart.
 */
import type {
  BacklogPoint,
  Batch,
  DeadLetter,
  Delivery,
  Follow,
  Gateway,
  GatewayStatus,
  InitialData,
  Kind,
  Link,
  Order,
  Payment,
  SettingsProblem,
  Stats,
  Uplink,
  Whereabouts,
} from '../src/lib/api/types';
import type { Item } from '../src/lib/live/reducer';
import type { ClosedDay } from './closings';
import { ChangeSet, LIST_LENGTH } from './batch';
import { createDeadLetters } from './deadLetters';
import { createBacklog, createHistory } from './history';
import { SimulatedKafka } from './kafka';
import { OtherShop } from './otherShop';
import {
  address,
  createRandom,
  customer,
  id,
  lines,
  method,
  NEXT_DELIVERY,
  pick,
  STORE,
  summaryOf,
  totalOf,
  type Random,
} from './shop';
import { DeviceTable, TILLS } from './tills';
import { HOUR_MS, Totals } from './totals';

const MAX_ITEMS = 20_000;
const FIRST_OFFSET = 48_211;

export class SimulatedGateway {
  /** Newest first. */
  readonly orders: Order[] = [];
  readonly payments: Payment[] = [];
  readonly deliveries: Delivery[] = [];
  deadLetters: DeadLetter[] = [];
  /**
   * Offsets of the dead letters that a retry can decode: the one with the unknown format version, as after an upgrade.
   */
  readonly decodableOffsets: ReadonlySet<number> = new Set([2]);
  /** Orders per second that the tills create. */
  rate = 0.6;
  isRefusing = false;
  isDemo = true;
  /** Whether it makes up the fields that a `POST` leaves out. */
  invents = true;
  version = '0.3.0';
  settingsProblems: SettingsProblem[] = [];
  uplink: Uplink = {
    mode: 'normal',
    since: new Date(new Date().setHours(0, 0, 0, 0)).toISOString(),
    sent_bytes: 1_840_000,
    received_bytes: 620_000,
    events: 2_300,
    payments_only: false,
  };
  timeZone = 'Europe/Paris';
  /** The closed days, the latest closing last. */
  readonly closedDays: ClosedDay[] = [];
  follow: Follow = 'all';
  /** The shops whose sales were read from Kafka, by name. */
  otherShops = new Map<string, OtherShop>();
  readonly #random: Random;
  readonly #totals = new Totals();
  readonly #devices: DeviceTable;
  readonly #kafka: SimulatedKafka;
  readonly #changes = new ChangeSet();
  #backlog: BacklogPoint[] = [];
  #offset = FIRST_OFFSET;
  #row = 0;
  #mqtt: Link;
  #timers: { at: number; run: () => void }[] = [];
  readonly #clock: () => number;

  constructor({ seed, clock, hasHistory }: { seed: number; clock: () => number; hasHistory: boolean }) {
    this.#random = createRandom(seed);
    this.#clock = clock;
    this.#mqtt = { state: 'up', since: this.iso(this.now() - 9 * HOUR_MS) };
    this.#kafka = new SimulatedKafka({
      since: this.iso(this.now() - 26 * HOUR_MS - 12 * 60_000),
      watermark: FIRST_OFFSET,
      random: hasHistory ? this.#random : null,
    });
    this.#devices = new DeviceTable(this.#random);
    if (hasHistory) this.#fillHistory();
  }

  now(): number {
    return this.#clock();
  }

  iso(at: number): string {
    return new Date(at).toISOString();
  }

  /** Simulates 100 ms. Returns the batch for the browsers, or `null` if nothing happened. */
  tick(): Batch | null {
    const now = this.now();
    const due = this.#timers.filter(({ at }) => at <= now);
    this.#timers = this.#timers.filter(({ at }) => at > now);
    for (const { run } of due) run();
    let expected = this.rate / 10;
    while (expected > 0 && !this.isRefusing) {
      if (this.#random() < expected) this.sell();
      expected -= 1;
    }
    for (const { device, ...confirmed } of this.#kafka.send(now)) {
      this.#devices.confirm(device);
      this.#changes.addConfirmed(confirmed);
    }
    const last = this.#backlog.at(-1);
    if (!last || now - Date.parse(last.at) >= 10_000) {
      this.#backlog.push({ at: this.iso(now), pending: this.#kafka.pending.length });
      if (this.#backlog.length > 360) this.#backlog.shift();
    }
    return this.#changes.take(
      this,
      () => this.stats(),
      () => this.status(),
    );
  }

  /** A till sells: an order, later its payment, and for some orders a delivery. */
  sell(): void {
    const order = this.createOrder({}, pick(this.#random, TILLS));
    // Under heavy load, tills create only orders. Otherwise thousands of payments and deliveries would keep arriving
    // long after the load ends.
    if (this.rate > 50) return;
    this.#later(2000 + this.#random() * 5000, () => {
      const payment = this.createPayment({ order_id: order.order_id, amount: order.amount }, order.device);
      this.#update(order, payment.status === 'SUCCESS' ? 'Processing' : 'Cancelled');
      if (payment.status !== 'SUCCESS') return;
      this.#later(4000 + this.#random() * 9000, () => this.#update(order, 'Completed'));
      if (this.#random() < 0.45)
        this.#later(3000, () =>
          this.createDelivery(
            { order_id: order.order_id, address: order.address ?? address(this.#random) },
            order.device,
          ),
        );
    });
  }

  createOrder(fields: Partial<Order>, device = 'counter'): Order {
    const known = this.orders.find((o) => o.order_id === fields.order_id);
    if (known) return this.#update(known, fields.status ?? known.status, device);
    const buyer = customer(this.#random);
    const basket = fields.lines ?? lines(this.#random);
    const order: Order = {
      order_id: id(this.#random, 'o'),
      customer_name: buyer.name,
      customer_email: buyer.email,
      product: summaryOf(basket),
      lines: basket,
      amount: totalOf(basket),
      currency: 'EUR',
      status: 'Pending',
      address: address(this.#random),
      timestamp: this.iso(this.now()),
      store: STORE,
      device,
      ...this.#nameEvent(device),
      ...fields,
    };
    this.#store('order', order);
    return order;
  }

  createPayment(fields: Partial<Payment>, device = 'counter'): Payment {
    const order = this.orders[Math.floor(this.#random() * Math.min(20, this.orders.length))];
    const payment: Payment = {
      payment_id: id(this.#random, 'p'),
      order_id: order?.order_id ?? id(this.#random, 'o'),
      amount: order?.amount ?? 12.5,
      currency: 'EUR',
      method: method(this.#random),
      status: this.#random() < 0.9 ? 'SUCCESS' : 'FAILED',
      timestamp: this.iso(this.now()),
      store: STORE,
      device,
      ...this.#nameEvent(device),
      ...fields,
    };
    this.#store('payment', payment);
    return payment;
  }

  createDelivery(fields: Partial<Delivery>, device = 'counter'): Delivery {
    const known = this.deliveries.findIndex(({ delivery_id }) => delivery_id === fields.delivery_id);
    if (known >= 0) return this.#moveDelivery(known, fields.status ?? 'Pending', device);
    const delivery: Delivery = {
      delivery_id: id(this.#random, 'd'),
      order_id: this.orders[0]?.order_id ?? id(this.#random, 'o'),
      address: address(this.#random),
      status: 'Pending',
      estimated_date: this.iso(this.now() + (1 + Math.floor(this.#random() * 4)) * 24 * HOUR_MS).slice(0, 10),
      timestamp: this.iso(this.now()),
      store: STORE,
      device,
      ...this.#nameEvent(device),
      ...fields,
    };
    this.#store('delivery', delivery);
    // A person at the counter moves it on by hand.
    if (fields.delivery_id === undefined) this.#advanceDelivery(delivery);
    return delivery;
  }

  setKafka(up: boolean): void {
    if (this.#kafka.isUp === up) return;
    this.#kafka.set(up, this.iso(this.now()));
    this.#changes.setStatus(this.status());
  }

  setInvent(invent: boolean): void {
    this.invents = invent;
  }

  setOtherShops(stores: string[]): void {
    const now = this.now();
    this.otherShops = new Map(stores.map((store, i) => [store, new OtherShop({ store, seed: i + 1, now })]));
  }

  forgetWatermark(): void {
    this.#kafka.watermark = 0;
  }

  setMqtt(up: boolean): void {
    this.#mqtt = {
      state: up ? 'up' : 'down',
      since: this.iso(this.now()),
      ...(up ? {} : { problem: 'connection refused' }),
    };
  }

  initial(): InitialData {
    return {
      orders: this.orders.slice(0, LIST_LENGTH),
      payments: this.payments.slice(0, LIST_LENGTH),
      deliveries: this.deliveries.slice(0, LIST_LENGTH),
      stats: this.stats(),
      gateway: this.status(),
    };
  }

  stats(): Stats {
    return this.#totals.stats();
  }

  status(): GatewayStatus {
    const stored = this.#totals.storedEvents;
    const { link, pending, watermark } = this.#kafka;
    return {
      store: STORE,
      version: this.version,
      demo: this.isDemo,
      invent: this.invents,
      mqtt: this.#mqtt,
      kafka: link,
      bridge: this.#kafka.isUp
        ? { state: 'up', since: link.since }
        : { state: 'down', since: link.since, problem: 'waits for Kafka' },
      commands: link,
      clock: { state: 'synchronised' },
      journal: {
        events: stored,
        pending: pending.length,
        oldest_pending: pending[0]?.item.timestamp ?? null,
        bytes: stored * 640 + 61_000_000,
        max_bytes: 1_000_000_000,
        refusing: this.isRefusing,
        first_offset: 1,
        last_offset: this.#offset,
        watermark,
        duplicates: 37,
        lost: 0,
      },
      follow: this.follow,
      consumer_group: this.follow === 'all' ? `comptoir-${STORE}` : null,
      partitions: this.#kafka.partitions(),
      dead_letters: this.deadLetters.length,
    };
  }

  gateway(): Gateway {
    return {
      ...this.status(),
      devices: this.#devices.devices(),
      refused: [],
      backlog: this.#backlog,
      uplink: this.uplink,
      alerts: null,
      settings_problems: this.settingsProblems,
    };
  }

  #later(ms: number, run: () => void): void {
    this.#timers.push({ at: this.now() + ms, run });
  }

  #advanceDelivery(delivery: Delivery): void {
    this.#later(12_000 + this.#random() * 20_000, () => {
      const index = this.deliveries.findIndex((d) => d.delivery_id === delivery.delivery_id);
      const current = this.deliveries[index];
      const status = current && NEXT_DELIVERY[current.status];
      if (!current || !status) return;
      this.#advanceDelivery(this.#moveDelivery(index, status, current.device));
    });
  }

  #moveDelivery(index: number, status: Delivery['status'], device: string): Delivery {
    const next = { ...(this.deliveries[index] as Delivery), status, ...this.#nameEvent(device) };
    this.deliveries[index] = next;
    this.#journal('delivery', next);
    return next;
  }

  #update(order: Order, status: Order['status'], device = order.device): Order {
    const index = this.orders.findIndex((o) => o.order_id === order.order_id);
    const next = { ...order, ...this.orders[index], status, ...this.#nameEvent(device) };
    if (index >= 0) this.orders[index] = next;
    this.#journal('order', next);
    return next;
  }

  #nameEvent(device: string): Whereabouts {
    this.#offset += 1;
    const ce_id = this.#devices.nextEvent(device);
    // Its place in Kafka is not that of the sale's event before it.
    const unplaced = { partition: undefined, offset: undefined };
    return { ce_id, origin: 'local', confirmed: false, journal_offset: this.#offset, ...unplaced };
  }

  #store(kind: Kind, item: Item): void {
    const list: Item[] = kind === 'order' ? this.orders : kind === 'payment' ? this.payments : this.deliveries;
    this.#row += 1;
    item.row = this.#row;
    list.unshift(item);
    if (list.length > MAX_ITEMS) list.length = MAX_ITEMS;
    this.#totals.count(kind, item);
    this.#journal(kind, item);
  }

  #journal(kind: Kind, item: Item): void {
    this.#changes.add(kind, item);
    this.#kafka.queue(kind, item);
  }

  #fillHistory(): void {
    const now = this.now();
    createHistory({
      store: STORE,
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
    this.#kafka.watermark = this.#offset;
    this.#backlog = createBacklog(this.#random, now);
    this.deadLetters = createDeadLetters(now);
  }
}
