import { describe, expect, it } from 'vitest';
import { en } from '../i18n/day/en';
import { addByCurrency, missingText, parseEventName, splitTakings } from './closing';

describe('a closing', () => {
  it('has takings of its own day and late ones, also without a day', () => {
    const takings = [
      { date: '2026-03-14', currency: 'EUR', net: 10 },
      { date: '2026-03-13', currency: 'EUR', net: 2 },
      { date: null, currency: 'USD', net: 3 },
    ];
    const { own, late } = splitTakings({ date: '2026-03-14', takings });
    expect(own).toEqual(takings.slice(0, 1));
    expect(late).toEqual(takings.slice(1));
  });

  it('is added up exactly, by currency', () => {
    const amounts = [
      { currency: 'EUR', net: 0.1 },
      { currency: 'JPY', net: 100 },
      { currency: 'EUR', net: 0.2 },
    ];
    expect(addByCurrency(amounts, (currency) => (currency === 'JPY' ? 0 : 2))).toEqual([
      { currency: 'EUR', net: 0.3 },
      { currency: 'JPY', net: 100 },
    ]);
  });

  it('names the till of an event, also one of another store that this gateway serves', () => {
    expect(parseEventName('paris-1/till-2/77/1234')).toEqual({ store: 'paris-1', device: 'till-2' });
    expect(parseEventName('broken')).toEqual({ store: 'broken', device: '' });
  });

  it('names the first missing numbers and counts the other ranges', () => {
    const missing = [
      [41, 44],
      [50, 50],
      [60, 61],
    ] as const;
    expect(missingText(missing, 3, en)).toBe('41–44, 50, 60–61');
    expect(missingText(missing, 2, en)).toBe('41–44, 50 and 1 more');
  });
});
