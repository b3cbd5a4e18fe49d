import { describe, expect, it } from 'vitest';
import type { Line, Order } from './api/types';
import { en } from './i18n/en';
import { createFormats } from './i18n/format';
import { fr } from './i18n/fr';
import { summariseOrder } from './orderSummary';

const line = (product: string, quantity = 1): Line => ({ product, quantity, unit_price: 1 });
const order = (lines: Line[]) => ({ product: 'Miel ×2 + 1 more', lines }) as Order;
const english = (...lines: Line[]) => summariseOrder(order(lines), en, createFormats('en-GB'));
const french = (...lines: Line[]) => summariseOrder(order(lines), fr, createFormats('fr-FR'));

describe('the summary of an order', () => {
  it('names a single product, with its quantity unless that is one', () => {
    expect(english(line('Miel'))).toBe('Miel');
    expect(english(line('Miel', 2))).toBe('2\u00a0× Miel');
  });

  it('counts the other lines in the reader’s language', () => {
    expect(english(line('Miel'), line('Thé'), line('Bol'))).toBe('Miel + 2 more');
    expect(french(line('Miel'), line('Thé'))).toBe('Miel + 1 autre');
    expect(french(line('Miel', 2), line('Thé'), line('Bol'))).toBe('2\u00a0× Miel + 2 autres');
  });

  it('keeps a # in a product’s name', () => {
    expect(english(line('Stylo #2'), line('Thé'))).toBe('Stylo #2 + 1 more');
  });

  it('is the till’s own if the order has no lines, with its end in the reader’s language', () => {
    expect(french()).toBe('Miel ×2 + 1 autre');
    expect(english()).toBe('Miel ×2 + 1 more');
    const product = (text: string) =>
      summariseOrder({ product: text, lines: [] as Line[] } as Order, fr, createFormats('fr-FR'));
    expect(product('Steak haché 2 × 125 g + 14 more')).toBe('Steak haché 2 × 125 g + 14 autres');
    expect(product('Café + 1 more sugar')).toBe('Café + 1 more sugar');
  });
});
