/** The only holder of the state that the pages show. Only `apply` changes it. */
import { flushSync, untrack } from 'svelte';
import type { Payment } from '../api/types';
import { emptyView, keyOf, reduce, type Item, type LiveUpdate, type ViewState } from './reducer';

/** Rendering that takes this long is followed by an equally long pause; the pause grows with the square of the cost. */
const BREAK_EVEN_MS = 8;
const MAX_PAUSE_MS = 500;

class LiveStore {
  /** Raw: the reducer creates new objects, so deep proxies would only cost time under load. */
  view = $state.raw<ViewState>(emptyView);
  /** The gateway makes up sales, as the demo does. False until it has answered. An older gateway does not say so. */
  readonly invents = $derived(this.view.gateway?.invent === true);
  readonly #paymentListeners = new Set<(payments: Payment[]) => void>();
  readonly #updateListeners = new Set<(update: LiveUpdate) => void>();

  #next: ViewState = emptyView;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #notBefore = 0;

  apply(update: LiveUpdate): void {
    const before = this.#next;
    this.#next = reduce(before, update);
    for (const listener of this.#updateListeners) listener(update);
    const payments = newPayments(before, update);
    if (payments.length > 0) for (const listener of this.#paymentListeners) listener(payments);
    if (this.#timer !== undefined) return;
    const pause = this.#notBefore - performance.now();
    if (pause <= 0) this.#render();
    else this.#timer = setTimeout(() => this.#render(), pause);
  }

  /**
   * The class of an item's row: one that the last update added is highlighted. Rows are reused, and only another
   * animation than the last one starts again.
   */
  arrivalOf(item: Item): string {
    const { newKeys, isOddUpdate } = untrack(() => this.view);
    return !newKeys.has(keyOf(item)) ? '' : isOddUpdate ? 'fresh odd' : 'fresh';
  }

  /** Forgets everything: somebody else may sign in at this browser. */
  reset(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#next = emptyView;
    this.view = emptyView;
  }

  /** Throttled in proportion to its cost: the browser keeps time for the person who clicks and scrolls. */
  #render(): void {
    this.#timer = undefined;
    const start = performance.now();
    flushSync(() => (this.view = this.#next));
    const cost = performance.now() - start;
    this.#notBefore = performance.now() + Math.min(MAX_PAUSE_MS, (cost * cost) / BREAK_EVEN_MS);
  }

  /** Calls `listener` with every update, for rows that are kept outside `view`. Returns the unsubscribe function. */
  onUpdate(listener: (update: LiveUpdate) => void): () => void {
    this.#updateListeners.add(listener);
    return () => this.#updateListeners.delete(listener);
  }

  /** Calls `listener` with payments that arrive live, not with a snapshot. Returns the unsubscribe function. */
  onNewPayments(listener: (payments: Payment[]) => void): () => void {
    this.#paymentListeners.add(listener);
    return () => this.#paymentListeners.delete(listener);
  }
}

function newPayments(before: ViewState, update: LiveUpdate): Payment[] {
  const newest = before.payments[0]?.row ?? 0;
  return paymentsOf(update).filter((payment) => (payment.row ?? 0) > newest);
}

function paymentsOf(update: LiveUpdate): Payment[] {
  if (update.type === 'batch') return update.batch.payments;
  return update.type === 'item' && 'payment_id' in update.item ? [update.item] : [];
}

export const live = new LiveStore();
