/**
 * What the pages show, as a pure fold of what the gateway says.
 *
 * Rules that everything else relies on:
 * - an item is known by its key (`keyOf`): a later one replaces the one shown, it is never a second row;
 * - an item's place is its `row`, the order in which all were first seen: so a later state of an old one moves nothing,
 *   and a page that was away shows what one that stayed shows;
 * - lists are newest first and hold at most `SHOWN` items;
 * - a confirmation marks an item only while it still shows the very event (`ce_id`) that was confirmed;
 * - the journal's watermark marks as well: all of this gateway at or below it is in Kafka, so rows never contradict the bar;
 * - a snapshot replaces everything: what the gateway does not show any more is not shown here either;
 * - totals come from the gateway's statistics alone, never from counting rows.
 */
import type { Batch, Confirmed, Delivery, GatewayStatus, InitialData, Kind, Order, Payment, Stats, Whereabouts } from '../api/types';

export const SHOWN = 50;
/** Above this many new rows at once an animation per row is noise, and costs frames. */
const ANIMATED = 4;
const FLOOD = 20;

/** `key` tells it from all others of every kind. */
export type Activity =
  | { kind: 'order'; id: string; key: string; item: Order }
  | { kind: 'payment'; id: string; key: string; item: Payment }
  | { kind: 'delivery'; id: string; key: string; item: Delivery };

export type Shown = {
  ready: boolean;
  orders: readonly Order[];
  payments: readonly Payment[];
  deliveries: readonly Delivery[];
  activity: readonly Activity[];
  stats: Stats | null;
  gateway: GatewayStatus | null;
  /** Keys that came with the last change: their rows appear with an animation. */
  fresh: ReadonlySet<string>;
  /** So much is new at once that rows are better refilled than moved: making fifty rows ten times a second costs frames. */
  flood: boolean;
};

export type Change =
  | { type: 'snapshot'; data: InitialData }
  | { type: 'batch'; batch: Batch }
  | { type: 'item'; entry: Activity }
  | { type: 'stats'; stats: Stats }
  | { type: 'gateway'; gateway: GatewayStatus }
  | { type: 'confirmed'; confirmed: Confirmed };

export const nothing: Shown = {
  ready: false, orders: [], payments: [], deliveries: [], activity: [], stats: null, gateway: null, fresh: new Set(), flood: false,
};

/** Shops and tills number their receipts independently: orders and deliveries are one within a store, payments within a store and device. */
export const keyOf = {
  order: (item: Order) => `order ${item.store}/${item.order_id}`,
  payment: (item: Payment) => `payment ${item.store}/${item.device}/${item.payment_id}`,
  delivery: (item: Delivery) => `delivery ${item.store}/${item.delivery_id}`,
};

export const asActivity = {
  order: (item: Order): Activity => ({ kind: 'order', id: item.order_id, key: keyOf.order(item), item }),
  payment: (item: Payment): Activity => ({ kind: 'payment', id: item.payment_id, key: keyOf.payment(item), item }),
  delivery: (item: Delivery): Activity => ({ kind: 'delivery', id: item.delivery_id, key: keyOf.delivery(item), item }),
};

export function reduce(shown: Shown, change: Change): Shown {
  switch (change.type) {
    case 'snapshot':
      return fromSnapshot(change.data);
    case 'batch':
      return withBatch(shown, change.batch);
    case 'item':
      return withWatermark(withItems(shown, [change.entry]));
    case 'stats':
      return { ...shown, stats: change.stats };
    case 'gateway':
      return withWatermark({ ...shown, gateway: change.gateway });
    case 'confirmed':
      return withConfirmed(shown, [change.confirmed]);
  }
}

/**
 * Rows that are kept beside `Shown`: a page of older ones, or what somebody is reading. None comes to them, but what is there changes
 * like everything else. The same list if nothing changes.
 */
export function follow(kept: readonly Activity[], change: Change): readonly Activity[] {
  const told = new Map(entriesOf(change).map((entry) => [entry.key, entry.item]));
  const batch = change.type === 'batch' ? change.batch : null;
  const confirmed = batch?.confirmed ?? (change.type === 'confirmed' ? [change.confirmed] : []);
  const gateway = batch?.gateway ?? (change.type === 'gateway' ? change.gateway : null);
  const items = kept.map((entry): Whereabouts => entry.item);
  const known = kept.some((entry) => told.has(entry.key)) ? kept.map((entry): Whereabouts => keepMark<Whereabouts>(entry.item, told.get(entry.key) ?? entry.item)) : items;
  return withEach(kept, items, inKafkaUpTo(gateway?.journal.watermark, markEach(known, confirmed)));
}

export function followOrders(page: readonly Order[], change: Change): readonly Order[] {
  const entries = page.map(asActivity.order);
  const now = follow(entries, change);
  return now === entries ? page : now.map((entry) => entry.item as Order);
}

function entriesOf(change: Change): Activity[] {
  if (change.type === 'item') return [change.entry];
  const many = change.type === 'batch' ? change.batch : change.type === 'snapshot' ? change.data : null;
  return many === null ? [] : [...many.orders.map(asActivity.order), ...many.payments.map(asActivity.payment), ...many.deliveries.map(asActivity.delivery)];
}

const withEach = (entries: readonly Activity[], before: readonly Whereabouts[], now: readonly Whereabouts[]): readonly Activity[] =>
  now === before ? entries : entries.map((entry, i) => ({ ...entry, item: now[i] }) as Activity);

/** The same list if nothing changes, so that nothing is drawn anew. */
export function inKafkaUpTo<T extends Whereabouts>(watermark: number | undefined, items: readonly T[]): readonly T[] {
  const waits = (item: T) => !item.confirmed && item.journal_offset !== undefined && watermark !== undefined && item.journal_offset <= watermark;
  return items.some(waits) ? items.map((item) => (waits(item) ? { ...item, confirmed: true } : item)) : items;
}

function withWatermark(shown: Shown): Shown {
  const watermark = shown.gateway?.journal.watermark;
  const items = shown.activity.map((entry) => entry.item);
  const marked = inKafkaUpTo<Whereabouts>(watermark, items);
  return {
    ...shown,
    orders: inKafkaUpTo(watermark, shown.orders),
    payments: inKafkaUpTo(watermark, shown.payments),
    deliveries: inKafkaUpTo(watermark, shown.deliveries),
    activity: withEach(shown.activity, items, marked),
  };
}

function fromSnapshot(data: InitialData): Shown {
  const orders = data.orders.slice(0, SHOWN);
  const payments = data.payments.slice(0, SHOWN);
  const deliveries = data.deliveries.slice(0, SHOWN);
  const all = entriesOf({ type: 'snapshot', data: { ...data, orders, payments, deliveries } });
  return {
    ready: true, orders, payments, deliveries,
    activity: all.sort((a, b) => rowOf(b.item) - rowOf(a.item)).slice(0, SHOWN),
    stats: data.stats, gateway: data.gateway, fresh: new Set(), flood: false,
  };
}

function withBatch(shown: Shown, batch: Batch): Shown {
  const next = withConfirmed(withItems(shown, entriesOf({ type: 'batch', batch })), batch.confirmed);
  return withWatermark({ ...next, stats: batch.stats ?? next.stats, gateway: batch.gateway ?? next.gateway });
}

/** The gateway leaves it out only where it is not known yet: of what was stored this moment. */
const rowOf = (item: Whereabouts): number => item.row ?? Number.MAX_SAFE_INTEGER;

function withItems(shown: Shown, entries: readonly Activity[]): Shown {
  if (entries.length === 0) return shown;
  const of = <T>(kind: Kind) => entries.filter((e) => e.kind === kind).map((e) => e.item as T);
  const activity = merge(shown.activity, entries, (e) => e.key, (e) => rowOf(e.item), (old, now) => ({ ...now, item: keepMark(old.item, now.item) }) as Activity);
  const known = new Set(shown.activity.map((e) => e.key));
  const arrived = activity.filter((e) => !known.has(e.key));
  return {
    ...shown,
    orders: merge(shown.orders, of<Order>('order'), keyOf.order, rowOf, keepMark),
    payments: merge(shown.payments, of<Payment>('payment'), keyOf.payment, rowOf, keepMark),
    deliveries: merge(shown.deliveries, of<Delivery>('delivery'), keyOf.delivery, rowOf, keepMark),
    activity,
    fresh: new Set(arrived.length <= ANIMATED ? arrived.map((e) => e.key) : []),
    flood: arrived.length >= FLOOD,
  };
}

/** `incoming` is oldest first. */
function merge<T>(
  list: readonly T[], incoming: readonly T[], idOf: (item: T) => string, row: (item: T) => number, replace: (old: T, now: T) => T,
): readonly T[] {
  if (incoming.length === 0) return list;
  const all = new Map(list.map((item) => [idOf(item), item]));
  for (const item of incoming) {
    const id = idOf(item);
    const old = all.get(id);
    all.set(id, old === undefined ? item : replace(old, item));
  }
  return [...all.values()].sort((a, b) => row(b) - row(a)).slice(0, SHOWN);
}

/** The same event may be told twice, before and after Kafka confirmed it: what is confirmed stays so. */
function keepMark<T extends Whereabouts>(old: T, now: T): T {
  if (old.ce_id !== now.ce_id || !old.confirmed || now.confirmed) return now;
  return { ...now, confirmed: true, partition: old.partition, offset: old.offset };
}

function withConfirmed(shown: Shown, confirmed: readonly Confirmed[]): Shown {
  if (confirmed.length === 0) return shown;
  const items = shown.activity.map((entry) => entry.item);
  const marked = markEach<Whereabouts>(items, confirmed);
  return {
    ...shown,
    orders: markEach(shown.orders, confirmed),
    payments: markEach(shown.payments, confirmed),
    deliveries: markEach(shown.deliveries, confirmed),
    activity: withEach(shown.activity, items, marked),
  };
}

function markEach<T extends Whereabouts>(items: readonly T[], confirmed: readonly Confirmed[]): readonly T[] {
  const byEvent = new Map(confirmed.map((c) => [c.ce_id, c]));
  if (!items.some((item) => byEvent.has(item.ce_id))) return items;
  return items.map((item) => {
    const at = byEvent.get(item.ce_id);
    return at && item.partition === undefined ? { ...item, confirmed: true, partition: at.partition, offset: at.offset } : item;
  });
}
