import { describe, expect, it } from 'vitest';
import { checkRows, parseCsv, parsePrice, toPrices } from './prices';

const rows = (...texts: [string, string][]) => texts.map(([product, price], key) => ({ key, product, price }));

describe('parsePrice', () => {
  it('reads a decimal point and a decimal comma, and no more decimals than the currency has', () => {
    expect(parsePrice('1,05', 2)).toBe(1.05);
    expect(parsePrice(' 1.5 €', 2)).toBe(1.5);
    expect(parsePrice('1\u202f200 EUR', 2)).toBe(1200);
    expect(parsePrice('1500', 0)).toBe(1500);
    expect(parsePrice('1,234', 3)).toBe(1.234);
    for (const wrong of ['', '-1', '1,005', '1.2.3', 'free', '1e3', '99999999999']) {
      expect(parsePrice(wrong, 2), wrong).toBeNull();
    }
    expect(parsePrice('1,5', 0)).toBeNull();
  });
});

describe('checkRows', () => {
  it('names what is wrong in each row, and ignores empty rows', () => {
    const list = rows(['Pain', '1,05'], ['', ''], ['', '2'], ['Lait', ''], ['Pain', '1.005'], ['é'.repeat(33), '1']);
    expect(checkRows(list, 2)).toEqual([
      {},
      {},
      { product: 'noProduct' },
      { price: 'noPrice' },
      { product: 'twice', price: 'price' },
      { product: 'longProduct' },
    ]);
    expect(toPrices(rows([' Pain ', '1,05'], ['', '']), 2)).toEqual([{ product: 'Pain', unit_price: 1.05 }]);
  });
});

describe('parseCsv', () => {
  it('reads the columns of a spreadsheet and of both kinds of CSV files', () => {
    const expected = [
      { product: 'Pain', price: '1,05' },
      { product: 'Lait', price: '2' },
    ];
    expect(parseCsv('Pain\t1,05\nLait\t2')).toEqual(expected);
    expect(parseCsv('\ufeffArticle;Prix\r\nPain;1,05\r\n\r\nLait;2;x\r\n')).toEqual(expected);
    expect(parseCsv('"Pain, ""long""",1.05')).toEqual([{ product: 'Pain, "long"', price: '1.05' }]);
    expect(parseCsv('Pain')).toEqual([{ product: 'Pain', price: '' }]);
    expect(parseCsv(' \n')).toEqual([]);
  });
});
