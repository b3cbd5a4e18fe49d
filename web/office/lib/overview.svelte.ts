/** The overview, read again every few seconds while the page is visible. Live sales show in between. */
import { get } from '../../src/lib/api/http';
import { Polling } from '../../src/lib/shops/polling';
import { LatestSales } from './latestSales';
import type { LiveEvent } from './liveEvents';
import { startOfDay } from './startOfDay';
import type { Overview } from './types';

const REFRESH_MS = 5000;

export type PollState = {
  overview: Overview | null;
  /** When the overview was read, in Unix milliseconds. */
  readAt: number | null;
  /** Why the latest read failed, or `null`. */
  error: unknown;
};

/** Call it while a component is created: it polls for as long as the component exists and `isWanted` is true. */
export function pollOverview(isWanted: () => boolean) {
  let state = $state.raw<PollState>({ overview: null, readAt: null, error: null });
  const sold = new LatestSales(() => {
    if (state.overview) state = { ...state, overview: sold.applyTo(state.overview) };
  });
  const polling = new Polling<Overview>(
    {
      read: () => get<Overview>(`/api/shops?since=${encodeURIComponent(startOfDay(Date.now()))}`),
      onAnswer: (overview) => (state = { overview: sold.applyTo(overview), readAt: Date.now(), error: null }),
      onFailure: (error) => (state = { ...state, error }),
    },
    REFRESH_MS,
  );
  $effect(() => {
    if (!isWanted()) return;
    // What another user may see is read anew.
    state = { overview: null, readAt: null, error: null };
    return polling.start();
  });
  return {
    get state() {
      return state;
    },
    add: (event: LiveEvent) => sold.add(event),
  };
}
