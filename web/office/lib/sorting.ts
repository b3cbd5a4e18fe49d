/** Which shops are listed, and in which order. */
import type { Shop } from './types';

export const SORT_KEYS = ['trouble', 'name', 'heard', 'backlog'] as const;
export type SortKey = (typeof SORT_KEYS)[number];
export type Sort = { key: SortKey; isReversed: boolean };

export const DEFAULT_SORT: Sort = { key: 'trouble', isReversed: false };

export type Filter = { search: string; isOnlyTrouble: boolean };

/** Names have numbers: `paris-2` comes before `paris-10`. They are not words of the reader's language. */
const byName = new Intl.Collator('en', { numeric: true }).compare;

/** The larger, the more urgent. Shops whose gateway has not published its state are last. */
const backlogOf = ({ gateway }: Shop): number => gateway?.pending ?? -1;

/** What somebody wants to see first is first: the longest silence, the largest backlog. */
const comparisons: Record<Exclude<SortKey, 'trouble'>, (a: Shop, b: Shop) => number> = {
  name: (a, b) => byName(a.store, b.store),
  heard: (a, b) => Date.parse(a.heard) - Date.parse(b.heard) || byName(a.store, b.store),
  backlog: (a, b) => backlogOf(b) - backlogOf(a) || byName(a.store, b.store),
};

/** The office has sorted the shops by trouble already. */
export function sortShops(shops: readonly Shop[], { key, isReversed }: Sort): readonly Shop[] {
  const sorted = key === 'trouble' ? shops : [...shops].sort(comparisons[key]);
  return isReversed ? [...sorted].reverse() : sorted;
}

export function filterShops(shops: readonly Shop[], { search, isOnlyTrouble }: Filter): readonly Shop[] {
  const text = search.trim().toLowerCase();
  if (text === '' && !isOnlyTrouble) return shops;
  return shops.filter((shop) => shop.store.includes(text) && (!isOnlyTrouble || shop.troubles.length > 0));
}

/** The sort after a click on a heading: another key, or the other direction. */
export const nextSort = (current: Sort, key: SortKey): Sort => ({
  key,
  isReversed: current.key === key && !current.isReversed,
});

/** The largest backlog and the worst trouble are first. */
const DESCENDING: readonly SortKey[] = ['trouble', 'backlog'];

export function ariaSort(sort: Sort, key: SortKey): 'ascending' | 'descending' | 'none' {
  if (sort.key !== key) return 'none';
  return DESCENDING.includes(key) === sort.isReversed ? 'ascending' : 'descending';
}

/** The query string of a view, without `?`. A reversed sort is `-heard`. What is usual is absent. */
export function formatView({ search, isOnlyTrouble }: Filter, { key, isReversed }: Sort): string {
  const parameters = new URLSearchParams();
  if (search !== '') parameters.set('search', search);
  if (isOnlyTrouble) parameters.set('only', 'trouble');
  if (key !== DEFAULT_SORT.key || isReversed) parameters.set('sort', isReversed ? `-${key}` : key);
  return parameters.toString();
}

export function parseView(query: string): { filter: Filter; sort: Sort } {
  const parameters = new URLSearchParams(query);
  const sort = parameters.get('sort');
  const key = SORT_KEYS.find((known) => known === sort?.replace(/^-/, ''));
  return {
    filter: { search: parameters.get('search') ?? '', isOnlyTrouble: parameters.get('only') === 'trouble' },
    sort: key === undefined ? DEFAULT_SORT : { key, isReversed: sort?.startsWith('-') ?? false },
  };
}
