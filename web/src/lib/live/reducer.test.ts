import { describe, expect, it } from 'vitest';
import type { Batch, GatewayStatus, InitialData, Order, Payment, Stats } from '../api/types';
import {
  emptyView,
  idOf,
  latestActivity,
  LIST_LENGTH,
  reduce,
  replaceItems,
  updateItems,
  type ViewState,
} from './reducer';

const order = (n: number, more: Partial<Order> = {}): Order => ({
  order_id: `o-${n}`,
  customer_name: 'Camille Martin',
  product: 'Thé',
  lines: [],
  amount: 8.9,
  currency: 'EUR',
  status: 'Pending',
  timestamp: new Date(1_700_000_000_000 + n * 1000).toISOString(),
  store: 'paris-1',
  device: 'till-1',
  ce_id: `paris-1/till-1/7/${n}`,
  origin: 'local',
  confirmed: false,
  row: n,
  journal_offset: n,
  ...more,
});
const payment = (n: number): Payment => ({
  payment_id: `p-${n}`,
  order_id: 'o-1',
  amount: 8.9,
  currency: 'EUR',
  method: 'Cash',
  status: 'SUCCESS',
  timestamp: new Date(1_700_000_000_000 + n * 1000).toISOString(),
  store: 'paris-1',
  device: 'till-1',
  ce_id: `paris-1/till-1/7/${n}`,
  origin: 'local',
  confirmed: false,
  row: n,
  journal_offset: n,
});
const stats: Stats = {
  total_orders: 3,
  total_payments: 0,
  success_payments: 0,
  failed_payments: 0,
  total_deliveries: 0,
  total_revenue: 0,
  currency: 'EUR',
  payment_success_rate: 0,
  orders_per_hour: [],
};
const createBatch = (more: Partial<Batch>): Batch => ({
  orders: [],
  payments: [],
  deliveries: [],
  confirmed: [],
  stats: null,
  gateway: null,
  ...more,
});
const initialData = (orders: Order[], payments: Payment[] = []): InitialData => ({
  orders,
  payments,
  deliveries: [],
  stats,
  gateway: {} as InitialData['gateway'],
});
const viewAfter = (...batches: Partial<Batch>[]): ViewState =>
  batches.reduce<ViewState>((view, batch) => reduce(view, { type: 'batch', batch: createBatch(batch) }), emptyView);
const orderIds = (view: ViewState) => view.orders.map(({ order_id }) => order_id);
const activityIds = (view: ViewState) => latestActivity(view).map(idOf);
const gatewayWith = (watermark: number) => ({ journal: { watermark } }) as GatewayStatus;

describe('a list', () => {
  it('is newest first, although a batch is oldest first', () => {
    const view = viewAfter({ orders: [order(1), order(2)] }, { orders: [order(3)] });
    expect(orderIds(view)).toEqual(['o-3', 'o-2', 'o-1']);
  });

  it('replaces an item with a later one of the same key, in the same place', () => {
    const view = viewAfter(
      { orders: [order(1), order(2)] },
      { orders: [order(1, { status: 'Completed', ce_id: 'paris-1/till-1/7/9', journal_offset: 9 })] },
    );
    expect(orderIds(view)).toEqual(['o-2', 'o-1']);
    expect(view.orders[1]?.status).toBe('Completed');
  });

  it('replaces an item with a later one of the same batch', () => {
    const view = viewAfter({ orders: [order(1), order(1, { status: 'Processing', journal_offset: 2 })] });
    expect(view.orders.map(({ status }) => status)).toEqual(['Processing']);
  });

  it('does not change if the gateway repeats its items', () => {
    const batch = { orders: [order(1), order(2)] };
    expect(orderIds(viewAfter(batch, batch))).toEqual(['o-2', 'o-1']);
  });

  it('has separate rows for orders of two stores with the same id', () => {
    const lyon = { ...order(2), order_id: 'o-1', store: 'lyon-1' };
    expect(viewAfter({ orders: [order(1), lyon] }).orders.map(({ store }) => store)).toEqual(['lyon-1', 'paris-1']);
  });

  it('has separate rows for payments of two tills with the same id', () => {
    const second = { ...payment(2), payment_id: 'p-1', device: 'till-2', amount: 90 };
    const view = viewAfter(
      { payments: [payment(1), second] },
      { payments: [{ ...payment(3), payment_id: 'p-1', row: 1, status: 'FAILED' }] },
    );
    expect(view.payments.map(({ device, status, amount }) => [device, status, amount])).toEqual([
      ['till-2', 'SUCCESS', 90],
      ['till-1', 'FAILED', 8.9],
    ]);
  });

  it('holds only the newest items', () => {
    const view = viewAfter({ orders: Array.from({ length: 70 }, (_, i) => order(i + 1)) });
    expect(view.orders).toHaveLength(LIST_LENGTH);
    expect(view.orders[0]?.order_id).toBe('o-70');
  });

  it('does not bring back an old item that changes', () => {
    const changed = order(3, { status: 'Completed', ce_id: 'paris-1/till-1/7/99', journal_offset: 99 });
    const view = viewAfter({ orders: Array.from({ length: 60 }, (_, i) => order(i + 1)) }, { orders: [changed] });
    expect(orderIds(view)).toHaveLength(LIST_LENGTH);
    expect(orderIds(view)).not.toContain('o-3');
  });
});

describe('the latest activity', () => {
  it('is in the order of time, although the gateway saw an earlier sale later', () => {
    const { timestamp } = order(1);
    expect(activityIds(viewAfter({ orders: [order(2), order(4, { timestamp })], payments: [payment(3)] }))).toEqual([
      'p-3',
      'o-2',
      'o-4',
    ]);
  });

  it('has one order of items of the same time, in whichever order they arrive', () => {
    const { timestamp } = order(1);
    const orders = [order(1), order(3, { timestamp }), order(4, { timestamp, row: undefined })];
    const payments = [2, 5].map((n) => ({ ...payment(n), timestamp, row: n === 5 ? undefined : n }));
    const expected = ['o-4', 'p-5', 'o-3', 'p-2', 'o-1'];
    expect(activityIds(viewAfter({ orders, payments }))).toEqual(expected);
    expect(activityIds(viewAfter({ payments }, ...orders.map((item) => ({ orders: [item] }))))).toEqual(expected);
    expect(
      activityIds(reduce(emptyView, { type: 'snapshot', data: initialData(orders.toReversed(), payments) })),
    ).toEqual(expected);
  });

  it('mixes the kinds', () => {
    expect(activityIds(viewAfter({ orders: [order(1), order(3)], payments: [payment(2)] }))).toEqual([
      'o-3',
      'p-2',
      'o-1',
    ]);
  });

  it('has separate rows for an order and a payment with the same id', () => {
    const view = viewAfter({ orders: [order(1)], payments: [{ ...payment(2), payment_id: 'o-1' }] });
    expect(activityIds(view)).toEqual(['o-1', 'o-1']);
  });

  it('is as long as a list', () => {
    const many = Array.from({ length: 40 }, (_, i) => i + 1);
    const view = viewAfter({ orders: many.map((n) => order(2 * n)), payments: many.map((n) => payment(2 * n + 1)) });
    expect(activityIds(view)).toHaveLength(LIST_LENGTH);
    expect(activityIds(view).slice(0, 3)).toEqual(['p-81', 'o-80', 'p-79']);
  });
});

describe('a confirmation', () => {
  const confirmed = { kind: 'order' as const, order_id: 'o-1', ce_id: 'paris-1/till-1/7/1', partition: 2, offset: 41 };

  it('marks an item, even one of the same batch', () => {
    const view = viewAfter({ orders: [order(1)], confirmed: [confirmed] });
    expect(view.orders[0]).toMatchObject({ confirmed: true, partition: 2, offset: 41 });
  });

  it('of an earlier event does not mark a later state', () => {
    const view = viewAfter({ orders: [order(1, { ce_id: 'paris-1/till-1/7/5' })] }, { confirmed: [confirmed] });
    expect(view.orders[0]?.confirmed).toBe(false);
  });

  it('is kept if the gateway repeats the unconfirmed event', () => {
    const view = viewAfter({ orders: [order(1)], confirmed: [confirmed] }, { orders: [order(1)] });
    expect(view.orders[0]).toMatchObject({ confirmed: true, offset: 41 });
  });

  it('of another item leaves the list identical', () => {
    const before = viewAfter({ orders: [order(1)] });
    const after = reduce(before, { type: 'confirmed', confirmed: { ...confirmed, ce_id: 'other' } });
    expect(after.orders).toBe(before.orders);
  });
});

describe('the watermark', () => {
  it('confirms the items at or below it, and none above', () => {
    const before = viewAfter({ orders: [order(1), order(2), order(3)] });
    const view = reduce(before, { type: 'gateway', gateway: gatewayWith(2) });
    expect(view.orders.map(({ confirmed }) => confirmed)).toEqual([false, true, true]);
  });

  it('confirms a later item below it, and a confirmation still adds the place in Kafka', () => {
    const view = viewAfter(
      { gateway: gatewayWith(5) },
      { orders: [order(4)] },
      { confirmed: [{ kind: 'order', order_id: 'o-4', ce_id: 'paris-1/till-1/7/4', partition: 1, offset: 9 }] },
    );
    expect(view.orders[0]).toMatchObject({ confirmed: true, partition: 1, offset: 9 });
  });

  it('does not confirm another gateway’s events', () => {
    const elsewhere = { ...order(1), journal_offset: undefined } as unknown as Order;
    expect(viewAfter({ orders: [elsewhere], gateway: gatewayWith(9) }).orders[0]?.confirmed).toBe(false);
  });
});

describe('a page of older orders', () => {
  const page = [order(2), order(1)];

  it('takes over changes of its rows and adds none', () => {
    const changed = order(1, { status: 'Completed', ce_id: 'later', journal_offset: 7 });
    const batch = createBatch({ orders: [changed, order(9)], gateway: gatewayWith(6) });
    const updated = updateItems(page, { type: 'batch', batch });
    expect(updated.map(({ order_id, status, confirmed }) => [order_id, status, confirmed])).toEqual([
      ['o-2', 'Pending', true],
      ['o-1', 'Completed', false],
    ]);
  });

  it('stays identical if nothing on it changes', () => {
    expect(updateItems(page, { type: 'item', item: order(9) })).toBe(page);
    expect(updateItems(page, { type: 'stats', stats })).toBe(page);
  });
});

describe('a snapshot', () => {
  it('replaces the whole view', () => {
    const before = viewAfter({ orders: [order(1), order(2)] });
    const view = reduce(before, { type: 'snapshot', data: initialData([order(9)], [payment(8)]) });
    expect(orderIds(view)).toEqual(['o-9']);
    expect(activityIds(view)).toEqual(['o-9', 'p-8']);
    expect(view).toMatchObject({ isReady: true, stats });
    expect(view.newKeys.size).toBe(0);
  });
});

describe('totals', () => {
  it('come from the gateway, whatever the rows are', () => {
    expect(viewAfter({ orders: [order(1)], stats }).stats).toBe(stats);
    expect(viewAfter({ stats }, { orders: [order(1)] }).stats).toBe(stats);
  });
});

describe('the button that stops the demo’s Kafka', () => {
  const at = (state: 'up' | 'down', since: string) => ({ ...gatewayWith(1), kafka: { state, since } });
  const down = { state: 'down' as const, since: '10:00:05' };
  const pressed = reduce(viewAfter({ gateway: at('up', '09:00:00') }), { type: 'demoKafka', link: down });

  it('shows at once that Kafka is down, although the gateway has not noticed', () => {
    expect(pressed.gateway?.kafka).toEqual(down);
    const later = reduce(pressed, { type: 'gateway', gateway: at('up', '09:00:00') });
    expect(later.gateway?.kafka).toEqual(down);
  });

  it('leaves it to the gateway as soon as that has noticed a change', () => {
    const noticed = reduce(pressed, { type: 'gateway', gateway: at('down', '10:00:06') });
    const later = reduce(noticed, { type: 'gateway', gateway: at('up', '10:00:30') });
    expect([noticed, later].map((view) => view.gateway?.kafka.since)).toEqual(['10:00:06', '10:00:30']);
  });

  it('changes nothing if the gateway was faster', () => {
    const noticed = viewAfter({ gateway: at('down', '10:00:06') });
    expect(reduce(noticed, { type: 'demoKafka', link: down })).toBe(noticed);
  });
});

describe('rows that were read again', () => {
  it('show what was read later, and no row is added or removed', () => {
    const later = order(1, { status: 'Completed' });
    expect(replaceItems([order(2), order(1)], [order(3), later])).toEqual([order(2), later]);
  });

  it('are not replaced by a row of another store with the same number', () => {
    expect(replaceItems([order(1)], [order(1, { store: 'lyon-2' })])).toEqual([order(1)]);
  });
});

describe('new rows', () => {
  it('are marked if they are few', () => {
    const view = reduce(emptyView, { type: 'item', item: order(1) });
    expect([...view.newKeys]).toEqual(['order paris-1/o-1']);
    expect(reduce(view, { type: 'item', item: order(2) }).isOddUpdate).not.toBe(view.isOddUpdate);
  });

  it('are not marked in a flood', () => {
    const view = viewAfter({ orders: Array.from({ length: 30 }, (_, i) => order(i)) });
    expect(view.newKeys.size).toBe(0);
  });

  it('do not include an old row that changes', () => {
    const view = viewAfter({ orders: [order(1)] }, { orders: [order(1, { status: 'Completed' })] });
    expect(view.newKeys.size).toBe(0);
  });
});
