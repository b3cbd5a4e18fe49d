/** The one place that holds what the pages show. It changes only through `apply`. */
import type { Payment } from '../api/types';
import { nothing, reduce, type Change, type Shown } from './reducer';

class Live {
  /** Raw: the reducer makes new values, so deep proxies would only cost time under load. */
  shown = $state.raw<Shown>(nothing);
  readonly #paid = new Set<(payments: Payment[]) => void>();

  apply(change: Change): void {
    const before = this.shown;
    this.shown = reduce(before, change);
    const arrived = newPayments(before, change);
    if (arrived.length > 0) for (const tell of this.#paid) tell(arrived);
  }

  /** Tells of payments that come live, not of those in a snapshot. Returns how to stop. */
  onPayments(tell: (payments: Payment[]) => void): () => void {
    this.#paid.add(tell);
    return () => this.#paid.delete(tell);
  }
}

function newPayments(before: Shown, change: Change): Payment[] {
  const payments =
    change.type === 'batch' ? change.batch.payments
    : change.type === 'item' && change.entry.kind === 'payment' ? [change.entry.item]
    : [];
  return payments.filter((p) => !before.payments.some((known) => known.payment_id === p.payment_id));
}

export const live = new Live();
