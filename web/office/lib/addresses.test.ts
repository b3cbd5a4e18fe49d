import { describe, expect, it } from 'vitest';
import { addressOf, pageFromPath, PAGES, returnAddress, shopPage, storeOf } from './addresses';

describe('the addresses', () => {
  it('lead to their page', () => {
    for (const page of [...PAGES, shopPage('paris-1')]) expect(pageFromPath(addressOf(page))).toBe(page);
    expect(addressOf('shops')).toBe('/');
    expect(addressOf('sales', 'store=paris-1')).toBe('/sales?store=paris-1');
    expect(addressOf(shopPage('paris-1'))).toBe('/shops/paris-1');
    expect(pageFromPath('/sales/')).toBe('sales');
  });

  it('name the shop', () => {
    expect(storeOf(pageFromPath('/shops/paris-1/'))).toBe('paris-1');
    expect(PAGES.map(storeOf)).toEqual(PAGES.map(() => null));
  });

  it('that are unknown lead to the shops', () => {
    const unknown = ['/salesman', '/sales/old', '/', '/shops/Paris', '/shops/a/b'];
    expect(new Set(unknown.map(pageFromPath))).toEqual(new Set(['shops']));
  });

  it('to return to after sign-in are those of the office', () => {
    const origin = 'https://office.example';
    expect(returnAddress('/sales?store=paris-1', origin)).toEqual({ page: 'sales', query: 'store=paris-1' });
    const others = [
      null,
      '//attacker.example/sales',
      'https://attacker.example/sales',
      'javascript:alert(1)',
      '/login',
    ];
    for (const next of others) expect(returnAddress(next, origin)).toEqual({ page: 'shops', query: '' });
  });
});
