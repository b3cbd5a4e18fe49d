import { describe, expect, it } from 'vitest';
import { createAges } from './ages';

const french = createAges('fr-FR');
const english = createAges('en-GB');
const withPlainSpaces = (text: string) => text.replace(/[\u00a0\u202f]/g, ' ');

describe('times', () => {
  it('have an age in its largest unit', () => {
    const ages = [400, 59_999, 61_000, 3_600_000 * 23, 86_400_000 * 400];
    expect(ages.map(french.ago).map(withPlainSpaces)).toEqual([
      'il y a 0 s',
      'il y a 59 s',
      'il y a 1 min',
      'il y a 23 h',
      'il y a 400 j',
    ]);
    expect(english.ago(-5000)).toBe('0 sec ago');
  });

  it('are exact with their date', () => {
    expect(english.exact(new Date(2026, 2, 15, 23, 58, 7).toISOString())).toBe('15 March 2026 at 23:58:07');
    expect(english.exact('soon')).toBe('soon');
  });

  it('are short in a column, and have the year', () => {
    const iso = new Date(2025, 2, 15, 23, 58, 7).toISOString();
    expect(withPlainSpaces(french.short(iso))).toBe('15/03/2025 23:58');
    expect(english.short(iso)).toBe('15/03/2025, 23:58');
    expect(english.short('soon')).toBe('soon');
  });
});
