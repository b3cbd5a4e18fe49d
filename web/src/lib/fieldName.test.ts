import { expect, it } from 'vitest';
import { fieldName } from './fieldName';
import { en } from './i18n/en';
import { fr } from './i18n/fr';

it.each([
  ['amount', 'Montant', 'Amount'],
  ['lines', 'Articles', 'Items'],
  ['lines[2]', 'Articles, article n°\u00a03', 'Items, item 3'],
  ['lines[2].unit_price', 'Prix unitaire, article n°\u00a03', 'Unit price, item 3'],
  ['loyalty_card', 'loyalty_card', 'loyalty_card'],
])('the field %s is called "%s" in French and "%s" in English', (path, french, english) => {
  expect([fieldName(path, fr), fieldName(path, en)]).toEqual([french, english]);
});
