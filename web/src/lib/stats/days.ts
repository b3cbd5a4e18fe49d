/**
 * The gateway counts per hour in UTC; a shop thinks in its own days. Here the hours of the last three days become
 * "today so far", "yesterday up to the same time" and the two days' hours, by the browser's time zone.
 */
import type { Hour } from '../api/types';

export type Counts = { orders: number; success_payments: number; failed_payments: number; deliveries: number; revenue: number };
export type Day = {
  /** By local hour, 0–23. An hour that a change to summer time skips stays empty, one that is repeated holds both. */
  hours: Counts[];
  total: Counts;
};
export type TwoDays = { today: Day; yesterday: Day; yesterdayByNow: Counts; hour: number };

const none = (): Counts => ({ orders: 0, success_payments: 0, failed_payments: 0, deliveries: 0, revenue: 0 });

/** Revenue is added in cents: sums of binary fractions would drift away from what the gateway says. */
function add(sum: Counts, more: Counts, share = 1): void {
  sum.orders += more.orders * share;
  sum.success_payments += more.success_payments * share;
  sum.failed_payments += more.failed_payments * share;
  sum.deliveries += more.deliveries * share;
  sum.revenue = (Math.round(sum.revenue * 100) + Math.round(more.revenue * share * 100)) / 100;
}

function dayOf(hours: readonly Hour[], day: Date): Day {
  const result: Day = { hours: Array.from({ length: 24 }, none), total: none() };
  for (const hour of hours) {
    const at = new Date(hour.hour);
    if (at.toDateString() !== day.toDateString()) continue;
    const slot = result.hours[at.getHours()];
    if (slot) add(slot, hour);
    add(result.total, hour);
  }
  return result;
}

export function twoDays(hours: readonly Hour[], now: Date): TwoDays {
  const today = dayOf(hours, now);
  const yesterday = dayOf(hours, new Date(now.getFullYear(), now.getMonth(), now.getDate() - 1));
  const hour = now.getHours();
  const yesterdayByNow = none();
  yesterday.hours.slice(0, hour).forEach((h) => add(yesterdayByNow, h));
  // The running hour is known only as a whole: the share of it that has passed is taken, as if sales came evenly.
  const running = yesterday.hours[hour];
  if (running) add(yesterdayByNow, running, (now.getMinutes() * 60 + now.getSeconds()) / 3600);
  return { today, yesterday, yesterdayByNow, hour };
}

/** Of the payments counted here, how many succeeded, 0 to 1; `null` before the first. */
export function successRate({ success_payments: good, failed_payments: bad }: Counts): number | null {
  return good + bad === 0 ? null : good / (good + bad);
}

export type Change = { kind: 'nothing' | 'same' } | { kind: 'ratio' | 'difference'; value: number };

/** Fewer events than this make no percentage: 12 after 1 is "11 more", not "+1,100 %". */
const FEW = 5;

/** `events`: how many the figure of yesterday rests on. A ratio of 0.12 is 12 % more. */
export function change(now: number, before: number, events = before): Change {
  if (before <= 0) return { kind: 'nothing' };
  const ratio = (now - before) / before;
  const value = events < FEW ? Math.round(now - before) : ratio;
  if (Math.abs(ratio) < 0.005 || value === 0) return { kind: 'same' };
  return { kind: events < FEW ? 'difference' : 'ratio', value };
}
