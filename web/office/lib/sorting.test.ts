import { describe, expect, it } from 'vitest';
import {
  ariaSort,
  DEFAULT_SORT,
  filterShops,
  formatView,
  nextSort,
  parseView,
  sortShops,
  type SortKey,
} from './sorting';
import type { Gateway, Shop } from './types';

const shop = (store: string, { heard = '2026-03-16T15:00:00Z', troubles = [], ...more }: Partial<Shop> = {}): Shop => ({
  store,
  heard,
  troubles,
  today: { orders: 0, payments: 0, deliveries: 0, takings: [] },
  ...more,
});
const waiting = (pending: number) => ({ gateway: { pending } as Gateway });
const names = (shops: readonly Shop[]) => shops.map(({ store }) => store);
const sorted = (shops: Shop[], key: SortKey, isReversed = false) => names(sortShops(shops, { key, isReversed }));

describe('the order of the shops', () => {
  it('is the one of the office unless the reader chooses another', () => {
    const shops = [shop('b', { troubles: ['silent'] }), shop('c', { troubles: ['backlog'] }), shop('a')];
    expect(names(sortShops(shops, DEFAULT_SORT))).toEqual(['b', 'c', 'a']);
    expect(sorted(shops, 'trouble', true)).toEqual(['a', 'c', 'b']);
  });

  it('has the numbers in names as numbers', () => {
    expect(sorted([shop('paris-10'), shop('paris-2'), shop('lyon-1')], 'name')).toEqual([
      'lyon-1',
      'paris-2',
      'paris-10',
    ]);
  });

  it('has the longest silence first', () => {
    const shops = [shop('a', { heard: '2026-03-16T15:00:00Z' }), shop('b', { heard: '2026-03-16T09:00:00Z' })];
    expect(sorted(shops, 'heard')).toEqual(['b', 'a']);
    expect(sorted(shops, 'heard', true)).toEqual(['a', 'b']);
  });

  it('has the largest backlog first, and shops without a state last', () => {
    expect(sorted([shop('x'), shop('a', waiting(0)), shop('c', waiting(7)), shop('b', waiting(7))], 'backlog')).toEqual(
      ['b', 'c', 'a', 'x'],
    );
  });

  it('does not change the list that the office sent', () => {
    const shops = Object.freeze([shop('b'), shop('a')]);
    expect(names(sortShops(shops, { key: 'name', isReversed: true }))).toEqual(['b', 'a']);
    expect(names(shops)).toEqual(['b', 'a']);
  });

  it('turns round with a second click on the same heading', () => {
    const byName = nextSort(DEFAULT_SORT, 'name');
    expect(byName).toEqual({ key: 'name', isReversed: false });
    expect(nextSort(byName, 'name')).toEqual({ key: 'name', isReversed: true });
    expect(nextSort(nextSort(byName, 'name'), 'heard')).toEqual({ key: 'heard', isReversed: false });
  });

  it('is named as screen readers expect it', () => {
    expect(ariaSort({ key: 'name', isReversed: false }, 'name')).toBe('ascending');
    expect(ariaSort({ key: 'backlog', isReversed: false }, 'backlog')).toBe('descending');
    expect(ariaSort({ key: 'backlog', isReversed: true }, 'backlog')).toBe('ascending');
    expect(ariaSort({ key: 'backlog', isReversed: true }, 'name')).toBe('none');
  });
});

describe('the filter', () => {
  const shops = [shop('paris-1', { troubles: ['silent'] }), shop('paris-2'), shop('lyon-1', { troubles: ['backlog'] })];

  it('finds a part of a name, whatever its case', () => {
    expect(names(filterShops(shops, { search: ' Paris ', isOnlyTrouble: false }))).toEqual(['paris-1', 'paris-2']);
    expect(names(filterShops(shops, { search: 'paris', isOnlyTrouble: true }))).toEqual(['paris-1']);
    expect(names(filterShops(shops, { search: '', isOnlyTrouble: true }))).toEqual(['paris-1', 'lyon-1']);
  });
});

describe('the address', () => {
  it('has what is not usual', () => {
    expect(formatView({ search: '', isOnlyTrouble: false }, DEFAULT_SORT)).toBe('');
    const view = { filter: { search: 'a&b', isOnlyTrouble: true }, sort: { key: 'heard', isReversed: true } } as const;
    expect(formatView(view.filter, view.sort)).toBe('search=a%26b&only=trouble&sort=-heard');
    expect(parseView(`?${formatView(view.filter, view.sort)}`)).toEqual(view);
  });

  it('is read without what is unknown in it', () => {
    const usual = { filter: { search: '', isOnlyTrouble: false }, sort: DEFAULT_SORT };
    expect(parseView('?only=everything&sort=size')).toEqual(usual);
  });
});
