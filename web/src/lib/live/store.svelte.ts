/** The one place that holds what the pages show. It changes only through `apply`. */
import { flushSync } from 'svelte';
import type { Payment } from '../api/types';
import { nothing, reduce, type Change, type Shown } from './reducer';

/** What costs so much is followed by as long a pause; twice as much by one four times as long. */
const EVEN_MS = 8;
const MOST_WAIT_MS = 500;

class Live {
  /** Raw: the reducer makes new values, so deep proxies would only cost time under load. */
  shown = $state.raw<Shown>(nothing);
  readonly #paid = new Set<(payments: Payment[]) => void>();
  readonly #followers = new Set<(change: Change) => void>();

  #next: Shown = nothing;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #notBefore = 0;

  apply(change: Change): void {
    const before = this.#next;
    this.#next = reduce(before, change);
    const arrived = newPayments(before, change);
    for (const tell of this.#followers) tell(change);
    if (arrived.length > 0) for (const tell of this.#paid) tell(arrived);
    if (this.#timer !== undefined) return;
    const wait = this.#notBefore - performance.now();
    if (wait <= 0) this.#show();
    else this.#timer = setTimeout(() => this.#show(), wait);
  }

  /** At once while showing is cheap; the dearer it is, the more of its time has the browser for the person in front of it. */
  #show(): void {
    this.#timer = undefined;
    const begun = performance.now();
    flushSync(() => (this.shown = this.#next));
    const cost = performance.now() - begun;
    this.#notBefore = performance.now() + Math.min(MOST_WAIT_MS, (cost * cost) / EVEN_MS);
  }

  /** Tells of every change, for what is shown beside `shown`. Returns how to stop. */
  follow(tell: (change: Change) => void): () => void {
    this.#followers.add(tell);
    return () => this.#followers.delete(tell);
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
  const newest = before.payments[0]?.row ?? 0;
  return payments.filter((payment) => (payment.row ?? 0) > newest);
}

export const live = new Live();
