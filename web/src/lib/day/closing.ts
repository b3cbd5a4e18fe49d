/** The closing of a day: the request for it, and what is shown of it. */
import { post } from '../api/http';
import type { CountedTakings, DayClosing, NetAmount, ShopDay } from '../api/types';
import { deviceName } from '../deviceName';
import type { DayMessages } from '../i18n/day/en';
import type { Messages } from '../i18n/en';
import { addUp } from '../order/sums';

/** A closing reads every event since the previous one. */
const TIMEOUT_MS = 60_000;

export const closeDay = (date: string) => post<ShopDay>(`/api/days/${date}/close`, undefined, TIMEOUT_MS);

type Decimals = (currency: string) => number;

/** One sum for each currency, in the order in which they first appear. */
export function addByCurrency(amounts: readonly NetAmount[], decimals: Decimals): NetAmount[] {
  const currencies = [...new Set(amounts.map(({ currency }) => currency))];
  return currencies.map((currency) => {
    const nets = amounts.filter((amount) => amount.currency === currency).map(({ net }) => net);
    return { currency, net: addUp(nets, decimals(currency)) };
  });
}

/** What the closing counted of its own day, and what of earlier days. */
export function splitTakings({ date, takings }: Pick<DayClosing, 'date' | 'takings'>): {
  own: CountedTakings[];
  late: CountedTakings[];
} {
  return {
    own: takings.filter((row) => row.date === date),
    late: takings.filter((row) => row.date !== date),
  };
}

/** The store and the device in the name of an event, `store/device/epoch/number`. */
export function parseEventName(ceId: string): { store: string; device: string } {
  const parts = ceId.split('/');
  return { store: parts[0] ?? '', device: parts.slice(1, -2).join('/') };
}

/** The gateway's own records have numbers, too. */
export const numberedName = (device: string, m: Messages, t: DayMessages): string =>
  device === '_gateway' ? t.closing.thisGateway : deviceName(device, m);

/** Numbers of events are shown as they are, without separators. */
export const rangeText = (first: number, last: number): string => (first === last ? `${first}` : `${first}–${last}`);

/** The first missing ranges, and how many others there are. */
export function missingText(missing: readonly (readonly [number, number])[], limit: number, t: DayMessages): string {
  const shown = missing.slice(0, limit).map(([first, last]) => rangeText(first, last));
  const others = missing.length - shown.length;
  return shown.join(', ') + (others > 0 ? ` ${t.closing.moreMissing(others)}` : '');
}
