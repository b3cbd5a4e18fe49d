import { describe, expect, it } from 'vitest';
import type { Counts, DaySummary } from '../stats/days';
import { hourBars, labelAnchor, scaleLines } from './hours';

const counts = (orders: number): Counts => ({
  orders,
  success_payments: 0,
  failed_payments: 0,
  deliveries: 0,
  revenue: 0,
});
/** A day with these orders by hour. */
const day = (orders: Record<number, number>) => ({
  hours: Array.from({ length: 24 }, (_, hour) => counts(orders[hour] ?? 0)),
  total: counts(0),
});
const summary = (
  today: Record<number, number>,
  yesterday: Record<number, number>,
  currentHour: number,
): DaySummary => ({
  today: day(today),
  yesterday: day(yesterday),
  yesterdayByNow: counts(0),
  currentHour,
});
const hoursOf = (days: DaySummary) => hourBars(days).map(({ hour }) => hour);

describe('the bars of the orders per hour', () => {
  it('show the usual hours of a shop, also before its first order', () => {
    const hours = hoursOf(summary({}, {}, 10));
    expect([hours[0], hours.at(-1)]).toEqual([8, 19]);
  });

  it('show every hour with orders today or yesterday, and those between', () => {
    const hours = hoursOf(summary({ 6: 1 }, { 22: 3 }, 10));
    expect(hours).toEqual(Array.from({ length: 17 }, (_, i) => i + 6));
  });

  it('show the hour that is running, and mark only it', () => {
    const bars = hourBars(summary({ 9: 4 }, { 9: 2 }, 23));
    expect(bars.at(-1)).toEqual({ hour: 23, orders: 0, yesterday: 0, isRunning: true });
    expect(bars.filter(({ isRunning }) => isRunning)).toHaveLength(1);
    expect(bars.find(({ hour }) => hour === 9)).toEqual({ hour: 9, orders: 4, yesterday: 2, isRunning: false });
  });
});

describe('the lines of a scale', () => {
  it.each([
    [1, [1]],
    [4, [1, 2, 3, 4]],
    [5, [2, 4]],
    [27, [10, 20]],
    [100, [50, 100]],
    [1999, [500, 1000, 1500]],
  ])('up to %i are round numbers', (max, lines) => {
    expect(scaleLines(max)).toEqual(lines);
  });

  it('are at least one and at most four', () => {
    for (let max = 1; max < 3000; max += 1) {
      const lines = scaleLines(max);
      expect(lines.length, String(max)).toBeGreaterThan(0);
      expect(lines.length, String(max)).toBeLessThanOrEqual(4);
      expect(lines.at(-1), String(max)).toBeLessThanOrEqual(max);
    }
  });
});

describe('the label of a point', () => {
  it('is centred on the point in the middle, and ends with the line at its edges', () => {
    expect(labelAnchor(0)).toBe(0);
    expect(labelAnchor(0.5)).toBe(0.5);
    expect(labelAnchor(1)).toBe(1);
  });

  it('never leaves the line if it takes two fifths of it', () => {
    for (let at = 0; at <= 1; at += 0.01) {
      const start = at - labelAnchor(at) * 0.4;
      expect(start).toBeGreaterThanOrEqual(-1e-9);
      expect(start + 0.4).toBeLessThanOrEqual(1 + 1e-9);
    }
  });
});
