/** Reads one order, and keeps it up to date: from live updates, or from polls for another shop's. */
import { untrack } from 'svelte';
import { api, RequestError } from '../api/http';
import type { OrderLife } from '../api/types';
import { describeFailure } from '../failure';
import { i18n } from '../i18n/i18n.svelte';
import { keyOf, kindOf, updateItems, type Item, type LiveUpdate } from '../live/reducer';
import { live } from '../live/store.svelte';
import { session } from '../session.svelte';
import { Polling, REFRESH_SECONDS } from '../shops/polling';

/** In case the gateway sent no update: under load it sends only those of the newest sales. */
const OWN_REFRESH_MS = 30_000;
/** Updates that arrive together cause one read. */
const GATHER_MS = 100;
/** When the gateway surely answers with what was posted. */
const SETTLE_MS = 1500;

export type FollowedOrder = ReturnType<typeof followOrder>;

/** Replaces the item of the same key, or adds it. What the reader may see of a customer stays as it was read. */
function withItem<T extends Item>(items: readonly T[], item: Item): T[] {
  const isSame = (known: T) => keyOf(known) === keyOf(item);
  const replace = (known: T): T => {
    if (!isSame(known)) return known;
    const read = Object.fromEntries(['row', 'address', 'customer_email'].map((name) => [name, known[name as keyof T]]));
    return { ...item, ...read } as unknown as T;
  };
  return items.some(isSame) ? items.map(replace) : [...items, item as T];
}

/** Call it while a component is created. */
export function followOrder(id: string, store: string, { isOwn }: { isOwn: boolean }) {
  let answer = $state.raw<{ life: OrderLife; readAt: number } | null>(null);
  let error = $state.raw<unknown>(null);
  let timer: ReturnType<typeof setTimeout> | undefined;

  const polling = new Polling<OrderLife>(
    {
      read: () => api.orderLife(id, store),
      onAnswer: (life) => {
        answer = { life, readAt: Date.now() };
        error = null;
      },
      onFailure: (reason) => (error = reason),
    },
    isOwn ? OWN_REFRESH_MS : REFRESH_SECONDS * 1000,
  );

  function refreshIn(ms: number) {
    clearTimeout(timer);
    timer = setTimeout(() => void polling.refresh(), ms);
  }

  const belongs = (item: Item) => item.order_id === id && item.store === store;

  function concernsOrder(update: LiveUpdate): boolean {
    switch (update.type) {
      // A snapshot follows a lost connection, during which updates were missed.
      case 'snapshot':
        return true;
      case 'batch': {
        const { orders, payments, deliveries, confirmed } = update.batch;
        const isConfirmed = confirmed.some(({ order_id }) => order_id === id);
        return isConfirmed || [...orders, ...payments, ...deliveries].some(belongs);
      }
      case 'item':
        return belongs(update.item);
      case 'confirmed':
        return update.confirmed.order_id === id;
      default:
        return false;
    }
  }

  function change(to: (life: OrderLife) => OrderLife) {
    if (answer) answer = { ...answer, life: to(answer.life) };
  }

  /** Marks events that are now in Kafka at once. */
  const applyUpdate = (update: LiveUpdate) =>
    change((life) => ({
      ...life,
      order: life.order && (updateItems([life.order], update)[0] ?? null),
      payments: [...updateItems(life.payments, update)],
      deliveries: [...updateItems(life.deliveries, update)],
    }));

  $effect(() => {
    // The next person may be allowed to see less.
    void session.owner;
    return untrack(() => {
      [answer, error] = [null, null];
      const stopPolling = polling.start();
      const stopUpdates = isOwn
        ? live.onUpdate((update) => {
            if (update.type !== 'stats') applyUpdate(update);
            if (concernsOrder(update)) refreshIn(GATHER_MS);
          })
        : () => undefined;
      return () => {
        stopPolling();
        stopUpdates();
        clearTimeout(timer);
      };
    });
  });

  return {
    get life() {
      return answer?.life ?? null;
    },
    get readAt() {
      return answer?.readAt ?? null;
    },
    /** Why the latest read failed. */
    get failure() {
      return error === null ? null : describeFailure(error, i18n.m);
    },
    get isUnknown() {
      return error instanceof RequestError && error.has('urn:comptoir:problem:order-not-found');
    },
    refresh: () => polling.refresh(),
    /** Shows what was just stored, before the gateway is asked again. */
    apply(item: Item) {
      change((life) => ({
        order: life.order && kindOf(item) === 'order' ? (withItem([life.order], item)[0] ?? null) : life.order,
        payments: kindOf(item) === 'payment' ? withItem(life.payments, item) : life.payments,
        deliveries: kindOf(item) === 'delivery' ? withItem(life.deliveries, item) : life.deliveries,
        corrections: life.corrections,
      }));
      refreshIn(SETTLE_MS);
    },
  };
}
