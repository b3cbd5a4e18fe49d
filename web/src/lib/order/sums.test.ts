import { describe, expect, it } from 'vitest';
import type { Line, Order, Payment } from '../api/types';
import { groupPayments, lineAmount, parseQuantity, refundOfLines, sumUp, vatOf } from './sums';

const payment = (id: string, amount: number, more: Partial<Payment> = {}): Payment => ({
  payment_id: id,
  order_id: 'o-1',
  amount,
  currency: 'EUR',
  method: 'Cash',
  status: 'SUCCESS',
  timestamp: '2026-03-16T15:40:00Z',
  store: 'paris-1',
  device: 'till-1',
  ce_id: `paris-1/till-1/7/${id}`,
  origin: 'local',
  confirmed: true,
  ...more,
});
const order = { amount: 12.5, currency: 'EUR' } as Order;
const two = () => 2;
const line = (more: Partial<Line>): Line => ({ product: 'Miel', quantity: 1, unit_price: 1, ...more });

describe('the sums of an order', () => {
  it('leave refunds due again, and are exact to the cent', () => {
    const payments = [payment('p-1', 4.1), payment('p-2', 8.4), payment('r-1', -0.3, { refund_of: 'p-1' })];
    expect(sumUp(order, payments, 2)).toEqual({ total: 12.5, paid: 12.5, refunded: 0.3, due: 0.3 });
  });

  it('count neither failed payments nor other currencies', () => {
    const payments = [payment('p-1', 12.5, { status: 'FAILED' }), payment('p-2', 12.5, { currency: 'USD' })];
    expect(sumUp(order, payments, 2)).toEqual({ total: 12.5, paid: 0, refunded: 0, due: 12.5 });
  });

  it('are never below nothing due', () => {
    expect(sumUp(order, [payment('p-1', 20)], 2).due).toBe(0);
  });
});

describe('the refunds of a payment', () => {
  it('are beneath it, and reduce what is left', () => {
    const payments = [payment('p-1', 10), payment('r-1', -2.5, { refund_of: 'p-1', device: 'counter' })];
    const { groups, others } = groupPayments(payments, two);
    expect(groups.map(({ refunds, left }) => [refunds.length, left])).toEqual([[1, 7.5]]);
    expect(others).toEqual([]);
  });

  it('are those of the same till, if two tills have a payment with this id', () => {
    const payments = [
      payment('p-1', 10),
      payment('p-1', 20, { device: 'till-2' }),
      payment('r-1', -20, { refund_of: 'p-1', device: 'till-2' }),
    ];
    expect(groupPayments(payments, two).groups.map(({ left }) => left)).toEqual([10, 0]);
  });

  it('stand alone if the payment is unknown here', () => {
    expect(groupPayments([payment('r-1', -2, { refund_of: 'p-9' })], two).others).toHaveLength(1);
  });

  it('leave nothing of a failed payment', () => {
    expect(groupPayments([payment('p-1', 10, { status: 'FAILED' })], two).groups[0]?.left).toBe(0);
  });
});

describe('a line', () => {
  it('multiplies a weight of three decimals exactly', () => {
    expect(lineAmount(line({ quantity: 1.255, unit: 'kg', unit_price: 4 }), 2)).toBe(5.02);
    expect(lineAmount(line({ quantity: 3, unit_price: 1.1, discount: 0.3 }), 2)).toBe(3);
  });

  it('is refunded in proportion to its quantity, and never beyond it', () => {
    const lines = [line({ quantity: 3, unit_price: 1.1, discount: 0.3 }), line({ unit_price: 5 })];
    expect(refundOfLines(lines, [1, 0], 2)).toBe(1);
    expect(refundOfLines(lines, [9, 1], 2)).toBe(8);
  });
});

it('the VAT is included in the amount, by rate', () => {
  const lines = [line({ unit_price: 100, vat_rate: 5.5 }), line({ unit_price: 12, vat_rate: 20 }), line({})];
  expect(vatOf(lines, 2)).toEqual([
    { rate: 5.5, amount: 100, vat: 5.21 },
    { rate: 20, amount: 12, vat: 2 },
  ]);
});

it('a quantity has at most three decimals', () => {
  expect(['1', '0,125', '1.5', '1,2345', 'x', '-1', ''].map(parseQuantity)).toEqual([
    1,
    0.125,
    1.5,
    null,
    null,
    null,
    null,
  ]);
});
