import { describe, expect, it } from 'vitest';
import type { ShopDay } from '../api/types';
import { barWidths, fillHours, foldRows, isQuiet, selectProducts } from './figures';

const quiet: ShopDay = {
  date: '2026-12-02',
  time_zone: 'Europe/Paris',
  from: '2026-12-01T23:00:00Z',
  to: '2026-12-02T23:00:00Z',
  is_today: true,
  currency: 'EUR',
  takings: { payments: 0, gross: 0, refunds: 0, refunded: 0, net: 0, failed: 0 },
  orders: { orders: 0, amount: 0, cancelled: 0, cancelled_amount: 0 },
  by_method: [],
  by_till: [],
  by_vat_rate: [],
  by_product: [],
  other_products: { products: 0, amount: 0 },
  by_hour: [],
  other_currencies: [],
};

describe('a day', () => {
  it('is quiet only if nothing happened, not even something that failed', () => {
    expect(isQuiet(quiet)).toBe(true);
    expect(isQuiet({ ...quiet, takings: { ...quiet.takings, failed: 1 } })).toBe(false);
    expect(isQuiet({ ...quiet, orders: { ...quiet.orders, cancelled: 1 } })).toBe(false);
    expect(isQuiet({ ...quiet, other_currencies: [{ currency: 'USD', net: 10 }] })).toBe(false);
  });
});

describe('the hours', () => {
  const hour = (at: string, net: number) => ({ hour: `2026-12-02T${at}:00Z`, payments: 1, net });

  it('have no gaps between the first and the last', () => {
    const filled = fillHours([hour('07:00', 5), hour('10:00', 3)]);
    expect(filled.map(({ net }) => net)).toEqual([5, 0, 0, 3]);
    expect(filled[1]?.hour).toBe('2026-12-02T08:00:00.000Z');
  });

  it('stay as they are if they do not begin an hour after each other', () => {
    const odd = [hour('07:00', 5), hour('07:30', 3)];
    expect(fillHours(odd)).toEqual(odd);
    expect(fillHours([])).toEqual([]);
  });

  it('have bars as long as their share of the longest, also below zero', () => {
    expect(barWidths([10, 5, 0, -10])).toEqual([1, 0.5, 0, 1]);
    expect(barWidths([0, 0])).toEqual([0, 0]);
  });
});

describe('the products', () => {
  const products = [
    { product: 'Éclair au café', quantity: 3, amount: 9.3 },
    { product: 'Bœuf', unit: 'kg' as const, quantity: 1.25, amount: 25.1 },
    { product: 'Pain', quantity: 2, amount: 0.2 },
  ];
  const day = { by_product: products, other_products: { products: 2, amount: 0.1 } };
  const select = (search: string, limit = 1) => selectProducts(day, { search, limit, decimals: 2 });

  it('beyond the limit are one sum, with those that the gateway left out', () => {
    const { rows, others } = select('');
    expect(rows).toEqual([products[0]]);
    expect(others).toEqual({ products: 4, amount: 25.4 });
    expect(
      selectProducts({ ...day, other_products: { products: 0, amount: 0 } }, { search: '', limit: 3, decimals: 2 }),
    ).toEqual({ rows: products, others: null });
  });

  it('are found without accents, capitals and ligatures, by every word', () => {
    const found = (search: string) => select(search).rows.map(({ product }) => product);
    expect(found('eclair')).toEqual(['Éclair au café']);
    expect(found('CAFE éc')).toEqual(['Éclair au café']);
    expect(found('boeuf')).toEqual(['Bœuf']);
    expect(found('thé')).toEqual([]);
  });
});

describe('rows on paper', () => {
  it('beyond the limit are one sum', () => {
    const rows = [1, 2, 3].map((n) => ({ payments: n, refunded: 0.1, net: n + 0.1 }));
    expect(foldRows(rows, 3, 2).others).toBeNull();
    expect(foldRows(rows, 1, 2)).toEqual({
      rows: [rows[0]],
      others: { count: 2, payments: 5, refunded: 0.2, net: 5.2 },
    });
  });
});
