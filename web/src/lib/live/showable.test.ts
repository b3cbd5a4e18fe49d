import { describe, expect, it } from 'vitest';
import type { Batch, Delivery, InitialData, Order, Payment } from '../api/types';
import { emptyView, reduce } from './reducer';
import { isDelivery, isOrder, isPayment } from './showable';

const common = {
  order_id: 'o-1',
  timestamp: '2026-11-22T10:00:00Z',
  store: 'paris-1',
  device: 'till-1',
  ce_id: 'paris-1/till-1/7/1',
  origin: 'kafka' as const,
  confirmed: true,
  row: 1,
};
const order: Order = {
  ...common,
  customer_name: '',
  product: 'Thé',
  lines: [{ product: 'Thé', quantity: 2, unit_price: 4.45 }],
  amount: 8.9,
  currency: 'EUR',
  status: 'Pending',
};
const payment: Payment = {
  ...common,
  payment_id: 'p-1',
  amount: 8.9,
  currency: 'EUR',
  method: 'Cash',
  status: 'SUCCESS',
};
const delivery: Delivery = {
  ...common,
  delivery_id: 'd-1',
  address: '1 rue du Four',
  status: 'Pending',
  estimated_date: '2026-12-01',
};
/** A row that blanked a shop's payments page. Its writer was not a gateway. */
const broken = { payment_id: 'x', status: 'SUCCESS', amount: 9 } as unknown as Payment;

describe('a row that cannot be shown', () => {
  it('is one without a field that the tables read', () => {
    for (const [isWhole, row, optional] of [
      [isOrder, order, ['origin', 'confirmed', 'row']],
      [isPayment, payment, ['origin', 'confirmed', 'row']],
      [isDelivery, delivery, ['origin', 'confirmed', 'row', 'address']],
    ] as const) {
      expect(isWhole(row)).toBe(true);
      for (const field of Object.keys(row)) {
        const rest = Object.fromEntries(Object.entries(row).filter(([name]) => name !== field));
        expect(isWhole(rest), field).toBe((optional as readonly string[]).includes(field));
      }
    }
    for (const row of [
      null,
      undefined,
      7,
      'row',
      [],
      {},
      { ...payment, amount: '9' },
      { ...payment, payment_id: '' },
    ]) {
      expect(isPayment(row)).toBe(false);
    }
    expect(isOrder({ ...order, lines: [{ product: 'Thé' }] })).toBe(false);
    expect(isDelivery({ ...delivery, address: 7 })).toBe(false);
  });

  it('is not one whose personal data the reader may not see', () => {
    expect(isDelivery({ ...delivery, address: null })).toBe(true);
    expect(isOrder({ ...order, customer_email: null, address: null })).toBe(true);
  });

  it('is left out of a snapshot and of a batch, and the others are shown', () => {
    const data = { orders: [], payments: [broken, payment], deliveries: [], stats: null, gateway: null };
    const view = reduce(emptyView, { type: 'snapshot', data: data as unknown as InitialData });
    expect(view.payments).toEqual([payment]);
    const second: Payment = { ...payment, payment_id: 'p-2', row: 2 };
    const batch: Batch = {
      orders: [{} as Order, order],
      payments: [broken, second],
      deliveries: [null as unknown as Delivery, delivery],
      confirmed: [],
      stats: null,
      gateway: null,
    };
    const next = reduce(view, { type: 'batch', batch });
    expect(next.payments).toEqual([second, payment]);
    expect(next.orders).toEqual([order]);
    expect(next.deliveries).toEqual([delivery]);
    expect(reduce(next, { type: 'item', item: broken }).payments).toEqual(next.payments);
  });
});
