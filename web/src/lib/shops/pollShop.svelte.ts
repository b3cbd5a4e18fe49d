/** Polls another shop's data every few seconds, and remembers when it was read. */
import { untrack } from 'svelte';
import { describeFailure, type Failure } from '../failure';
import { i18n } from '../i18n/i18n.svelte';
import { session } from '../session.svelte';
import { Polling, type Reader } from './polling';

export type ShopPoll<T> = {
  readonly value: T | null;
  /** When it was read, in Unix milliseconds. */
  readonly readAt: number | null;
  /** Why the latest read failed. */
  readonly failure: Failure | null;
  refresh: () => Promise<void>;
  /** Reads other data. The current data stays until the response arrives, and also if the read fails. */
  replace: (read: () => Promise<T>, onFailure: (error: unknown) => void) => Promise<void>;
  /** Discards the current data, and reads again. */
  restart: () => Promise<void>;
};

/** Call it while a component is created: it polls for as long as the component exists. */
export function pollShop<T>(read: () => Promise<T>): ShopPoll<T> {
  let answer = $state.raw<{ value: T; readAt: number } | null>(null);
  let failure = $state.raw<Failure | null>(null);

  const onAnswer = (value: T) => {
    answer = { value, readAt: Date.now() };
    failure = null;
  };
  const reader: Reader<T> = { read, onAnswer, onFailure: (error) => (failure = describeFailure(error, i18n.m)) };
  const polling = new Polling(reader);

  function clear() {
    answer = null;
    failure = null;
  }

  $effect(() => {
    // The next person may be allowed to see less.
    void session.owner;
    return untrack(() => {
      clear();
      return polling.start();
    });
  });

  return {
    get value() {
      return answer?.value ?? null;
    },
    get readAt() {
      return answer?.readAt ?? null;
    },
    get failure() {
      return failure;
    },
    refresh: () => polling.refresh(),
    replace: (read, onFailure) => polling.refresh({ read, onAnswer, onFailure }),
    restart() {
      clear();
      return polling.refresh();
    },
  };
}
