/**
 * The gateway counts per quarter of an hour in UTC; a shop thinks in its own days. Here the quarters of the last days become
 * "today so far", "yesterday up to the same time" and the two days' hours, by the browser's time zone. The offset of every time
 * zone is a multiple of a quarter of an hour.
 */
import type { Hour } from '../api/types';

export type Counts = { orders: number; success_payments: number; failed_payments: number; deliveries: number; revenue: number };
export type Day = {
  /** By local hour, 0–23. An hour that a change to summer time skips stays empty, one that is repeated holds both. */
  hours: Counts[];
  total: Counts;
};
export type TwoDays = { today: Day; yesterday: Day; yesterdayByNow: Counts; hour: number };

const QUARTER_MS = 15 * 60_000;
const KINDS = ['orders', 'success_payments', 'failed_payments', 'deliveries'] as const;

const none = (): Counts => ({ orders: 0, success_payments: 0, failed_payments: 0, deliveries: 0, revenue: 0 });

/** `revenue` is in minor units while it is added: sums of binary fractions would drift away from what the gateway says. */
type Quarter = { at: number; counts: Counts };

function quartersOf(hours: readonly Hour[], from: number, to: number, minor: number): Quarter[] {
  return hours.flatMap((hour) => {
    const start = Date.parse(hour.hour);
    return [0, 1, 2, 3].flatMap((i) => {
      const at = start + i * QUARTER_MS;
      if (!(at >= from && at < to)) return [];
      const of = (counts: readonly number[]) => counts[i] ?? 0;
      const { orders, success_payments, failed_payments, deliveries, revenue } = hour.quarters;
      return [{
        at,
        counts: {
          orders: of(orders), success_payments: of(success_payments), failed_payments: of(failed_payments), deliveries: of(deliveries),
          revenue: Math.round(of(revenue) * minor),
        },
      }];
    });
  });
}

function add(sum: Counts, more: Counts, share = 1): void {
  for (const kind of KINDS) sum[kind] += more[kind] * share;
  sum.revenue += Math.round(more.revenue * share);
}

const inMajor = (counts: Counts, minor: number): Counts => ({ ...counts, revenue: counts.revenue / minor });

function dayOf(quarters: readonly Quarter[], minor: number): Day {
  const hours = Array.from({ length: 24 }, none);
  const total = none();
  for (const { at, counts } of quarters) {
    const hour = hours[new Date(at).getHours()];
    if (hour) add(hour, counts);
    add(total, counts);
  }
  return { hours: hours.map((hour) => inMajor(hour, minor)), total: inMajor(total, minor) };
}

/** `decimals` are those of the shop's currency. */
export function twoDays(hours: readonly Hour[], now: Date, decimals: number): TwoDays {
  const minor = 10 ** decimals;
  // The calendar knows how long a day is: 24 hours, or 23 or 25.
  const onDay = (back: number, hour = 0, minute = 0, second = 0) => new Date(now.getFullYear(), now.getMonth(), now.getDate() - back, hour, minute, second).getTime();
  const yesterday = quartersOf(hours, onDay(1), onDay(0), minor);
  const byNow = onDay(1, now.getHours(), now.getMinutes(), now.getSeconds());
  const yesterdayByNow = none();
  for (const { at, counts } of yesterday) {
    // The running quarter is known only as a whole: the share of it that has passed is taken, as if sales came evenly.
    const share = Math.min(1, Math.max(0, (byNow - at) / QUARTER_MS));
    if (share > 0) add(yesterdayByNow, counts, share);
  }
  return {
    today: dayOf(quartersOf(hours, onDay(0), onDay(-1), minor), minor), yesterday: dayOf(yesterday, minor),
    yesterdayByNow: inMajor(yesterdayByNow, minor), hour: now.getHours(),
  };
}

/** Of the payments counted here, how many succeeded, 0 to 1; `null` before the first. */
export function successRate({ success_payments: good, failed_payments: bad }: Counts): number | null {
  return good + bad === 0 ? null : good / (good + bad);
}

export type Change = { kind: 'nothing' | 'same' } | { kind: 'ratio' | 'difference'; value: number };

/** Fewer events than this make no percentage: 12 after 1 is "11 more", not "+1,100 %". */
const FEW = 5;

/** `events`: how many the figure of yesterday rests on; `decimals`: of the figures. A ratio of 0.12 is 12 % more. */
export function change(now: number, before: number, events = before, decimals = 0): Change {
  if (before <= 0) return { kind: 'nothing' };
  const ratio = (now - before) / before;
  const unit = 10 ** decimals;
  const value = events < FEW ? Math.round((now - before) * unit) / unit : ratio;
  if (Math.abs(ratio) < 0.005 || value === 0) return { kind: 'same' };
  return { kind: events < FEW ? 'difference' : 'ratio', value };
}
