/** The bars of the orders per hour on a wall screen. Pure functions. */
import type { DaySummary } from '../stats/days';

export type HourBar = {
  hour: number;
  orders: number;
  yesterday: number;
  /** The hour is not over: a lower bar does not mean that fewer orders came. */
  isRunning: boolean;
};

/** These hours are always shown, so that the bars do not move while the day begins. */
const [OPENING, CLOSING] = [8, 19];

/** The bars from the first to the last hour with orders, today or yesterday. Hours to come have none yet. */
export function hourBars({ today, yesterday, currentHour }: DaySummary): HourBar[] {
  const bars = today.hours.map(({ orders }, hour) => ({
    hour,
    orders,
    yesterday: yesterday.hours[hour]?.orders ?? 0,
    isRunning: hour === currentHour,
  }));
  const isShown = ({ hour, orders, yesterday: before, isRunning }: HourBar) =>
    orders > 0 || before > 0 || isRunning || (hour >= OPENING && hour <= CLOSING);
  return bars.slice(bars.findIndex(isShown), bars.findLastIndex(isShown) + 1);
}

const MAX_LINES = 4;

/** The round numbers at which a scale from 0 to `max` has lines: at most four. */
export function scaleLines(max: number): number[] {
  for (let power = 1; ; power *= 10) {
    for (const step of [power, 2 * power, 5 * power]) {
      const count = Math.floor(max / step);
      if (count <= MAX_LINES) return Array.from({ length: count }, (_, i) => (i + 1) * step);
    }
  }
}

/** At most this far from an edge, 0 to 1, a label is beside the point that it names, and not centred on it. */
const EDGE = 0.2;

/**
 * The point of a label, 0 to 1, that is put on the point `at` of a line, so that the label never leaves the line: its
 * middle, except near the edges.
 */
export function labelAnchor(at: number): number {
  return at < 0.5 ? Math.min(0.5, at / EDGE / 2) : Math.max(0.5, 1 - (1 - at) / EDGE / 2);
}
