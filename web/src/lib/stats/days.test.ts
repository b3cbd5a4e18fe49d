import { afterEach, describe, expect, it, vi } from 'vitest';
import type { Hour } from '../api/types';
import { change, successRate, twoDays } from './days';

type Four = Hour['quarters']['orders'];
const nothing: Four = [0, 0, 0, 0];

/** An hour of UTC with so many orders and so much revenue in each of its quarters. */
const utc = (hour: string, orders: Four, revenue: Four = nothing): Hour => {
  const sum = (counts: Four) => counts.reduce((all, count) => all + count, 0);
  return {
    hour, orders: sum(orders), success_payments: sum(orders), failed_payments: 0, deliveries: 0, revenue: sum(revenue),
    quarters: { orders, success_payments: orders, failed_payments: nothing, deliveries: nothing, revenue },
  };
};
/** Spread evenly over a local hour. */
const at = (day: number, hour: number, orders: number, revenue = 0): Hour => {
  const each = (count: number): Four => [count / 4, count / 4, count / 4, count / 4];
  return utc(new Date(2026, 2, day, hour).toISOString(), each(orders), [revenue, 0, 0, 0]);
};

describe('two days', () => {
  const now = new Date(2026, 2, 16, 10, 30);

  it('are the days of the place where the page is', () => {
    const days = twoDays([at(15, 23, 5), at(16, 0, 7), at(16, 9, 1), at(14, 9, 100)], now, 2);
    expect(days.today.total.orders).toBe(8);
    expect(days.yesterday.total.orders).toBe(5);
    expect(days.today.hours[9]?.orders).toBe(1);
  });

  it('compare with yesterday up to the same time, the running quarter by its share', () => {
    expect(twoDays([at(15, 9, 10), at(15, 10, 20), at(15, 11, 40)], now, 2).yesterdayByNow.orders).toBe(20);
    expect(twoDays([at(15, 10, 8)], new Date(2026, 2, 16, 10, 5), 2).yesterdayByNow.orders).toBeCloseTo(2 / 3, 10);
  });

  it.each([[0, 1, 10], [2, 0.1, 1], [2, 0.07, 0.7], [3, 0.345, 3.45], [4, 0.0001, 0.001], [4, 90_071_992_547.0993, 900_719_925_470.993]])('add money of %i decimals without drifting', (decimals, each, all) => {
    const many = Array.from({ length: 10 }, (_, h) => at(16, h, 1, each));
    expect(twoDays(many, now, decimals).today.total.revenue).toBe(all);
  });

  it('survive the first of a month and no hours at all', () => {
    expect(twoDays([], new Date(2026, 2, 1, 0, 5), 2).today.total.orders).toBe(0);
    const last = { ...at(1, 0, 4), hour: new Date(2026, 1, 28, 12).toISOString() };
    expect(twoDays([last], new Date(2026, 2, 1, 13), 2).yesterday.total.orders).toBe(4);
  });
});

describe('the days of other places', () => {
  afterEach(() => vi.unstubAllEnvs());
  const inZone = (zone: string, now: string, hours: Hour[]) => {
    vi.stubEnv('TZ', zone);
    return twoDays(hours, new Date(now), 2);
  };

  it.each([
    // Ten past midnight: 18:40 UTC of the day before, 18:25, 11:15 and 15:25.
    ['Asia/Kolkata', '2026-03-15T18:40:00Z', '2026-03-15T18:00:00Z', [1, 1, 2, 0]],
    ['Asia/Kathmandu', '2026-03-15T18:25:00Z', '2026-03-15T18:00:00Z', [1, 2, 0, 0]],
    ['Pacific/Chatham', '2026-03-15T10:25:00Z', '2026-03-15T10:00:00Z', [1, 2, 0, 0]],
    ['Australia/Adelaide', '2026-03-15T13:40:00Z', '2026-03-15T13:00:00Z', [1, 1, 2, 0]],
    ['Europe/Paris', '2026-03-15T23:10:00Z', '2026-03-15T23:00:00Z', [2, 0, 0, 0]],
  ] as [string, string, string, Four][])('begin at midnight in %s', (zone, now, hour, orders) => {
    const days = inZone(zone, now, [utc(hour, orders)]);
    const before = orders.reduce((all, count) => all + count, 0) - 2;
    expect([days.today.total.orders, days.today.hours[0]?.orders, days.yesterday.total.orders, days.hour]).toEqual([2, 2, before, 0]);
  });

  /** One order at the beginning of each hour from one instant to another. */
  const hourly = (from: string, to: string) => {
    const hours: Hour[] = [];
    for (let at = Date.parse(from); at < Date.parse(to); at += 3_600_000) hours.push(utc(new Date(at).toISOString(), [1, 0, 0, 0]));
    return hours;
  };

  it('have 23 hours where summer time begins', () => {
    const week = hourly('2026-03-27T00:00:00Z', '2026-03-31T00:00:00Z');
    const days = inZone('Europe/Paris', '2026-03-29T20:00:00Z', week);
    expect([days.today.total.orders, days.today.hours[2]?.orders, days.yesterday.total.orders]).toEqual([23, 0, 24]);
    // On the day after: yesterday at 04:00 only three hours had passed.
    expect(inZone('Europe/Paris', '2026-03-30T02:00:00Z', week).yesterdayByNow.orders).toBe(3);
  });

  it('have 25 hours where it ends', () => {
    const week = hourly('2026-10-23T00:00:00Z', '2026-10-27T00:00:00Z');
    const days = inZone('Europe/Paris', '2026-10-25T22:00:00Z', week);
    expect([days.today.total.orders, days.today.hours[2]?.orders, days.yesterday.total.orders]).toEqual([25, 2, 24]);
    expect(inZone('Europe/Paris', '2026-10-26T03:00:00Z', week).yesterdayByNow.orders).toBe(5);
  });

  it('may change by half an hour, or at midnight', () => {
    expect(inZone('Australia/Lord_Howe', '2026-04-05T10:00:00Z', hourly('2026-04-03T00:00:00Z', '2026-04-07T00:00:00Z')).today.total.orders).toBe(25);
    expect(inZone('Africa/Cairo', '2026-04-24T12:00:00Z', hourly('2026-04-22T00:00:00Z', '2026-04-26T00:00:00Z')).today.total.orders).toBe(23);
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
    expect(change(0.345, 0.1, 2, 3)).toEqual({ kind: 'difference', value: 0.245 });
    expect(change(0.345, 0.1, 2, 0)).toEqual({ kind: 'same' });
    expect(change(150, 75, 9)).toEqual({ kind: 'ratio', value: 1 });
  });
});
