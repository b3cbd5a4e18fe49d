/**
 * The state that the pages show, as a pure function of the updates that the gateway sends.
 *
 * Invariants that everything else relies on:
 * - A key (`keyOf`) identifies an item. A later item with the same key replaces the one shown; it never adds a row.
 * - `row` sorts the items: the gateway numbers them in the order in which it first saw each. A status change of an old
 *   item therefore moves nothing, and a page that was disconnected shows the same rows as one that was not.
 * - Lists are newest first and hold at most `LIST_LENGTH` items. The activity of all kinds is in the order of time.
 * - A confirmation marks an item only while the item still shows the event (`ce_id`) that was confirmed.
 * - The journal's watermark confirms too: every event of this gateway at or below it is in Kafka. Rows therefore never
 *   contradict the status bar.
 * - A snapshot replaces the whole state.
 * - Totals come from the gateway's statistics, never from counting rows.
 */
import type {
  Batch,
  Confirmed,
  Delivery,
  GatewayStatus,
  InitialData,
  Kind,
  Link,
  Order,
  Payment,
  Stats,
  Whereabouts,
} from '../api/types';
import { showable } from './showable';

export const LIST_LENGTH = 50;
/** Above this many new rows in one update, animations are noise and cost frames. */
const MAX_ANIMATED_ROWS = 4;

export type Item = Order | Payment | Delivery;

export type ViewState = {
  /** The first snapshot has arrived. */
  isReady: boolean;
  orders: readonly Order[];
  payments: readonly Payment[];
  deliveries: readonly Delivery[];
  stats: Stats | null;
  gateway: GatewayStatus | null;
  /** How the demo's button has left Kafka, until the gateway reports a link other than the one from `before`. */
  demoKafka: { link: Link; before: string } | null;
  /** Keys of the items that the last update added: their rows appear with an animation. */
  newKeys: ReadonlySet<string>;
  /** Changes with `newKeys`. */
  isOddUpdate: boolean;
};

export type LiveUpdate =
  | { type: 'snapshot'; data: InitialData }
  | { type: 'batch'; batch: Batch }
  | { type: 'item'; item: Item }
  | { type: 'stats'; stats: Stats }
  | { type: 'gateway'; gateway: GatewayStatus }
  | { type: 'confirmed'; confirmed: Confirmed }
  | { type: 'demoKafka'; link: Link };

export const emptyView: ViewState = {
  isReady: false,
  orders: [],
  payments: [],
  deliveries: [],
  stats: null,
  gateway: null,
  demoKafka: null,
  newKeys: new Set(),
  isOddUpdate: false,
};

const emptyBatch: Batch = { orders: [], payments: [], deliveries: [], confirmed: [], stats: null, gateway: null };

export function kindOf(item: Item): Kind {
  if ('payment_id' in item) return 'payment';
  return 'delivery_id' in item ? 'delivery' : 'order';
}

export function idOf(item: Item): string {
  if ('payment_id' in item) return item.payment_id;
  return 'delivery_id' in item ? item.delivery_id : item.order_id;
}

/**
 * Identifies an item among all items of every kind. Shops and tills number their receipts independently: an order or a
 * delivery is unique within its store, a payment within its store and device.
 */
export function keyOf(item: Item): string {
  const kind = kindOf(item);
  const scope = kind === 'payment' ? `${item.store}/${item.device}` : item.store;
  return `${kind} ${scope}/${idOf(item)}`;
}

export function reduce(view: ViewState, update: LiveUpdate): ViewState {
  if (update.type === 'demoKafka') return switchKafka(view, update.link);
  return update.type === 'snapshot' ? viewOfSnapshot(update.data) : applyBatch(view, batchOf(update));
}

/**
 * The newest items of all kinds, by the time that is shown. Items of one time are in the order of their rows, and those
 * whose rows are unknown in that of their keys: the list is the same after a reconnection.
 */
export function latestActivity({ orders, payments, deliveries }: ViewState): readonly Item[] {
  return [...orders, ...payments, ...deliveries]
    .map((item: Item) => ({ item, key: keyOf(item), time: Date.parse(item.timestamp) || 0 }))
    .sort((a, b) => b.time - a.time || rowOf(b.item) - rowOf(a.item) || (a.key < b.key ? -1 : 1))
    .slice(0, LIST_LENGTH)
    .map(({ item }) => item);
}

/**
 * Applies an update to rows that are kept outside `ViewState`: a page of older orders, or a list that somebody is
 * reading. No row is added. Returns the same array if nothing changes.
 */
export function updateItems<T extends Item>(items: readonly T[], update: LiveUpdate): readonly T[] {
  const { orders, payments, deliveries, confirmed, gateway } = batchOf(update);
  const incoming = new Map<string, Item>([...orders, ...payments, ...deliveries].map((item) => [keyOf(item), item]));
  // Items with the same key are of the same kind.
  const current = (item: T) => (incoming.get(keyOf(item)) as T | undefined) ?? item;
  const isTouched = items.some((item) => incoming.has(keyOf(item)));
  const replaced = isTouched ? items.map((item) => keepConfirmation(item, current(item))) : items;
  return confirmUpTo(gateway?.journal.watermark, markConfirmed(replaced, confirmed));
}

/** Updates the rows from `latest`, which was read later. No row is added or removed. */
export function replaceItems<T extends Item>(items: readonly T[], latest: readonly T[]): readonly T[] {
  const byKey = new Map(latest.map((item) => [keyOf(item), item]));
  return items.map((item) => byKey.get(keyOf(item)) ?? item);
}

/** Every event of this gateway up to the watermark is in Kafka. Returns the same array if nothing changes. */
export function confirmUpTo<T extends Whereabouts>(watermark: number | undefined, items: readonly T[]): readonly T[] {
  if (watermark === undefined) return items;
  const isDue = ({ confirmed, journal_offset }: T) =>
    !confirmed && journal_offset !== undefined && journal_offset <= watermark;
  return items.some(isDue) ? items.map((item) => (isDue(item) ? { ...item, confirmed: true } : item)) : items;
}

/** Converts every update to a batch, so that there is only one way to apply it. */
const batchOf = (update: LiveUpdate): Batch => showable(uncheckedBatchOf(update));

function uncheckedBatchOf(update: LiveUpdate): Batch {
  switch (update.type) {
    case 'snapshot':
      return { ...emptyBatch, ...update.data };
    case 'batch':
      return update.batch;
    case 'item':
      return batchOfItem(update.item);
    case 'stats':
      return { ...emptyBatch, stats: update.stats };
    case 'gateway':
      return { ...emptyBatch, gateway: update.gateway };
    case 'confirmed':
      return { ...emptyBatch, confirmed: [update.confirmed] };
    case 'demoKafka':
      return emptyBatch;
  }
}

function batchOfItem(item: Item): Batch {
  if ('payment_id' in item) return { ...emptyBatch, payments: [item] };
  return 'delivery_id' in item ? { ...emptyBatch, deliveries: [item] } : { ...emptyBatch, orders: [item] };
}

function viewOfSnapshot(data: InitialData): ViewState {
  const { orders, payments, deliveries, stats, gateway } = showable(data);
  return {
    ...emptyView,
    isReady: true,
    orders: orders.slice(0, LIST_LENGTH),
    payments: payments.slice(0, LIST_LENGTH),
    deliveries: deliveries.slice(0, LIST_LENGTH),
    stats,
    gateway,
  };
}

function applyBatch(view: ViewState, batch: Batch): ViewState {
  const { demoKafka: pressed } = view;
  const demoKafka = pressed && batch.gateway && batch.gateway.kafka.since !== pressed.before ? null : pressed;
  const reported = batch.gateway ?? view.gateway;
  const gateway = reported && demoKafka ? { ...reported, kafka: demoKafka.link } : reported;
  const merge = <T extends Item>(list: readonly T[], incoming: readonly T[]) =>
    confirmUpTo(gateway?.journal.watermark, markConfirmed(mergeItems(list, incoming), batch.confirmed));
  const lists = {
    orders: merge(view.orders, batch.orders),
    payments: merge(view.payments, batch.payments),
    deliveries: merge(view.deliveries, batch.deliveries),
  };
  const next = { ...view, ...lists, gateway, demoKafka, stats: batch.stats ?? view.stats };
  if (batch.orders.length + batch.payments.length + batch.deliveries.length === 0) return next;
  const before = new Set(keysOf(view));
  const added = keysOf(next).filter((key) => !before.has(key));
  return {
    ...next,
    newKeys: new Set(added.length <= MAX_ANIMATED_ROWS ? added : []),
    isOddUpdate: !view.isOddUpdate,
  };
}

function switchKafka(view: ViewState, link: Link): ViewState {
  const { gateway } = view;
  if (!gateway || gateway.kafka.state === link.state) return view;
  return { ...view, gateway: { ...gateway, kafka: link }, demoKafka: { link, before: gateway.kafka.since } };
}

const keysOf = ({ orders, payments, deliveries }: ViewState): string[] =>
  [...orders, ...payments, ...deliveries].map(keyOf);

/** `incoming` is oldest first. */
function mergeItems<T extends Item>(list: readonly T[], incoming: readonly T[]): readonly T[] {
  if (incoming.length === 0) return list;
  const byKey = new Map(list.map((item) => [keyOf(item), item]));
  for (const item of incoming) {
    const key = keyOf(item);
    const old = byKey.get(key);
    byKey.set(key, old === undefined ? item : keepConfirmation(old, item));
  }
  return newestFirst([...byKey.values()]);
}

function newestFirst<T extends Item>(items: T[]): T[] {
  return items.sort((a, b) => rowOf(b) - rowOf(a)).slice(0, LIST_LENGTH);
}

/** The gateway omits `row` only for an item that it has just stored and whose row it does not know yet. */
const rowOf = (item: Whereabouts): number => item.row ?? Number.MAX_SAFE_INTEGER;

/** Keeps a confirmation: the gateway may send an event's confirmed and unconfirmed versions in either order. */
function keepConfirmation<T extends Whereabouts>(old: T, now: T): T {
  if (old.ce_id !== now.ce_id || !old.confirmed || now.confirmed) return now;
  return { ...now, confirmed: true, partition: old.partition, offset: old.offset };
}

function markConfirmed<T extends Whereabouts>(items: readonly T[], confirmed: readonly Confirmed[]): readonly T[] {
  const byEvent = new Map(confirmed.map((confirmation) => [confirmation.ce_id, confirmation]));
  if (!items.some((item) => byEvent.has(item.ce_id))) return items;
  return items.map((item) => {
    const at = byEvent.get(item.ce_id);
    return at && item.partition === undefined
      ? { ...item, confirmed: true, partition: at.partition, offset: at.offset }
      : item;
  });
}
