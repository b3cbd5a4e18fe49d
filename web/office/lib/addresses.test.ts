import { describe, expect, it } from 'vitest';
import { addressOf, pageFromPath, PAGES, returnAddress } from './addresses';

describe('the addresses', () => {
  it('lead to their page', () => {
    for (const page of PAGES) expect(pageFromPath(addressOf(page))).toBe(page);
    expect(addressOf('shops')).toBe('/');
    expect(addressOf('sales', 'store=paris-1')).toBe('/sales?store=paris-1');
    expect(pageFromPath('/sales/')).toBe('sales');
  });

  it('that are unknown lead to the shops', () => {
    expect(['/salesman', '/sales/old', '/'].map(pageFromPath)).toEqual(['shops', 'shops', 'shops']);
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
