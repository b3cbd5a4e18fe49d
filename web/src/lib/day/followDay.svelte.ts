/** Reads the figures of a day, and keeps those of today up to date. */
import { untrack } from 'svelte';
import { get } from '../api/http';
import type { ShopDay } from '../api/types';
import { describeFailure } from '../failure';
import { i18n } from '../i18n/i18n.svelte';
import type { LiveUpdate } from '../live/reducer';
import { live } from '../live/store.svelte';
import { session } from '../session.svelte';
import { Polling, type Reader } from '../shops/polling';

/** Each read of a day costs the gateway more than one of a list. */
const MIN_INTERVAL_MS = 4000;
/**
 * In case an update was missed. A past day changes only when a till that was offline sends its sales. If the day is closed,
 * what arrived since changes likewise, and its figures do not.
 */
const TODAY_POLL_MS = 30_000;
const PAST_POLL_MS = 600_000;
export const TODAY = 'today';

type Answer = { wanted: string; day: ShopDay; readAt: number };

function concernsDay(update: LiveUpdate): boolean {
  switch (update.type) {
    // A snapshot follows a lost connection, during which updates were missed.
    case 'snapshot':
    case 'item':
      return true;
    case 'batch':
      return update.batch.orders.length + update.batch.payments.length > 0;
    default:
      return false;
  }
}

/** Call it while a component is created. `wanted` is a day, or `TODAY`; `null` reads nothing. */
export function followDay(wanted: () => string | null) {
  let answer = $state.raw<Answer | null>(null);
  let error = $state.raw<{ wanted: string; reason: unknown } | null>(null);
  let isReading = $state(false);
  let refresh: () => Promise<void> = () => Promise.resolve();
  let show: (day: ShopDay) => Promise<void> = () => Promise.resolve();

  function follow(name: string) {
    let timer: ReturnType<typeof setTimeout> | undefined;
    let lastRead = -Infinity;
    const reader: Reader<ShopDay> = {
      read: async () => {
        lastRead = performance.now();
        isReading = true;
        return get<ShopDay>(`/api/days/${name}`);
      },
      onAnswer: (day) => {
        answer = { wanted: name, day, readAt: Date.now() };
        error = null;
        isReading = false;
      },
      onFailure: (reason) => {
        error = { wanted: name, reason };
        isReading = false;
      },
    };
    const polling = new Polling<ShopDay>(reader, name === TODAY ? TODAY_POLL_MS : PAST_POLL_MS);
    refresh = () => polling.refresh();
    // As a read, so that the answer to an earlier one cannot undo it.
    show = async (day) => {
      if (answer?.day.date === day.date) await polling.refresh({ ...reader, read: () => Promise.resolve(day) });
    };
    // When the page is shown again, `polling` reads.
    const readIfVisible = () => {
      timer = undefined;
      if (!document.hidden) void polling.refresh();
    };
    const stopUpdates = live.onUpdate((update) => {
      const isChanging = error !== null || (answer?.day.is_today ?? true);
      if (!isChanging || document.hidden || timer !== undefined || !concernsDay(update)) return;
      timer = setTimeout(readIfVisible, Math.max(0, lastRead + MIN_INTERVAL_MS - performance.now()));
    });
    const stopPolling = polling.start();
    return () => {
      clearTimeout(timer);
      stopUpdates();
      stopPolling();
      isReading = false;
    };
  }

  $effect(() => {
    const name = wanted();
    // The next person may be allowed to see less.
    void session.owner;
    return untrack(() => {
      [answer, error] = [null, null];
      return name === null ? undefined : follow(name);
    });
  });

  /** Figures are never shown below the name of another day. */
  const shown = $derived(answer?.wanted === wanted() ? answer : null);
  const failed = $derived(error?.wanted === wanted() ? error : null);
  return {
    get day() {
      return shown?.day ?? null;
    },
    get readAt() {
      return shown?.readAt ?? null;
    },
    /** Why the latest read failed. */
    get failure() {
      return failed === null ? null : describeFailure(failed.reason, i18n.m);
    },
    get isReading() {
      return isReading;
    },
    refresh: () => refresh(),
    /** Shows what a change of the day answered, if the day is still the one that is shown. */
    show: (day: ShopDay) => show(day),
  };
}

export type FollowedDay = ReturnType<typeof followDay>;
