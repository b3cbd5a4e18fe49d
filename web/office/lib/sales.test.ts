import { describe, expect, it } from 'vitest';
import { appendSales, keyOf } from './sales';
import type { SaleItem } from './types';

const sale = (id: string, more: Partial<SaleItem> = {}): SaleItem => ({
  store: 'paris-1',
  kind: 'payment',
  device: 'till-1',
  id,
  order_id: 'o-1',
  status: 'SUCCESS',
  time: '2026-03-16T15:00:00Z',
  corrections: 0,
  epoch: 7,
  number: 1,
  value: {},
  ...more,
});
const ids = (sales: readonly SaleItem[]) => sales.map(({ id }) => id);

describe('a sale', () => {
  it('is shown once', () => {
    const before = [sale('a'), sale('b')];
    expect(ids(appendSales(before, [sale('b', { status: 'FAILED' }), sale('c'), sale('c')]))).toEqual(['a', 'b', 'c']);
  });

  it('is another one at another till, in another shop, or of another kind', () => {
    const all = [
      sale('a'),
      sale('a', { device: 'till-2' }),
      sale('a', { store: 'lyon-2' }),
      sale('a', { kind: 'order' }),
    ];
    expect(new Set(all.map(keyOf)).size).toBe(4);
  });
});
