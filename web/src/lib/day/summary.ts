import type { ShopDay } from '../api/types';
import type { DayMessages } from '../i18n/day/en';
import type { Formats } from '../i18n/format';

/** The counts beside the net takings, on the screen and on paper. */
export function daySummary({ takings, orders, currency }: ShopDay, t: DayMessages, f: Formats) {
  const money = (amount: number) => f.money(amount, currency);
  return [
    { name: 'payments', label: t.payments, count: f.number(takings.payments), amount: money(takings.gross) },
    { name: 'refunds', label: t.refunds, count: f.number(takings.refunds), amount: money(-takings.refunded) },
    { name: 'failed', label: t.failed, count: f.number(takings.failed), amount: t.notCharged },
    { name: 'orders', label: t.orders, count: f.number(orders.orders), amount: money(orders.amount) },
    {
      name: 'cancelled',
      label: t.cancelled,
      count: f.number(orders.cancelled),
      amount: money(orders.cancelled_amount),
    },
  ];
}
