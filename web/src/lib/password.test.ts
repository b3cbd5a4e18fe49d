import { describe, expect, it } from 'vitest';
import { strengthOf } from './password';

describe('the strength of a password', () => {
  it.each([
    ['', 'short'],
    ['1234567', 'short'],
    ['corail-bleu', 'fair'],
    ['corail-bleu-12', 'good'],
    ['trois caisses et un tiroir', 'strong'],
    ['aaaaaaaaaaaaaaaaaaaaaaaa', 'fair'],
  ])('%j is %s', (password, strength) => {
    expect(strengthOf(password)).toBe(strength);
  });

  it('counts characters, not UTF-16 units', () => {
    expect(strengthOf('🦊'.repeat(7))).toBe('short');
  });
});
