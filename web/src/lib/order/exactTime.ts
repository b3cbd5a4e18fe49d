import { localisation } from '../i18n/localisation.svelte';

const OPTIONS = { dateStyle: 'medium', timeStyle: 'short', hourCycle: 'h23' } as const;

/** The day and the time of an event. Empty for an invalid time. */
export function exactTime(iso: string): string {
  const at = new Date(iso);
  return Number.isNaN(at.getTime()) ? '' : new Intl.DateTimeFormat(localisation.locale, OPTIONS).format(at);
}
