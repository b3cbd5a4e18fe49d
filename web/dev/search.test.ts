import { expect, it } from 'vitest';
import { searchFor } from './search';

const order = {
  order_id: 'o-17',
  customer_name: 'Léa Müller',
  customer_email: 'lm@example.org',
  amount: 12.5,
  product: 'Thé + 1',
  lines: [{ product: 'Thé' }, { product: 'Œuf' }],
  device: 'till-1',
  status: 'Pending',
  timestamp: '2026-11-28T23:30:00Z',
  address: '3, rue de l’Église',
};
const isFound = (words: string, seesAll = true) => searchFor(words, 'Europe/Paris', seesAll)?.(order);

// The cases of gateway/src/projection/search_words.rs.
it('the simulated gateway finds what the real one finds', () => {
  for (const words of ['lea', 'LÉA', 'mul', 'muller léa', 'o-17', 'oeuf', 'the till-1', 'eglise', 'example.org'])
    expect(isFound(words), words).toBe(true);
  for (const words of ['12.50', '12,50', '12,50€', '2026-11-29', 'thé 12,50 2026-11-29', 'rue de', '17', 'léa +'])
    expect(isFound(words), words).toBe(true);
  for (const words of ['leo', 'ler', 'lea o-18', 'pending', '12', '12.5', '12.51', '2026-11-28', 'le', 'o-7'])
    expect(isFound(words), words).toBe(false);
  expect(isFound('eglise', false)).toBe(false);
  expect(isFound(' + ')).toBeUndefined();
});
