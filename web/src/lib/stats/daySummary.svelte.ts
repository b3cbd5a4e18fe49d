/** Today and yesterday of a shop's statistics. */
import type { Stats } from '../api/types';
import { i18n } from '../i18n/i18n.svelte';
import { now } from '../now.svelte';
import { summariseDays } from './days';

/** Call it while a component is created. */
export function daySummary(stats: () => Stats | null) {
  const days = $derived.by(() => {
    const current = stats();
    const decimals = i18n.f.decimals(current?.currency ?? 'EUR');
    return current && summariseDays(current.orders_per_hour, now.minute, decimals);
  });
  return {
    get days() {
      return days;
    },
  };
}
