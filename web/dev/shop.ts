/** Customers and goods of a small French shop. The same seed always gives the same shop. */
import type { DeliveryStatus, Line, PaymentMethod } from '../src/lib/api/types';

export type Random = () => number;

export const STORE = 'paris-1';

/** The Mulberry32 generator. A fixed seed makes the pages look the same at each start, so that they can be compared. */
export function createRandom(seed: number): Random {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = state;
    t = Math.imul(t ^ (t >>> 15), t | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}

const FIRST = [
  'Camille',
  'Léa',
  'Manon',
  'Chloé',
  'Inès',
  'Jeanne',
  'Louise',
  'Zoé',
  'Anaïs',
  'Margaux',
  'Lucas',
  'Hugo',
  'Théo',
  'Louis',
  'Jules',
  'Adrien',
  'Maël',
  'Noé',
  'Rémi',
  'Baptiste',
  'Yasmine',
  'Karim',
  'Aïcha',
  'Mehdi',
];
const LAST = [
  'Martin',
  'Bernard',
  'Dubois',
  'Thomas',
  'Robert',
  'Richard',
  'Petit',
  'Durand',
  'Leroy',
  'Moreau',
  'Simon',
  'Laurent',
  'Lefèvre',
  'Michel',
  'Garcia',
  'David',
  'Bertrand',
  'Roux',
  'Vincent',
  'Fournier',
  'Morel',
  'Girard',
  'Benali',
  'Mercier',
  'de La Tour',
];
const STREETS = [
  'rue de la République',
  'avenue Jean-Jaurès',
  'rue Victor-Hugo',
  'place de l’Église',
  'rue des Lilas',
  'boulevard Voltaire',
  'rue du Moulin',
  'quai de la Loire',
  'rue Pasteur',
  'allée des Tilleuls',
];
const TOWNS = [
  '75011 Paris',
  '75019 Paris',
  '93100 Montreuil',
  '94300 Vincennes',
  '92120 Montrouge',
  '69003 Lyon',
  '44000 Nantes',
  '33000 Bordeaux',
  '59000 Lille',
  '31000 Toulouse',
];
const GOODS: [string, number][] = [
  ['Cafetière à piston', 2990],
  ['Thé vert de Chine 100 g', 890],
  ['Miel de lavande 500 g', 1250],
  ['Savon de Marseille', 450],
  ['Torchon en lin', 1490],
  ['Couteau pliant', 3900],
  ['Bougie à la figue', 2200],
  ['Carnet quadrillé', 690],
  ['Lampe de bureau', 7900],
  ['Bol en grès', 1890],
  ['Huile d’olive 75 cl', 1690],
  ['Panier en osier', 3450],
  ['Plaid en laine', 8900],
  ['Vélo de ville', 54900],
  ['Moulin à poivre', 4200],
  ['Confiture d’abricots', 590],
  ['Théière en fonte', 6400],
  ['Sac en toile', 1950],
  ['Enceinte portable', 12900],
  ['Affiche encadrée', 4900],
];
/** Taxed at the reduced rate. */
const FOOD = /^(Thé vert|Miel|Huile|Confiture)/;
const METHODS: [PaymentMethod, number][] = [
  ['Debit Card', 0.42],
  ['Credit Card', 0.72],
  ['Cash', 0.86],
  ['PayPal', 0.95],
  ['Bank Transfer', 1],
];

/** Orders in each local hour. */
export const BUSY = [0.4, 0.2, 0.1, 0.1, 0.1, 0.3, 1, 3, 7, 13, 19, 24, 21, 14, 16, 22, 27, 31, 26, 15, 6, 3, 2, 1];

export const pick = <T>(random: Random, from: readonly T[]): T => from[Math.floor(random() * from.length)] as T;

export function customer(random: Random): { name: string; email: string } {
  const [first, last] = [pick(random, FIRST), pick(random, LAST)];
  const plain = (s: string) =>
    s
      .normalize('NFD')
      .replace(/[^A-Za-z]/g, '')
      .toLowerCase();
  return { name: `${first} ${last}`, email: `${plain(first)}.${plain(last)}@example.fr` };
}

export const address = (random: Random): string =>
  `${1 + Math.floor(random() * 120)} ${pick(random, STREETS)}, ${pick(random, TOWNS)}`;

export function lines(random: Random): Line[] {
  const count = random() < 0.6 ? 1 : random() < 0.8 ? 2 : 3;
  return Array.from({ length: count }, () => {
    const [product, cents] = pick(random, GOODS);
    return {
      product,
      quantity: cents > 10_000 || random() < 0.75 ? 1 : 2 + Math.floor(random() * 2),
      unit_price: cents / 100,
      vat_rate: FOOD.test(product) ? 5.5 : 20,
    };
  });
}

export const totalOf = (all: Line[]): number =>
  all.reduce(
    (cents, l) => cents + Math.round(l.unit_price * 100 * l.quantity) - Math.round((l.discount ?? 0) * 100),
    0,
  ) / 100;
/** In English, as the real gateway's simulated tills write it. */
export function summaryOf([first, ...others]: Line[]): string {
  if (!first) return '';
  const quantity = first.quantity === 1 ? '' : ` ×${first.quantity}`;
  return `${first.product}${quantity}${others.length === 0 ? '' : ` + ${others.length} more`}`;
}

export function method(random: Random): PaymentMethod {
  const at = random();
  return METHODS.find(([, upTo]) => at < upTo)?.[0] ?? 'Cash';
}

const eight = (random: Random): string =>
  Math.floor(random() * 0xffffffff)
    .toString(16)
    .padStart(8, '0');
/** As long as the real gateway's ids, to reveal columns that are too narrow for them. */
export const id = (random: Random, prefix: string): string =>
  `${prefix}-${Array.from({ length: 4 }, () => eight(random)).join('')}`;
export const NEXT_DELIVERY: Partial<Record<DeliveryStatus, DeliveryStatus>> = {
  Pending: 'In Transit',
  'In Transit': 'Delivered',
};
