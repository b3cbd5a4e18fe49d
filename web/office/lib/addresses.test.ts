import { describe, expect, it } from 'vitest';
import { addressOf, pageFromPath, PAGES } from './addresses';

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
});
