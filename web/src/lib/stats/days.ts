/**
 * The gateway counts events by quarter-hours in UTC; a shop thinks in its own days. This module turns the quarters of
 * the last days into today so far, yesterday, and yesterday up to the same time, in the browser's time zone. The UTC
 * offset of every time zone is a multiple of a quarter of an hour.
 */
import type { Hour } from '../api/types';

export type Counts = {
  orders: number;
  success_payments: number;
  failed_payments: number;
  deliveries: number;
  revenue: number;
};
export type Day = {
  /**
   * By local hour, 0–23. The hour skipped when summer time begins stays empty; the hour repeated when it ends holds
   * both.
   */
  hours: Counts[];
  total: Counts;
};
export type DaySummary = { today: Day; yesterday: Day; yesterdayByNow: Counts; currentHour: number };

const QUARTER_MS = 15 * 60_000;
const COUNT_FIELDS = ['orders', 'success_payments', 'failed_payments', 'deliveries'] as const;

const noCounts = (): Counts => ({ orders: 0, success_payments: 0, failed_payments: 0, deliveries: 0, revenue: 0 });

/** `revenue` is in minor units: floating-point sums would drift away from the gateway's totals. */
type Quarter = { start: number; counts: Counts };

function quartersBetween(hours: readonly Hour[], from: number, to: number, minorUnits: number): Quarter[] {
  return hours.flatMap((hour) =>
    [0, 1, 2, 3].flatMap((i) => {
      const start = Date.parse(hour.hour) + i * QUARTER_MS;
      if (!(start >= from && start < to)) return [];
      const value = (quarters: readonly number[]) => quarters[i] ?? 0;
      const { orders, success_payments, failed_payments, deliveries, revenue } = hour.quarters;
      const counts = {
        orders: value(orders),
        success_payments: value(success_payments),
        failed_payments: value(failed_payments),
        deliveries: value(deliveries),
        revenue: Math.round(value(revenue) * minorUnits),
      };
      return [{ start, counts }];
    }),
  );
}

function add(sum: Counts, counts: Counts, share = 1): void {
  for (const field of COUNT_FIELDS) sum[field] += counts[field] * share;
  sum.revenue += Math.round(counts.revenue * share);
}

const toMajorUnits = (counts: Counts, minorUnits: number): Counts => ({
  ...counts,
  revenue: counts.revenue / minorUnits,
});

function sumDay(quarters: readonly Quarter[], minorUnits: number): Day {
  const hours = Array.from({ length: 24 }, noCounts);
  const total = noCounts();
  for (const { start, counts } of quarters) {
    const hour = hours[new Date(start).getHours()];
    if (hour) add(hour, counts);
    add(total, counts);
  }
  return { hours: hours.map((hour) => toMajorUnits(hour, minorUnits)), total: toMajorUnits(total, minorUnits) };
}

/** `decimals` is the number of decimals of the shop's currency. */
export function summariseDays(hours: readonly Hour[], now: Date, decimals: number): DaySummary {
  const minorUnits = 10 ** decimals;
  // Uses calendar arithmetic, because a day may have 23 or 25 hours.
  const timeOn = (daysAgo: number, hour = 0, minute = 0, second = 0) =>
    new Date(now.getFullYear(), now.getMonth(), now.getDate() - daysAgo, hour, minute, second).getTime();
  const today = quartersBetween(hours, timeOn(0), timeOn(-1), minorUnits);
  const yesterday = quartersBetween(hours, timeOn(1), timeOn(0), minorUnits);
  const sameTimeYesterday = timeOn(1, now.getHours(), now.getMinutes(), now.getSeconds());
  const yesterdayByNow = noCounts();
  for (const { start, counts } of yesterday) {
    // The quarter-hour that contains this time counts by its elapsed share, as if its sales were spread evenly.
    const share = Math.min(1, Math.max(0, (sameTimeYesterday - start) / QUARTER_MS));
    if (share > 0) add(yesterdayByNow, counts, share);
  }
  return {
    today: sumDay(today, minorUnits),
    yesterday: sumDay(yesterday, minorUnits),
    yesterdayByNow: toMajorUnits(yesterdayByNow, minorUnits),
    currentHour: now.getHours(),
  };
}

/** The share of the payments that succeeded, 0 to 1; `null` before the first payment. */
export function successRate({ success_payments: succeeded, failed_payments: failed }: Counts): number | null {
  return succeeded + failed === 0 ? null : succeeded / (succeeded + failed);
}

/** A ratio of 0.12 means 12 % more. */
export type Comparison = { kind: 'nothing' | 'same' } | { kind: 'ratio' | 'difference'; value: number };

/** With fewer events than this, a percentage misleads: 12 after 1 is "11 more", not "+1,100 %". */
const MIN_EVENTS_FOR_RATIO = 5;

/**
 * Compares a figure with yesterday's. `events` is the number of events behind yesterday's figure, `decimals` the
 * precision of both.
 */
export function compare(now: number, before: number, events = before, decimals = 0): Comparison {
  if (before <= 0) return { kind: 'nothing' };
  const ratio = (now - before) / before;
  const scale = 10 ** decimals;
  const kind = events < MIN_EVENTS_FOR_RATIO ? 'difference' : 'ratio';
  const value = kind === 'difference' ? Math.round((now - before) * scale) / scale : ratio;
  return Math.abs(ratio) < 0.005 || value === 0 ? { kind: 'same' } : { kind, value };
}
