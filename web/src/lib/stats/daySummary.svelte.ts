/** Today and yesterday of a shop's statistics. */
import type { Stats } from '../api/types';
import { i18n } from '../i18n/i18n.svelte';
import { now } from '../now.svelte';
import { summariseDays } from './days';

/** Call it while a component is created. `at` is the time up to which the statistics are known. */
export function daySummary(stats: () => Stats | null, at = () => now.minute) {
  const days = $derived.by(() => {
    const current = stats();
    const decimals = i18n.f.decimals(current?.currency ?? 'EUR');
    return current && summariseDays(current.orders_per_hour, at(), decimals);
  });
  return {
    get days() {
      return days;
    },
  };
}
