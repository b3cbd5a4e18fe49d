import { describe, expect, it } from 'vitest';
import { createFormats } from './format';

const french = createFormats('fr-FR');
const english = createFormats('en-GB');
const withPlainSpaces = (text: string) => text.replace(/[\u00a0\u202f]/g, ' ');

describe('formats', () => {
  it('follow the language', () => {
    expect(withPlainSpaces(french.money(1234.5))).toBe('1 234,50 €');
    expect(english.money(1234.5)).toBe('€1,234.50');
    expect(withPlainSpaces(french.percent(0.936))).toBe('93,6 %');
    expect(withPlainSpaces(french.bytes(61_900_000))).toBe('61,9 Mo');
    expect(withPlainSpaces(english.bytes(91))).toBe('91 B');
  });

  it('have the symbol and the decimals of each currency', () => {
    const { symbol, decimals, amountInput } = french;
    expect([symbol('EUR'), decimals('EUR'), amountInput(1204.5, 'EUR')]).toEqual(['€', 2, '1204,50']);
    expect([decimals('JPY'), amountInput(1204, 'JPY')]).toEqual([0, '1204']);
    expect([decimals('KWD'), amountInput(0.345, 'KWD')]).toEqual([3, '0,345']);
    expect([decimals('CLF'), amountInput(0.0001, 'CLF')]).toEqual([4, '0,0001']);
  });

  it('show every minor unit, even if the browser has other decimals for the currency', () => {
    const money = (amount: number, currency: string) => withPlainSpaces(english.money(amount, currency));
    const digits = (currency: string) => money(1, currency).replace(/[^\d.]/g, '');
    expect(['JPY', 'EUR', 'KWD', 'CLF', 'UYW'].map(digits)).toEqual(['1', '1.00', '1.000', '1.0000', '1.0000']);
    expect(money(1.035, 'KWD')).toBe('KWD 1.035');
    expect(money(1.25, 'IQD')).toBe('IQD 1.250');
    expect(money(1.25, 'RSD')).toBe('RSD 1.25');
  });

  it('sort names as a dictionary does', () => {
    for (const { compare } of [french, english]) {
      expect(['Zoé', 'élodie', 'Éric', 'Adam', 'emma'].sort(compare)).toEqual([
        'Adam',
        'élodie',
        'emma',
        'Éric',
        'Zoé',
      ]);
    }
  });

  it('show negative zero as zero, and an invalid number as a dash', () => {
    expect([english.money(-0), english.money(Number.NaN), english.money(-1.5)]).toEqual(['€0.00', '–', '-€1.50']);
  });

  it('accept an unknown currency and an invalid date', () => {
    expect(withPlainSpaces(english.money(3, '??'))).toBe('3 ??');
    expect([english.symbol('??'), english.decimals('??')]).toEqual(['??', 2]);
    expect(english.moment('yesterday')).toBe('');
    expect(english.day('soon')).toBe('soon');
  });

  it('give a duration in at most two units', () => {
    expect(english.duration(0)).toBe('0 secs');
    expect(english.duration(3_600_000 * 26)).toContain('2 hrs');
    expect(english.duration(65_000)).toMatch(/^1 min/);
  });

  it('add the day to a moment once that day is over', () => {
    let now = new Date(2026, 2, 15, 23, 59);
    const fr = createFormats('fr-FR', () => now);
    const en = createFormats('en-GB', () => now);
    const sold = new Date(2026, 2, 15, 23, 58).toISOString();
    expect(fr.moment(sold)).toBe('23:58:00');
    now = new Date(2026, 2, 16, 0, 1);
    expect(fr.moment(sold)).toBe('hier 23:58');
    expect(en.moment(sold)).toBe('yesterday 23:58');
    now = new Date(2026, 2, 17, 0, 1);
    expect(fr.moment(sold)).toBe('15/03 23:58');
  });
});
