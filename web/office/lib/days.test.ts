import { describe, expect, it } from 'vitest';
import { isDay, midnight } from './days';

const local = (year: number, month: number, date: number) => new Date(year, month - 1, date).toISOString();

describe('a calendar day', () => {
  it('begins at midnight where the reader is', () => {
    expect(midnight('2026-03-16')).toBe(local(2026, 3, 16));
    expect(midnight('2026-03-16', 1)).toBe(local(2026, 3, 17));
  });

  it('ends at the next midnight, even if it has 23 or 25 hours, or is the last of its month or year', () => {
    // Where the clocks change in Europe.
    expect(midnight('2026-03-29', 1)).toBe(local(2026, 3, 30));
    expect(midnight('2026-10-25', 1)).toBe(local(2026, 10, 26));
    expect(midnight('2024-02-28', 1)).toBe(local(2024, 2, 29));
    expect(midnight('2026-12-31', 1)).toBe(local(2027, 1, 1));
  });

  it('of a year with few digits is not one of the last century', () => {
    expect(midnight('0026-03-16')).toMatch(/^0026-03-1[56]T/);
  });

  it('must exist', () => {
    for (const text of ['', '2026-02-29', '2026-13-01', '2026-00-10', '16/03/2026', '2026-3-16', '2026-03-16T10:00']) {
      expect(isDay(text), text).toBe(false);
      expect(midnight(text), text).toBeNull();
    }
    expect(isDay('2024-02-29')).toBe(true);
  });
});
