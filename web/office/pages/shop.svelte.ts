/** The figures and the newest sales of one shop, read again every few seconds while the page is visible. */
import { get } from '../../src/lib/api/http';
import { Polling } from '../../src/lib/shops/polling';
import { formatApiQuery, KINDS, NO_FILTER, type Kind } from '../lib/salesFilter';
import type { SaleItem, SalesPage, ShopStats } from '../lib/types';

const REFRESH_MS = 5000;
const NEWEST = 6;

export type ShopAnswer = { stats: ShopStats; newest: Record<Kind, SaleItem[]> };
export type ShopState = {
  /** `null` until the office has answered. */
  answer: ShopAnswer | null;
  /** Why the latest read failed, or `null`. */
  error: unknown;
};

async function readShop(store: string): Promise<ShopAnswer> {
  const newest = async (kind: Kind): Promise<[Kind, SaleItem[]]> => {
    const query = formatApiQuery({ ...NO_FILTER, store, kind }, { limit: NEWEST });
    return [kind, (await get<SalesPage>(`/api/sales?${query}`)).items];
  };
  const [stats, ...lists] = await Promise.all([
    get<ShopStats>(`/api/shops/${encodeURIComponent(store)}/stats`),
    ...KINDS.map(newest),
  ]);
  return { stats, newest: Object.fromEntries(lists) as ShopAnswer['newest'] };
}

/** Call it while a component is created: it polls for as long as the component exists. */
export function pollShop(store: string) {
  let state = $state.raw<ShopState>({ answer: null, error: null });
  const polling = new Polling<ShopAnswer>(
    {
      read: () => readShop(store),
      onAnswer: (answer) => (state = { answer, error: null }),
      onFailure: (error) => (state = { ...state, error }),
    },
    REFRESH_MS,
  );
  $effect(() => polling.start());
  return {
    get state() {
      return state;
    },
  };
}
