import { describe, expect, it } from 'vitest';
import type { Hour } from '../api/types';
import { change, successRate, twoDays } from './days';

const at = (day: number, hour: number, orders: number, revenue = 0): Hour => ({
  hour: new Date(2026, 2, day, hour).toISOString(), orders, success_payments: orders, failed_payments: 0, deliveries: 0, revenue,
});

describe('two days', () => {
  const now = new Date(2026, 2, 16, 10, 30);

  it('are the days of the place where the page is', () => {
    const days = twoDays([at(15, 23, 5), at(16, 0, 7), at(16, 9, 1), at(14, 9, 100)], now);
    expect(days.today.total.orders).toBe(8);
    expect(days.yesterday.total.orders).toBe(5);
    expect(days.today.hours[9]?.orders).toBe(1);
  });

  it('compare with yesterday up to the same time, the running hour by its share', () => {
    expect(twoDays([at(15, 9, 10), at(15, 10, 20), at(15, 11, 40)], now).yesterdayByNow.orders).toBe(20);
  });

  it('add money without drifting', () => {
    const many = Array.from({ length: 10 }, (_, h) => at(16, h, 1, 0.1));
    expect(twoDays(many, now).today.total.revenue).toBe(1);
  });

  it('survive the first of a month and no hours at all', () => {
    expect(twoDays([], new Date(2026, 2, 1, 0, 5)).today.total.orders).toBe(0);
    const last = { ...at(1, 0, 0), hour: new Date(2026, 1, 28, 12).toISOString(), orders: 4 };
    expect(twoDays([last], new Date(2026, 2, 1, 13)).yesterday.total.orders).toBe(4);
  });
});

describe('the success rate', () => {
  const counts = (good: number, bad: number) => ({ orders: 0, success_payments: good, failed_payments: bad, deliveries: 0, revenue: 0 });

  it('is of the very counts it stands beside', () => {
    expect(successRate(counts(145, 11))).toBeCloseTo(0.9295, 4);
    expect(successRate(counts(0, 3))).toBe(0);
  });

  it('is nothing before the first payment', () => {
    expect(successRate(counts(0, 0))).toBeNull();
  });
});

describe('a change', () => {
  it('is a ratio, or nothing to compare with', () => {
    expect(change(15, 10)).toEqual({ kind: 'ratio', value: 0.5 });
    expect(change(5, 10)).toEqual({ kind: 'ratio', value: -0.5 });
    expect(change(10, 10)).toEqual({ kind: 'same' });
    expect(change(5, 0)).toEqual({ kind: 'nothing' });
  });

  it('is a difference while there was little: early in a day percentages are absurd', () => {
    expect(change(12, 1)).toEqual({ kind: 'difference', value: 11 });
    expect(change(2, 1.8)).toEqual({ kind: 'same' });
    expect(change(900, 75, 2)).toEqual({ kind: 'difference', value: 825 });
    expect(change(150, 75, 9)).toEqual({ kind: 'ratio', value: 1 });
  });
});
