/** The texts of searches, which are loaded when somebody searches. */
import type { ListName } from '../api/file';
import type { Language } from './localisation.svelte';
import { createPluralizer } from './plural';

const enPlural = createPluralizer('en-GB');
const frPlural = createPluralizer('fr-FR');

const en = {
  title: 'Search and go to',
  placeholder: 'Customer, item, number, amount, day…',
  hint: 'For example a name, 12.50 or 2026-11-29. Arrow keys select, Enter opens, Escape closes.',
  close: 'Close',
  pages: 'Pages',
  acts: 'Actions',
  busy: 'Searching…',
  nothing: 'Nothing found',
  nothingHint: 'Words are found from their beginning. Words of one or two characters must be whole.',
  count: (count: number) => enPlural(count, { one: '# result', other: '# results' }),
  incomplete: 'There are older sales that have not been searched yet.',
  failed: 'The sales could not be searched.',
  all: (list: ListName) => ({ orders: 'All orders', payments: 'All payments', deliveries: 'All deliveries' })[list],
  allFor: (words: string) => `with “${words}”`,
  label: (list: ListName) =>
    ({ orders: 'Search the orders', payments: 'Search the payments', deliveries: 'Search the deliveries' })[list],
  found: (list: ListName, words: string) =>
    ({
      orders: `Orders with “${words}”`,
      payments: `Payments with “${words}”`,
      deliveries: `Deliveries with “${words}”`,
    })[list],
  standing: 'New sales are not added here. Changes of these are.',
  again: 'Search again',
  more: 'Search further',
  reset: 'Show all',
  act: {
    close: 'Close the day…',
    wall: 'Wall mode',
    language: 'Français',
    signOut: 'Sign out',
  },
};

const fr: typeof en = {
  title: 'Rechercher et aller à',
  placeholder: 'Client, article, numéro, montant, jour…',
  hint: 'Par exemple un nom, 12,50 ou 2026-11-29. Les flèches choisissent, Entrée ouvre, Échap ferme.',
  close: 'Fermer',
  pages: 'Pages',
  acts: 'Actions',
  busy: 'Recherche…',
  nothing: 'Aucun résultat',
  nothingHint: 'Les mots sont trouvés par leur début. Un mot d’un ou deux caractères doit être entier.',
  count: (count) => frPlural(count, { one: '# résultat', other: '# résultats' }),
  incomplete: 'Des ventes plus anciennes n’ont pas encore été parcourues.',
  failed: 'La recherche dans les ventes a échoué.',
  all: (list) =>
    ({ orders: 'Toutes les commandes', payments: 'Tous les paiements', deliveries: 'Toutes les livraisons' })[list],
  allFor: (words) => `avec «\u00a0${words}\u00a0»`,
  label: (list) =>
    ({
      orders: 'Rechercher une commande',
      payments: 'Rechercher un paiement',
      deliveries: 'Rechercher une livraison',
    })[list],
  found: (list, words) =>
    ({
      orders: `Commandes avec «\u00a0${words}\u00a0»`,
      payments: `Paiements avec «\u00a0${words}\u00a0»`,
      deliveries: `Livraisons avec «\u00a0${words}\u00a0»`,
    })[list],
  standing: 'Les nouvelles ventes ne s’ajoutent pas ici. Les changements de celles-ci, si.',
  again: 'Rechercher à nouveau',
  more: 'Chercher plus loin',
  reset: 'Tout afficher',
  act: {
    close: 'Clôturer la journée…',
    wall: 'Mode mural',
    language: 'English',
    signOut: 'Se déconnecter',
  },
};

export const searchTexts: Record<Language, typeof en> = { en, fr };
