import { describe, expect, it } from 'vitest';
import { newId, shortenId } from './id';

describe('an id', () => {
  it('is shortened if it is random, and unchanged if somebody chose it', () => {
    expect(shortenId('o-0123456789abcdef0123456789abcdef')).toBe('o-01234567');
    expect(shortenId('commande-2026-117')).toBe('commande-2026-117');
  });

  it('of a new item has the gateway’s format', () => {
    expect(newId('p')).toMatch(/^p-[0-9a-f]{32}$/);
    expect(shortenId(newId('p'))).toMatch(/^p-[0-9a-f]{8}$/);
  });
});
