import { describe, expect, it } from 'vitest';
import { amountOf } from './amount';
import { isolated } from './bidi';
import { asHex, asText, fromBase64 } from './bytes';
import { en } from './i18n/en';
import { formatsOf } from './i18n/format';
import { fr } from './i18n/fr';
import { shortId } from './id';

const plain = (s: string) => s.replace(/[\u00a0\u202f]/g, ' ');

describe('amounts that people type', () => {
  it('take a comma or a point', () => {
    expect(amountOf('12,50')).toBe(12.5);
    expect(amountOf('12.5')).toBe(12.5);
    expect(amountOf('1 204,05 €')).toBe(1204.05);
  });

  it('have the decimals of their currency', () => {
    expect(amountOf('1 204 ¥', 0)).toBe(1204);
    expect(amountOf('12.50', 0)).toBeNull();
    expect(amountOf('12.505', 3)).toBe(12.505);
  });

  it('refuse what is none', () => {
    for (const typed of ['', '0', '0,00', '-3', '12,345', 'douze', '1e9', '1.234,50']) expect(amountOf(typed), typed).toBeNull();
  });
});

describe('formats', () => {
  it('are those of the language', () => {
    expect(plain(formatsOf('fr-FR').money(1234.5))).toBe('1 234,50 €');
    expect(formatsOf('en-GB').money(1234.5)).toBe('€1,234.50');
    expect(plain(formatsOf('fr-FR').percent(0.936))).toBe('93,6 %');
    expect(plain(formatsOf('fr-FR').bytes(61_900_000))).toBe('61,9 Mo');
    expect(plain(formatsOf('en-GB').bytes(91))).toBe('91 B');
  });

  it('know a currency’s symbol and decimals', () => {
    const { symbol, decimals, typed } = formatsOf('fr-FR');
    expect([symbol('EUR'), decimals('EUR'), typed(1204.5, 'EUR')]).toEqual(['€', 2, '1204,50']);
    expect([decimals('JPY'), typed(1204, 'JPY')]).toEqual([0, '1204']);
    expect([decimals('KWD'), typed(0.345, 'KWD'), decimals('CLF'), typed(0.0001, 'CLF')]).toEqual([3, '0,345', 4, '0,0001']);
    expect([symbol('??'), decimals('??')]).toEqual(['??', 2]);
  });

  it('show every minor unit, also of currencies of which browsers know other decimals', () => {
    const money = (amount: number, currency: string) => plain(formatsOf('en-GB').money(amount, currency));
    expect(['JPY', 'EUR', 'KWD', 'CLF', 'UYW'].map((currency) => money(1, currency).replace(/[^\d.]/g, ''))).toEqual(['1', '1.00', '1.000', '1.0000', '1.0000']);
    expect(money(1.035, 'KWD')).toBe('KWD 1.035');
    expect(money(1.25, 'IQD')).toBe('IQD 1.250');
    expect(money(1.25, 'RSD')).toBe('RSD 1.25');
  });

  it('show nothing as nothing', () => {
    const { money } = formatsOf('en-GB');
    expect([money(-0), money(Number.NaN), money(-1.5)]).toEqual(['€0.00', '–', '-€1.50']);
  });

  it('say how long in two units', () => {
    const { lasting } = formatsOf('en-GB');
    expect(lasting(0)).toBe('0 secs');
    expect(lasting(3_600_000 * 26)).toContain('2 hrs');
    expect(lasting(65_000)).toMatch(/^1 min/);
  });

  it('say of a moment what day it was, by the day that it is', () => {
    let now = new Date(2026, 2, 15, 23, 59);
    const fr = formatsOf('fr-FR', () => now);
    const en = formatsOf('en-GB', () => now);
    const sold = new Date(2026, 2, 15, 23, 58).toISOString();
    expect(fr.moment(sold)).toBe('23:58:00');
    now = new Date(2026, 2, 16, 0, 1);
    expect(fr.moment(sold)).toBe('hier 23:58');
    expect(en.moment(sold)).toBe('yesterday 23:58');
    now = new Date(2026, 2, 17, 0, 1);
    expect(fr.moment(sold)).toBe('15/03 23:58');
  });

  it('survive a currency that does not exist and a date that is none', () => {
    expect(formatsOf('en-GB').money(3, '??')).toBe('3 ??');
    expect(formatsOf('en-GB').moment('yesterday')).toBe('');
    expect(formatsOf('en-GB').day('soon')).toBe('soon');
  });
});

describe('the two languages', () => {
  const keys = (value: unknown, path = ''): string[] =>
    value !== null && typeof value === 'object' ? Object.entries(value).flatMap(([k, v]) => keys(v, `${path}.${k}`)) : [path];

  it('have the same texts', () => {
    expect(keys(fr)).toEqual(keys(en));
  });
});

describe('a name from outside', () => {
  it('cannot turn around what stands beside it', () => {
    expect(isolated('דנה')).toBe('\u2068דנה\u2069');
    expect(isolated('a\u202eb\u2069c')).toBe('\u2068abc\u2069');
    expect([isolated(''), isolated('Zoé & fils, 東京')]).toEqual(['', 'Zoé & fils, 東京']);
  });
});

describe('an id', () => {
  it('is cut where it is long and random, and left whole where somebody chose it', () => {
    expect(shortId('o-0123456789abcdef0123456789abcdef')).toBe('o-01234567');
    expect(shortId('commande-2026-117')).toBe('commande-2026-117');
  });
});

describe('bytes of a dead letter', () => {
  const bytes = fromBase64(btoa('\u0009{"a"\u0000\u00ff'));

  it('are whole', () => {
    expect([...bytes]).toEqual([9, 0x7b, 0x22, 0x61, 0x22, 0, 0xff]);
  });

  it('hide nothing', () => {
    expect(asText(bytes)).toBe('\t{"a"\u2400\ufffd');
    expect(asHex(bytes)).toBe('0000  09 7b 22 61 22 00 ff                             .{"a"..');
  });
});
