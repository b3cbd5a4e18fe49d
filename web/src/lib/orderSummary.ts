import type { Line, Order } from './api/types';
import type { Messages } from './i18n/en';
import type { Formats } from './i18n/format';

/** How a till or another gateway ends a summary of several lines. */
const ENGLISH_SUMMARY = /^(.+) \+ (\d+) more$/s;

/** "2", or "1.25 kg". */
export const quantityOf = ({ quantity, unit }: Line, f: Formats): string =>
  unit === undefined ? f.number(quantity) : `${f.number(quantity)}\u00a0${unit}`;

/** The price of one piece, or of one unit: "€4.50/kg". */
export const priceOf = ({ unit_price, unit }: Line, currency: string, f: Formats): string =>
  unit === undefined ? f.money(unit_price, currency) : `${f.money(unit_price, currency)}/${unit}`;

/**
 * Summarises an order's lines in the reader's language: "2 × Honey + 3 more". `product` holds such a summary in
 * English; it is shown only if the order has no lines, with its end translated.
 */
export function summariseOrder({ lines, product }: Order, m: Messages, f: Formats): string {
  const [first, ...others] = lines;
  if (!first) return translateSummary(product, m);
  const isOne = first.quantity === 1 && first.unit === undefined;
  const name = isOne ? first.product : `${quantityOf(first, f)}\u00a0× ${first.product}`;
  return others.length === 0 ? name : m.orders.summary(name, others.length);
}

function translateSummary(summary: string, m: Messages): string {
  const [, first, more] = ENGLISH_SUMMARY.exec(summary) ?? [];
  return first === undefined ? summary : m.orders.summary(first, Number(more));
}
