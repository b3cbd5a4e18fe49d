import { describe, expect, it } from 'vitest';
import type { ShopDay } from '../api/types';
import { escapeFormulas, writeDay } from './file';

const day: ShopDay = {
  date: '2026-12-02',
  time_zone: 'Europe/Paris',
  from: '2026-12-01T23:00:00Z',
  to: '2026-12-02T23:00:00Z',
  is_today: false,
  currency: 'EUR',
  takings: { payments: 41, gross: 512.4, refunds: 2, refunded: 17, net: 495.4, failed: 3 },
  orders: { orders: 44, amount: 530.2, cancelled: 1, cancelled_amount: 4.5 },
  by_method: [{ method: 'Cash', payments: 20, gross: 200, refunds: 1, refunded: 5, net: 195, failed: 0 }],
  by_till: [{ device: 'counter', payments: 20, gross: 200, refunds: 1, refunded: 5, net: 195, failed: 0 }],
  by_vat_rate: [
    { vat_rate: 5.5, amount: 100, vat: 5.21 },
    { vat_rate: null, amount: 3, vat: null },
  ],
  by_product: [{ product: '=1+1;"x"', unit: 'kg', quantity: 12.5, amount: 13.75 }],
  other_products: { products: 2, amount: 1.5 },
  by_hour: [{ hour: '2026-12-02T07:00:00Z', payments: 5, net: 51 }],
  other_currencies: [{ currency: 'USD', net: 10 }],
};
const texts = { methodName: () => 'Espèces', deviceName: () => 'Comptoir' };

describe('the file of a day', () => {
  it('has semicolons and decimal commas for a French spreadsheet, and defuses formulas', () => {
    const file = writeDay(day, texts, true);
    expect(file.startsWith('\ufeffdate;section;name;unit;count;quantity;amount;vat;currency\r\n')).toBe(true);
    expect(file.endsWith('\r\n')).toBe(true);
    const lines = file.split('\r\n');
    expect(lines).toContain('2026-12-02;takings;payments;;41;;512,4;;EUR');
    expect(lines).toContain('2026-12-02;takings;refunds;;2;;-17;;EUR');
    expect(lines).toContain('2026-12-02;takings;net;;;;495,4;;EUR');
    expect(lines).toContain('2026-12-02;method;Espèces;;20;;195;;EUR');
    expect(lines).toContain('2026-12-02;till;Comptoir;;20;;195;;EUR');
    expect(lines).toContain('2026-12-02;vat;5,5;;;;100;5,21;EUR');
    expect(lines).toContain('2026-12-02;vat;;;;;3;;EUR');
    expect(lines).toContain(`2026-12-02;product;"'=1+1;""x""";kg;;12,5;13,75;;EUR`);
    expect(lines).toContain('2026-12-02;other products;;;2;;1,5;;EUR');
    expect(lines).toContain('2026-12-02;other currency;net;;;;10;;USD');
  });

  it('has commas and decimal points elsewhere', () => {
    const lines = writeDay(day, texts, false).split('\r\n');
    expect(lines).toContain('2026-12-02,takings,payments,,41,,512.4,,EUR');
    expect(lines).toContain('2026-12-02,hour,2026-12-02T07:00:00Z,,5,,51,,EUR');
  });
});

describe('a text that begins like a formula', () => {
  // The same examples as those of the gateway, in `spreadsheet.rs`.
  it.each([
    ['=1+1', "'=1+1"],
    ['＝1+1', "'＝1+1"],
    ['-5', "'-5"],
    ['Pain;=1+2;', "Pain;'=1+2;"],
    ['Pain,=1+2', "Pain,'=1+2"],
    ['a\t@b', "a\t'@b"],
    ['a\n+b', "a\n'+b"],
    ['; "=1', `; "'=1`],
    ['Pain', 'Pain'],
    ['12-14 rue', '12-14 rue'],
    ['\u200b\ufeff=1', "\u200b\ufeff'=1"],
    ['\u00a0+1', "\u00a0'+1"],
  ])('%j is %j', (text, escaped) => expect(escapeFormulas(text)).toBe(escaped));
});
