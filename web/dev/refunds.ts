/** Refunds: payments with a negative amount that name the payment they pay back. */
import type { Payment } from '../src/lib/api/types';
import { problem, type Answer, type Body } from './answer';

const cents = (amount: number) => Math.round(amount * 100);
const invalid = (field: string, detail: string) => problem('invalid-field', `${field}: ${detail}`, field);
const impossible = (field: string, detail: string) => problem('refund-not-possible', `${field}: ${detail}`, field);

/**
 * What a refund says completely: its missing fields are those of the payment that it pays back. Returns the body itself
 * if it is not a refund, and an answer if it is refused.
 */
export function completeRefund(payments: readonly Payment[], body: Body): { body: Body } | { refusal: Answer } {
  const { refund_of, amount } = body;
  if (refund_of === undefined || refund_of === null) {
    const isNegative = typeof amount === 'number' && amount < 0;
    return isNegative ? { refusal: invalid('amount', 'a negative amount needs "refund_of"') } : { body };
  }
  const named = payments.filter(({ payment_id }) => payment_id === refund_of);
  const paid = named.find(({ device }) => device === body.device) ?? named[0];
  if (!paid) return { refusal: impossible('refund_of', `no payment ${JSON.stringify(refund_of)} is known here`) };
  if (paid.refund_of !== undefined) return { refusal: impossible('refund_of', 'a refund cannot be refunded') };
  if (paid.status !== 'SUCCESS') return { refusal: impossible('refund_of', 'this payment failed') };
  if (body.order_id !== undefined && body.order_id !== paid.order_id) {
    return { refusal: impossible('refund_of', 'this payment belongs to another order') };
  }
  // Sent again, a refund must not count against itself.
  const earlier = payments.filter((p) => p.refund_of === paid.payment_id && p.payment_id !== body.payment_id);
  const left = earlier.reduce((sum, refund) => sum + cents(refund.amount), cents(paid.amount));
  const refunded = amount === undefined ? -left : cents(Number(amount));
  if (left <= 0) return { refusal: impossible('refund_of', 'nothing is left') };
  if (!(refunded < 0)) return { refusal: invalid('amount', 'must be negative') };
  if (-refunded > left) return { refusal: impossible('amount', `at most ${(left / 100).toFixed(2)} is left`) };
  const { order_id, method, currency } = paid;
  const refund = { order_id, method, currency, status: 'SUCCESS', ...body, amount: refunded / 100 };
  return { body: { ...refund, device: 'counter' } };
}
