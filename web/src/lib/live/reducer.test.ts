import { describe, expect, it } from 'vitest';
import type { Batch, GatewayStatus, InitialData, Order, Payment } from '../api/types';
import { asActivity, followOrders, nothing, reduce, SHOWN, type Shown } from './reducer';

const order = (n: number, more: Partial<Order> = {}): Order => ({
  order_id: `o-${n}`, customer_name: 'Camille Martin', product: 'Thé', lines: [], amount: 8.9, currency: 'EUR', status: 'Pending', timestamp: new Date(1_700_000_000_000 + n * 1000).toISOString(),
  store: 'paris-1', device: 'till-1', ce_id: `paris-1/till-1/7/${n}`, origin: 'local', confirmed: false, row: n, journal_offset: n, ...more,
});
const payment = (n: number): Payment => ({
  payment_id: `p-${n}`, order_id: 'o-1', amount: 8.9, currency: 'EUR', method: 'Cash', status: 'SUCCESS', timestamp: new Date(1_700_000_000_000 + n * 1000).toISOString(),
  store: 'paris-1', device: 'till-1', ce_id: `paris-1/till-1/7/${n}`, origin: 'local', confirmed: false, row: n, journal_offset: n,
});
const stats = { total_orders: 3, total_payments: 0, success_payments: 0, failed_payments: 0, total_deliveries: 0, total_revenue: 0, currency: 'EUR', payment_success_rate: 0, orders_per_hour: [] };
const batch = (more: Partial<Batch>): Batch => ({ orders: [], payments: [], deliveries: [], confirmed: [], stats: null, gateway: null, ...more });
const snapshot = (orders: Order[], payments: Payment[] = []): InitialData => ({ orders, payments, deliveries: [], stats, gateway: {} as InitialData['gateway'] });
const after = (...batches: Partial<Batch>[]): Shown => batches.reduce<Shown>((shown, b) => reduce(shown, { type: 'batch', batch: batch(b) }), nothing);
const ids = (shown: Shown) => shown.orders.map((o) => o.order_id);

describe('an item is one row', () => {
  it('a new one comes first, a batch is oldest first', () => {
    expect(ids(after({ orders: [order(1), order(2)] }, { orders: [order(3)] }))).toEqual(['o-3', 'o-2', 'o-1']);
  });

  it('a later one with the same id replaces it where it is', () => {
    const shown = after({ orders: [order(1), order(2)] }, { orders: [order(1, { status: 'Completed', ce_id: 'paris-1/till-1/7/9', journal_offset: 9 })] });
    expect(ids(shown)).toEqual(['o-2', 'o-1']);
    expect(shown.orders[1]?.status).toBe('Completed');
    expect(shown.activity.map((a) => a.id)).toEqual(['o-2', 'o-1']);
    expect(shown.activity[1]?.item.status).toBe('Completed');
  });

  it('even when both come in one batch', () => {
    const shown = after({ orders: [order(1), order(1, { status: 'Processing', journal_offset: 2 })] });
    expect(shown.orders).toHaveLength(1);
    expect(shown.orders[0]?.status).toBe('Processing');
  });

  it('and when it is told again after a reconnection', () => {
    expect(ids(after({ orders: [order(1), order(2)] }, { orders: [order(1), order(2)] }))).toEqual(['o-2', 'o-1']);
  });

  it('shops and tills number independently: one id of two stores or two tills is several rows', () => {
    const lyon = { ...order(2), order_id: 'o-1', store: 'lyon-1' };
    expect(after({ orders: [order(1), lyon] }).orders.map((o) => o.store)).toEqual(['lyon-1', 'paris-1']);
    const second = { ...payment(2), payment_id: 'p-1', device: 'till-2', amount: 90 };
    const shown = after({ payments: [payment(1), second] }, { payments: [{ ...payment(3), payment_id: 'p-1', row: 1, status: 'FAILED' }] });
    expect(shown.payments.map((p) => [p.device, p.status, p.amount])).toEqual([['till-2', 'SUCCESS', 90], ['till-1', 'FAILED', 8.9]]);
    expect(shown.activity).toHaveLength(2);
  });

  it('an order and a payment with the same id are two', () => {
    const same = { ...payment(2), payment_id: 'o-1' };
    expect(after({ orders: [order(1)], payments: [same] }).activity).toHaveLength(2);
  });
});

describe('lists are bounded', () => {
  it('to the newest', () => {
    const many = Array.from({ length: 70 }, (_, i) => order(i + 1));
    const shown = after({ orders: many });
    expect(shown.orders).toHaveLength(SHOWN);
    expect(shown.activity).toHaveLength(SHOWN);
    expect(shown.orders[0]?.order_id).toBe('o-70');
  });
});

describe('activity', () => {
  it('is in the order in which all were first seen, not of the kinds', () => {
    const shown = after({ orders: [order(1), order(3)], payments: [payment(2)] });
    expect(shown.activity.map((a) => a.id)).toEqual(['o-3', 'p-2', 'o-1']);
  });

  it('an old one that changes is not taken for a new one', () => {
    const many = Array.from({ length: 60 }, (_, i) => order(i + 1));
    const shown = after({ orders: many }, { orders: [order(3, { status: 'Completed', ce_id: 'paris-1/till-1/7/99', journal_offset: 99 })] });
    expect(ids(shown)).toHaveLength(SHOWN);
    expect(ids(shown)).not.toContain('o-3');
    expect(shown.activity.map((a) => a.id)).not.toContain('o-3');
  });
});

describe('confirmations', () => {
  const confirmed = { kind: 'order' as const, order_id: 'o-1', ce_id: 'paris-1/till-1/7/1', partition: 2, offset: 41 };

  it('mark the row and the activity, also in the batch that brings the item', () => {
    const shown = after({ orders: [order(1)], confirmed: [confirmed] });
    expect(shown.orders[0]).toMatchObject({ confirmed: true, partition: 2, offset: 41 });
    expect(shown.activity[0]?.item).toMatchObject({ confirmed: true, partition: 2, offset: 41 });
  });

  it('of an earlier event do not mark a later state', () => {
    const shown = after({ orders: [order(1, { ce_id: 'paris-1/till-1/7/5' })] }, { confirmed: [confirmed] });
    expect(shown.orders[0]?.confirmed).toBe(false);
  });

  it('stay when the same event is told again unmarked', () => {
    const shown = after({ orders: [order(1)], confirmed: [confirmed] }, { orders: [order(1)] });
    expect(shown.orders[0]).toMatchObject({ confirmed: true, offset: 41 });
  });

  it('leave lists alone that they do not touch', () => {
    const before = after({ orders: [order(1)] });
    expect(reduce(before, { type: 'confirmed', confirmed: { ...confirmed, ce_id: 'other' } }).orders).toBe(before.orders);
  });
});

describe('the watermark', () => {
  const upTo = (watermark: number) => ({ journal: { watermark } }) as GatewayStatus;

  it('marks what is at or below it, in the lists and in the activity, and nothing above', () => {
    const shown = reduce(after({ orders: [order(1), order(2), order(3)] }), { type: 'gateway', gateway: upTo(2) });
    expect(shown.orders.map((o) => o.confirmed)).toEqual([false, true, true]);
    expect(shown.activity.map((a) => a.item.confirmed)).toEqual([false, true, true]);
  });

  it('marks what comes later and is below it, and leaves the place in Kafka to be told', () => {
    const shown = after({ gateway: upTo(5) }, { orders: [order(4)] }, { confirmed: [{ kind: 'order', order_id: 'o-4', ce_id: 'paris-1/till-1/7/4', partition: 1, offset: 9 }] });
    expect(shown.orders[0]).toMatchObject({ confirmed: true, partition: 1, offset: 9 });
  });

  it('says nothing of another gateway’s events', () => {
    const { journal_offset, ...elsewhere } = order(1);
    expect(journal_offset).toBe(1);
    expect(after({ orders: [elsewhere], gateway: upTo(9) }).orders[0]?.confirmed).toBe(false);
  });
});

describe('a page of older ones', () => {
  const page = [order(2), order(1)];

  it('follows what happens to its rows, and lets none come in', () => {
    const now = followOrders(page, { type: 'batch', batch: batch({ orders: [order(1, { status: 'Completed', ce_id: 'later', journal_offset: 7 }), order(9)], gateway: { journal: { watermark: 6 } } as GatewayStatus }) });
    expect(now.map((o) => [o.order_id, o.status, o.confirmed])).toEqual([['o-2', 'Pending', true], ['o-1', 'Completed', false]]);
  });

  it('stays the very same if nothing of it changes', () => {
    expect(followOrders(page, { type: 'item', entry: asActivity.order(order(9)) })).toBe(page);
    expect(followOrders(page, { type: 'stats', stats })).toBe(page);
  });
});

describe('a snapshot', () => {
  it('replaces everything', () => {
    const shown = reduce(after({ orders: [order(1), order(2)] }), { type: 'snapshot', data: snapshot([order(9)], [payment(8)]) });
    expect(ids(shown)).toEqual(['o-9']);
    expect(shown.activity.map((a) => a.id)).toEqual(['o-9', 'p-8']);
    expect(shown).toMatchObject({ ready: true, stats });
    expect(shown.fresh.size).toBe(0);
  });
});

describe('totals', () => {
  it('are what the gateway says, whatever the rows are', () => {
    expect(after({ orders: [order(1)], stats }).stats).toBe(stats);
    expect(after({ stats }, { orders: [order(1)] }).stats).toBe(stats);
  });
});

describe('what is new', () => {
  it('is marked for one change, and not when it is many', () => {
    const one = reduce(nothing, { type: 'item', entry: asActivity.order(order(1)) });
    expect([...one.fresh]).toEqual(['order paris-1/o-1']);
    const many = after({ orders: Array.from({ length: 30 }, (_, i) => order(i)) });
    expect(many.fresh.size).toBe(0);
  });

  it('is not an old row that changes', () => {
    expect(after({ orders: [order(1)] }, { orders: [order(1, { status: 'Completed' })] }).fresh.size).toBe(0);
  });
});
