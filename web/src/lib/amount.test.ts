import { describe, expect, it } from 'vitest';
import { parseAmount } from './amount';

describe('an amount that a person types', () => {
  it('may have a comma or a point, spaces and a currency symbol', () => {
    expect(parseAmount('12,50')).toBe(12.5);
    expect(parseAmount('12.5')).toBe(12.5);
    expect(parseAmount('1 204,05 €')).toBe(1204.05);
  });

  it('has at most the decimals of its currency', () => {
    expect(parseAmount('1 204 ¥', 0)).toBe(1204);
    expect(parseAmount('12.50', 0)).toBeNull();
    expect(parseAmount('12.505', 3)).toBe(12.505);
  });

  it.each(['', '0', '0,00', '-3', '12,345', 'douze', '1e9', '1.234,50'])('is not "%s"', (input) => {
    expect(parseAmount(input)).toBeNull();
  });
});
