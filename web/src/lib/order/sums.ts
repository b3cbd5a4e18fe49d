/**
 * What is paid, refunded and still due of an order, and what its lines come to. Calculates in whole minor units:
 * amounts are decimal numbers, which a sum of binary fractions would miss by a cent.
 */
import type { Line, Order, Payment } from '../api/types';

/** A payment with its refunds. */
export type PaidBack = {
  payment: Payment;
  refunds: readonly Payment[];
  /** What can still be refunded. */
  left: number;
};

export type Sums = {
  total: number;
  /** Successful payments. */
  paid: number;
  /** Positive. */
  refunded: number;
  /** What is still to be paid; 0 if more was paid. */
  due: number;
};

const toMinor = (amount: number, decimals: number) => Math.round(amount * 10 ** decimals);
const fromMinor = (minor: number, decimals: number) => minor / 10 ** decimals;

/** Adds amounts of one currency exactly. */
export function addUp(amounts: readonly number[], decimals: number): number {
  return fromMinor(
    amounts.reduce((sum, amount) => sum + toMinor(amount, decimals), 0),
    decimals,
  );
}

const isSuccessful = ({ status }: Payment) => status === 'SUCCESS';

/**
 * Puts each refund beneath the payment that it pays back. Tills number their payments independently, so of two payments
 * with the same id, it is that of the refund's own till. `others` are refunds of payments that are not known here.
 */
export function groupPayments(
  payments: readonly Payment[],
  decimals: (currency: string) => number,
): { groups: PaidBack[]; others: Payment[] } {
  const refunds = payments.filter((payment) => payment.refund_of !== undefined);
  const originals = payments.filter((payment) => payment.refund_of === undefined);
  const payBack = (refund: Payment) => {
    const named = originals.filter(({ payment_id }) => payment_id === refund.refund_of);
    return named.find(({ device }) => device === refund.device) ?? named[0];
  };
  const groups = originals.map((payment) => {
    const own = refunds.filter((refund) => payBack(refund) === payment);
    const amounts = [payment, ...own].filter(isSuccessful).map(({ amount }) => amount);
    return { payment, refunds: own, left: Math.max(0, addUp(amounts, decimals(payment.currency))) };
  });
  return { groups, others: refunds.filter((refund) => payBack(refund) === undefined) };
}

/** Payments in another currency do not count: nobody here knows the rate. */
export function sumUp({ amount, currency }: Order, payments: readonly Payment[], decimals: number): Sums {
  const amounts = payments.filter((payment) => isSuccessful(payment) && payment.currency === currency);
  const sum = (isWanted: (payment: Payment) => boolean) =>
    addUp(
      amounts.filter(isWanted).map((payment) => payment.amount),
      decimals,
    );
  const paid = sum((payment) => payment.refund_of === undefined);
  const refunded = Math.abs(sum((payment) => payment.refund_of !== undefined));
  const due = Math.max(0, addUp([amount, -paid, refunded], decimals));
  return { total: amount, paid, refunded, due };
}

/** What a line comes to, less its discount. Quantities have up to three decimals. */
export function lineAmount({ quantity, unit_price, discount = 0 }: Line, decimals: number): number {
  const gross = Math.round((Math.round(quantity * 1000) * toMinor(unit_price, decimals)) / 1000);
  return fromMinor(gross - toMinor(discount, decimals), decimals);
}

export type VatShare = { rate: number; amount: number; vat: number };

/** The VAT that the lines include, by rate, of those lines that name one. */
export function vatOf(lines: readonly Line[], decimals: number): VatShare[] {
  const byRate = new Map<number, number[]>();
  for (const line of lines) {
    if (line.vat_rate === undefined) continue;
    byRate.set(line.vat_rate, [...(byRate.get(line.vat_rate) ?? []), lineAmount(line, decimals)]);
  }
  return [...byRate]
    .sort(([a], [b]) => a - b)
    .map(([rate, amounts]) => {
      const amount = addUp(amounts, decimals);
      const net = Math.round((toMinor(amount, decimals) * 100) / (100 + rate));
      return { rate, amount, vat: fromMinor(toMinor(amount, decimals) - net, decimals) };
    });
}

/** What is refunded for some of each line: `quantities` has one number for each line. */
export function refundOfLines(lines: readonly Line[], quantities: readonly number[], decimals: number): number {
  const amounts = lines.map((line, i) => {
    const quantity = quantities[i] ?? 0;
    if (quantity <= 0 || line.quantity <= 0) return 0;
    const share = Math.min(1, quantity / line.quantity);
    return fromMinor(Math.round(toMinor(lineAmount(line, decimals), decimals) * share), decimals);
  });
  return addUp(amounts, decimals);
}

/** A quantity as people type it: digits, and at most three decimals. `null` for anything else. */
export function parseQuantity(input: string): number | null {
  const text = input.replace(/[\s\u00a0\u202f]/g, '');
  return /^\d{1,9}([.,]\d{1,3})?$/.test(text) ? Number(text.replace(',', '.')) : null;
}
