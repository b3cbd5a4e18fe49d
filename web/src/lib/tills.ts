import type { Device } from './api/types';

/** More rows than anybody reads, and few enough for a phone. */
export const MAX_TILLS = 200;

/** Some of the till's stored events are not in Kafka yet. */
export const isBehind = (till: Device): boolean => till.in_kafka < till.stored;

/**
 * Selects the tills to show. Tills with missing numbers come first; if there are more than `max`, tills that are behind
 * come next. In a shorter list, tills that are behind keep their place: every sale puts its till behind for a moment,
 * and its row would jump.
 */
export function selectTills(tills: readonly Device[], max = MAX_TILLS): { shown: Device[]; hiddenCount: number } {
  const isCut = tills.length > max;
  const rank = (till: Device) => (till.missing.length > 0 ? 0 : isCut && isBehind(till) ? 1 : 2);
  // The sort is stable.
  const sorted = [...tills].sort((a, b) => rank(a) - rank(b));
  return { shown: sorted.slice(0, max), hiddenCount: Math.max(0, tills.length - max) };
}
