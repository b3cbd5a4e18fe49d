/** Filters and sorts the list of shops. */
import type { Shop } from './types';

export const SORT_KEYS = ['trouble', 'name', 'heard', 'backlog'] as const;
export type SortKey = (typeof SORT_KEYS)[number];
export type Sort = { key: SortKey; isReversed: boolean };

export const DEFAULT_SORT: Sort = { key: 'trouble', isReversed: false };

export type Filter = { search: string; isOnlyTrouble: boolean };

/**
 * Compares numbers in names by value: `paris-2` comes before `paris-10`. The locale is fixed, because names are not
 * words of the reader's language.
 */
const byName = new Intl.Collator('en', { numeric: true }).compare;

/** Shops whose gateway has not published its state sort last. */
const backlogOf = ({ gateway }: Shop): number => gateway?.pending ?? -1;

/** The most urgent shop comes first: the longest silence, the largest backlog. */
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

/** The keys whose default order is descending. */
const DESCENDING: readonly SortKey[] = ['trouble', 'backlog'];

export function ariaSort(sort: Sort, key: SortKey): 'ascending' | 'descending' | 'none' {
  if (sort.key !== key) return 'none';
  return DESCENDING.includes(key) === sort.isReversed ? 'ascending' : 'descending';
}

/** The query string of a view, without `?`. A minus sign reverses the sort, as in `-heard`. Defaults are omitted. */
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
