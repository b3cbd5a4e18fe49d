import { describe, expect, it } from 'vitest';
import {
  fieldOf,
  formatApiQuery,
  formatFilter,
  isFiltered,
  isKind,
  matchesFilter,
  NO_FILTER,
  parseFilter,
} from './salesFilter';

const ALL = { store: 'paris-1', kind: 'payment', from: '2026-03-01', to: '2026-03-16', search: 'p-é&1' };

describe('the address', () => {
  it('has every filter, and reads it back', () => {
    const query = formatFilter(ALL);
    expect(query).toBe('store=paris-1&kind=payment&from=2026-03-01&to=2026-03-16&search=p-%C3%A9%261');
    expect(parseFilter(`?${query}`)).toEqual(ALL);
  });

  it('has nothing without a filter', () => {
    expect(formatFilter(NO_FILTER)).toBe('');
    expect(parseFilter('')).toEqual(NO_FILTER);
    expect(isFiltered(NO_FILTER)).toBe(false);
    expect(isFiltered({ ...NO_FILTER, kind: 'order' })).toBe(true);
  });

  it('has no spaces around what was typed or pasted', () => {
    expect(formatFilter({ ...NO_FILTER, store: ' paris-1 ', search: '\to-12 ' })).toBe('store=paris-1&search=o-12');
  });

  it('keeps a kind that the API may know, and leaves out what is not a day', () => {
    expect(parseFilter('kind=refund&from=yesterday&to=2026-02-31')).toEqual({ ...NO_FILTER, kind: 'refund' });
    expect(isKind('refund')).toBe(false);
    expect(isKind('order')).toBe(true);
  });
});

describe('the query of the API', () => {
  it('has instants, and the whole last day', () => {
    const query = new URLSearchParams(formatApiQuery(ALL));
    expect(Object.fromEntries(query)).toEqual({
      store: 'paris-1',
      kind: 'payment',
      since: new Date(2026, 2, 1).toISOString(),
      until: new Date(2026, 2, 17).toISOString(),
      search: 'p-é&1',
    });
  });

  it('has the length of a page and where it begins, but not for the file', () => {
    expect(formatApiQuery(NO_FILTER, { limit: 50, after: 'e30' })).toBe('limit=50&after=e30');
    expect(formatApiQuery(NO_FILTER)).toBe('');
  });
});

describe('a parameter that the API refuses', () => {
  it('belongs to a field of the form', () => {
    expect(['store', 'kind', 'since', 'until', 'search'].map(fieldOf)).toEqual([
      'store',
      'kind',
      'from',
      'to',
      'search',
    ]);
  });

  it('may belong to none', () => {
    expect([undefined, 'after', 'limit', 'constructor'].map(fieldOf)).toEqual([null, null, null, null]);
  });
});

describe('a live sale', () => {
  it('matches the filters that the API would list it for', () => {
    const sale = {
      store: 'paris-1',
      kind: 'payment',
      device: 'till-1',
      id: 'p-1',
      order_id: 'o-1',
      status: 'SUCCESS',
      // In the middle of the day, whatever the time zone.
      time: new Date(2026, 2, 16, 12).toISOString(),
      corrections: 0,
      epoch: 7,
      number: 1,
      value: {},
    };
    const matches = (filter: object) => matchesFilter({ ...NO_FILTER, ...filter }, sale);
    for (const filter of [
      {},
      { store: 'paris-1', kind: 'payment', from: '2026-03-16', to: '2026-03-16' },
      { search: 'p-' },
      { search: 'o-1' },
    ]) {
      expect(matches(filter), JSON.stringify(filter)).toBe(true);
    }
    for (const filter of [
      { store: 'lyon-2' },
      { kind: 'order' },
      { from: '2026-03-17' },
      { to: '2026-03-15' },
      { search: '-1' },
    ]) {
      expect(matches(filter), JSON.stringify(filter)).toBe(false);
    }
  });
});
