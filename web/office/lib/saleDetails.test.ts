import { describe, expect, it } from 'vitest';
import { describeValue } from './saleDetails';

const LINE = { product: 'Miel', quantity: 2, unit_price: 12.5 };

describe('the details of a sale', () => {
  it('are those that the row does not have', () => {
    expect(
      describeValue({
        order_id: 'o-1',
        customer_name: 'Léa Martin',
        product: 'Miel ×2',
        lines: [LINE],
        amount: 25,
        currency: 'EUR',
        status: 'Pending',
        address: '1 rue Pasteur',
        timestamp: '2026-03-16T15:00:00Z',
        store: 'paris-1',
        device: 'till-1',
      }),
    ).toEqual({ texts: { customer_name: 'Léa Martin', address: '1 rue Pasteur' }, lines: [LINE], others: [] });
  });

  it('have the summary of an order without lines', () => {
    expect(describeValue({ product: 'Miel ×2', lines: [] })).toEqual({
      texts: { product: 'Miel ×2' },
      lines: [],
      others: [],
    });
  });

  it('have nothing for what was erased', () => {
    expect(describeValue({ customer_name: '', address: null, method: 'Cash' })).toEqual({
      texts: { method: 'Cash' },
      lines: [],
      others: [],
    });
  });

  it('show as text what this version does not know', () => {
    expect(describeValue({ customer_name: 7, lines: [{ sku: 'a' }], tip: { amount: 1.5 }, later: [1] }).others).toEqual(
      [
        { name: 'customer_name', json: '7' },
        { name: 'lines', json: '[{"sku":"a"}]' },
        { name: 'tip', json: '{"amount":1.5}' },
        { name: 'later', json: '[1]' },
      ],
    );
    for (const value of ['a text', 7, null, [LINE], true]) {
      expect(describeValue(value)).toEqual({
        texts: {},
        lines: [],
        others: [{ name: '', json: JSON.stringify(value) }],
      });
    }
    expect(describeValue(undefined).others).toEqual([{ name: '', json: '' }]);
    expect(describeValue(JSON.parse('{"__proto__":{"method":"Cash"}}')).texts).toEqual({});
  });

  it('stay short', () => {
    const many = Object.fromEntries(Array.from({ length: 300 }, (_, i) => [`field_${i}`, 'x'.repeat(5000)]));
    const { others } = describeValue(many);
    expect(others).toHaveLength(20);
    expect(others[0]?.json).toHaveLength(501);
  });
});
