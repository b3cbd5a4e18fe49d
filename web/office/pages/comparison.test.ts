import { describe, expect, it } from 'vitest';
import type { ShopComparison, Sums } from '../lib/types';
import {
  addDays,
  formatApiQuery,
  formatChoice,
  mainCurrency,
  NO_CHOICE,
  parseChoice,
  revenueChange,
} from './comparison';

describe('the choice of what is compared', () => {
  it('is in the address', () => {
    const choice = { by: 'week', from: '2026-03-02', to: '2026-03-15', stores: ['lyon-2', 'paris-1'] } as const;
    const query = formatChoice(choice);
    expect(query).toBe('by=week&from=2026-03-02&to=2026-03-15&store=lyon-2,paris-1');
    expect(parseChoice(query)).toEqual(choice);
    expect(formatChoice(NO_CHOICE)).toBe('');
    expect(parseChoice('by=month&from=yesterday&store=')).toEqual(NO_CHOICE);
  });

  it('goes to the API with the day after the last one, in the reader’s time zone', () => {
    const choice = { ...NO_CHOICE, from: '2026-02-27', to: '2026-02-28', stores: ['a', 'b'] };
    expect(formatApiQuery(choice, 'Europe/Paris')).toBe(
      'by=day&since=2026-02-27&until=2026-03-01&time_zone=Europe%2FParis&store=a,b',
    );
  });

  it('counts days as the calendar does', () => {
    expect(addDays('2026-03-29', 1)).toBe('2026-03-30');
    expect(addDays('2026-01-01', -1)).toBe('2025-12-31');
  });
});

const sums = (revenue: Record<string, number>, payments = 10): Sums => ({
  orders: 0,
  payments,
  deliveries: 0,
  revenue: Object.entries(revenue).map(([currency, amount]) => ({ currency, amount })),
});
const shop = (now: Sums, before = sums({})): ShopComparison => ({ total: { now, before }, steps: [] });

describe('the revenue', () => {
  it('is compared in the currency of most shops', () => {
    const shops = [shop(sums({ CHF: 9999 })), shop(sums({ EUR: 1 })), shop(sums({ CHF: 1 }), sums({ EUR: 2 }))];
    expect(mainCurrency({ shops })).toBe('CHF');
    expect(mainCurrency({ shops: [...shops, shop(sums({ EUR: 1 }))] })).toBe('EUR');
    expect(mainCurrency({ shops: [] })).toBe('EUR');
  });

  it('changes by a share, or by an amount after few payments', () => {
    expect(revenueChange(sums({ EUR: 112 }), sums({ EUR: 100 }), 'EUR', 2)).toEqual({ kind: 'ratio', value: 0.12 });
    expect(revenueChange(sums({ EUR: 12.5 }), sums({ EUR: 10 }, 1), 'EUR', 2)).toEqual({
      kind: 'difference',
      value: 2.5,
    });
    expect(revenueChange(sums({ EUR: 12.5 }), sums({ CHF: 10 }), 'EUR', 2)).toEqual({ kind: 'nothing' });
  });
});
