import { describe, expect, it } from 'vitest';
import { countFitting } from './fitRows';

describe('the rows that fit', () => {
  it('are those that end within the height', () => {
    expect(countFitting([40, 80, 120], 100)).toBe(2);
    expect(countFitting([40, 80, 120], 120)).toBe(3);
    expect(countFitting([40, 80, 120], 500)).toBe(3);
  });

  it('include one that ends at the edge but for rounding, and no half row', () => {
    expect(countFitting([40.2, 80.4], 80)).toBe(2);
    expect(countFitting([40, 81], 80)).toBe(1);
  });

  it('are none if the first is too high, or if there is none', () => {
    expect(countFitting([140, 150], 100)).toBe(0);
    expect(countFitting([], 100)).toBe(0);
  });

  it('end before the first that does not fit, also if a later one would', () => {
    expect(countFitting([40, 160, 90], 100)).toBe(1);
  });
});
