import { describe, expect, it } from 'vitest';
import { queryOf, shownShop } from './shownShop';

const gateway = { store: 'paris-1', follow: 'all' } as const;
const others = ['lyon-2', 'nice-3'];

describe('the shop that a page shows', () => {
  it('is this shop if the address names none, whatever is known', () => {
    for (const parameter of [null, '']) {
      expect(shownShop(parameter, { gateway: null, others: null })).toEqual({ kind: 'own' });
      expect(shownShop(parameter, { gateway, others })).toEqual({ kind: 'own' });
    }
  });

  it('is this shop if the address names it', () => {
    expect(shownShop('paris-1', { gateway, others: null })).toEqual({ kind: 'own' });
  });

  it('is another shop only once the gateway has named that shop', () => {
    const pending = { kind: 'pending', store: 'lyon-2' };
    expect(shownShop('lyon-2', { gateway: null, others: null })).toEqual(pending);
    expect(shownShop('lyon-2', { gateway, others: null })).toEqual(pending);
    expect(shownShop('lyon-2', { gateway, others })).toEqual({ kind: 'other', store: 'lyon-2' });
  });

  it('is unknown, and never this shop instead, if the gateway does not name it', () => {
    expect(shownShop('lyon-9', { gateway, others })).toEqual({ kind: 'unknown', store: 'lyon-9' });
    expect(shownShop('Lyon-2', { gateway, others })).toEqual({ kind: 'unknown', store: 'Lyon-2' });
  });

  it('is unknown without a request if the gateway reads only its own sales', () => {
    const own = { ...gateway, follow: 'own' } as const;
    expect(shownShop('lyon-2', { gateway: own, others: null })).toEqual({ kind: 'unknown', store: 'lyon-2' });
  });
});

describe('the query string of a link', () => {
  it('is empty for this shop', () => {
    expect(queryOf({ kind: 'own' })).toBe('');
  });

  it('names another shop, even one that is not known yet', () => {
    expect(queryOf({ kind: 'other', store: 'lyon-2' })).toBe('store=lyon-2');
    expect(queryOf({ kind: 'pending', store: 'lyon-2' })).toBe('store=lyon-2');
  });

  it('is escaped', () => {
    expect(queryOf({ kind: 'unknown', store: 'a&b=c' })).toBe('store=a%26b%3Dc');
  });
});
