import { afterEach, describe, expect, it, vi } from 'vitest';
import type { Hour } from '../api/types';
import { compare, successRate, summariseDays } from './days';

type Four = Hour['quarters']['orders'];
const nothing: Four = [0, 0, 0, 0];

/** A UTC hour with these orders and this revenue in its quarters. */
const utcHour = (hour: string, orders: Four, revenue: Four = nothing): Hour => {
  const sum = (counts: Four) => counts.reduce((all, count) => all + count, 0);
  return {
    hour,
    orders: sum(orders),
    success_payments: sum(orders),
    failed_payments: 0,
    deliveries: 0,
    revenue: sum(revenue),
    quarters: { orders, success_payments: orders, failed_payments: nothing, deliveries: nothing, revenue },
  };
};
/** A local hour of March 2026 over which the orders are spread evenly. */
const localHour = (day: number, hour: number, orders: number, revenue = 0): Hour => {
  const each = (count: number): Four => [count / 4, count / 4, count / 4, count / 4];
  return utcHour(new Date(2026, 2, day, hour).toISOString(), each(orders), [revenue, 0, 0, 0]);
};

describe('the summary of days', () => {
  const now = new Date(2026, 2, 16, 10, 30);

  it('uses the local days of the browser', () => {
    const days = summariseDays(
      [localHour(15, 23, 5), localHour(16, 0, 7), localHour(16, 9, 1), localHour(14, 9, 100)],
      now,
      2,
    );
    expect(days.today.total.orders).toBe(8);
    expect(days.yesterday.total.orders).toBe(5);
    expect(days.today.hours[9]?.orders).toBe(1);
  });

  it('counts yesterday up to the same time, with the elapsed share of the current quarter', () => {
    expect(
      summariseDays([localHour(15, 9, 10), localHour(15, 10, 20), localHour(15, 11, 40)], now, 2).yesterdayByNow.orders,
    ).toBe(20);
    expect(summariseDays([localHour(15, 10, 8)], new Date(2026, 2, 16, 10, 5), 2).yesterdayByNow.orders).toBeCloseTo(
      2 / 3,
      10,
    );
  });

  it.each([
    [0, 1, 10],
    [2, 0.1, 1],
    [2, 0.07, 0.7],
    [3, 0.345, 3.45],
    [4, 0.0001, 0.001],
    [4, 90_071_992_547.0993, 900_719_925_470.993],
  ])('adds money with %i decimals exactly', (decimals, each, all) => {
    const many = Array.from({ length: 10 }, (_, h) => localHour(16, h, 1, each));
    expect(summariseDays(many, now, decimals).today.total.revenue).toBe(all);
  });

  it('works on the first of a month and without any hours', () => {
    expect(summariseDays([], new Date(2026, 2, 1, 0, 5), 2).today.total.orders).toBe(0);
    const last = { ...localHour(1, 0, 4), hour: new Date(2026, 1, 28, 12).toISOString() };
    expect(summariseDays([last], new Date(2026, 2, 1, 13), 2).yesterday.total.orders).toBe(4);
  });
});

describe('a day in another time zone', () => {
  afterEach(() => vi.unstubAllEnvs());
  const inZone = (zone: string, now: string, hours: Hour[]) => {
    vi.stubEnv('TZ', zone);
    return summariseDays(hours, new Date(now), 2);
  };

  it.each([
    // Ten past midnight, which is 18:40, 18:25, 10:25, 13:40 and 23:10 UTC of the day before.
    ['Asia/Kolkata', '2026-03-15T18:40:00Z', '2026-03-15T18:00:00Z', [1, 1, 2, 0]],
    ['Asia/Kathmandu', '2026-03-15T18:25:00Z', '2026-03-15T18:00:00Z', [1, 2, 0, 0]],
    ['Pacific/Chatham', '2026-03-15T10:25:00Z', '2026-03-15T10:00:00Z', [1, 2, 0, 0]],
    ['Australia/Adelaide', '2026-03-15T13:40:00Z', '2026-03-15T13:00:00Z', [1, 1, 2, 0]],
    ['Europe/Paris', '2026-03-15T23:10:00Z', '2026-03-15T23:00:00Z', [2, 0, 0, 0]],
  ] as [string, string, string, Four][])('begins at midnight in %s', (zone, now, hour, orders) => {
    const days = inZone(zone, now, [utcHour(hour, orders)]);
    const before = orders.reduce((all, count) => all + count, 0) - 2;
    expect([
      days.today.total.orders,
      days.today.hours[0]?.orders,
      days.yesterday.total.orders,
      days.currentHour,
    ]).toEqual([2, 2, before, 0]);
  });

  /** One order at the start of each hour between two instants. */
  const hourly = (from: string, to: string) => {
    const hours: Hour[] = [];
    for (let at = Date.parse(from); at < Date.parse(to); at += 3_600_000)
      hours.push(utcHour(new Date(at).toISOString(), [1, 0, 0, 0]));
    return hours;
  };

  it('has 23 hours when summer time begins', () => {
    const week = hourly('2026-03-27T00:00:00Z', '2026-03-31T00:00:00Z');
    const days = inZone('Europe/Paris', '2026-03-29T20:00:00Z', week);
    expect([days.today.total.orders, days.today.hours[2]?.orders, days.yesterday.total.orders]).toEqual([23, 0, 24]);
    // One day later: at 04:00 yesterday, only three hours had passed.
    expect(inZone('Europe/Paris', '2026-03-30T02:00:00Z', week).yesterdayByNow.orders).toBe(3);
  });

  it('has 25 hours when summer time ends', () => {
    const week = hourly('2026-10-23T00:00:00Z', '2026-10-27T00:00:00Z');
    const days = inZone('Europe/Paris', '2026-10-25T22:00:00Z', week);
    expect([days.today.total.orders, days.today.hours[2]?.orders, days.yesterday.total.orders]).toEqual([25, 2, 24]);
    expect(inZone('Europe/Paris', '2026-10-26T03:00:00Z', week).yesterdayByNow.orders).toBe(5);
  });

  it('may change its offset by half an hour, or at midnight', () => {
    expect(
      inZone('Australia/Lord_Howe', '2026-04-05T10:00:00Z', hourly('2026-04-03T00:00:00Z', '2026-04-07T00:00:00Z'))
        .today.total.orders,
    ).toBe(25);
    expect(
      inZone('Africa/Cairo', '2026-04-24T12:00:00Z', hourly('2026-04-22T00:00:00Z', '2026-04-26T00:00:00Z')).today.total
        .orders,
    ).toBe(23);
  });
});

describe('the success rate', () => {
  const counts = (good: number, bad: number) => ({
    orders: 0,
    success_payments: good,
    failed_payments: bad,
    deliveries: 0,
    revenue: 0,
  });

  it('is calculated from the given counts', () => {
    expect(successRate(counts(145, 11))).toBeCloseTo(0.9295, 4);
    expect(successRate(counts(0, 3))).toBe(0);
  });

  it('does not exist before the first payment', () => {
    expect(successRate(counts(0, 0))).toBeNull();
  });
});

describe('a comparison', () => {
  it('is a ratio, unless yesterday had nothing', () => {
    expect(compare(15, 10)).toEqual({ kind: 'ratio', value: 0.5 });
    expect(compare(5, 10)).toEqual({ kind: 'ratio', value: -0.5 });
    expect(compare(10, 10)).toEqual({ kind: 'same' });
    expect(compare(5, 0)).toEqual({ kind: 'nothing' });
  });

  it('is a difference if yesterday had few events, where percentages mislead', () => {
    expect(compare(12, 1)).toEqual({ kind: 'difference', value: 11 });
    expect(compare(2, 1.8)).toEqual({ kind: 'same' });
    expect(compare(900, 75, 2)).toEqual({ kind: 'difference', value: 825 });
    expect(compare(0.345, 0.1, 2, 3)).toEqual({ kind: 'difference', value: 0.245 });
    expect(compare(0.345, 0.1, 2, 0)).toEqual({ kind: 'same' });
    expect(compare(150, 75, 9)).toEqual({ kind: 'ratio', value: 1 });
  });
});
