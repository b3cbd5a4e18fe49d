import { describe, expect, it } from 'vitest';
import { valuesOf, withValues } from './query';

describe('a query string', () => {
  it('has the values of a parameter', () => {
    expect(valuesOf('a=1&b=x%26y&a=2', 'a')).toEqual(['1', '2']);
    expect(valuesOf('a=1', 'b')).toEqual([]);
  });

  it('keeps the other parameters when one changes', () => {
    expect(withValues('a=1&b=x%26y&a=2', 'a', ['3'])).toBe('b=x%26y&a=3');
    expect(withValues('a=1&b=2', 'a', [])).toBe('b=2');
    expect(withValues('', 'c', ['1', '2'])).toBe('c=1&c=2');
  });
});
