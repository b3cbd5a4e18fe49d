import { createPluralizer } from '../plural';
import type { CommonMessages } from './en';

const plural = createPluralizer('fr-FR');

export const fr: CommonMessages = {
  title: 'Comptoir',
  skip: 'Aller au contenu',
  language: 'Langue',
  theme: (choice) => `Thème\u00a0: ${choice}`,
  light: 'Clair',
  dark: 'Sombre',
  system: 'Système',
  details: 'Détails',
  newRows: (count: number) => plural(count, { one: '# nouvelle ligne', other: '# nouvelles lignes' }),
  controls: {
    close: 'Fermer',
    notices: 'Notifications',
  },
  figure: {
    today: (value) => `${value} aujourd’hui`,
    change: (change) => `${change} par rapport à hier, même heure`,
    same: 'comme hier à la même heure',
    noYesterday: 'rien hier à la même heure',
  },
  sale: {
    status: {
      Pending: 'En attente',
      Processing: 'En cours',
      Completed: 'Terminée',
      Cancelled: 'Annulée',
      SUCCESS: 'Réussi',
      FAILED: 'Échoué',
      'In Transit': 'En route',
      Delivered: 'Livrée',
    },
    method: {
      'Credit Card': 'Carte de crédit',
      'Debit Card': 'Carte bancaire',
      PayPal: 'PayPal',
      'Bank Transfer': 'Virement',
      Cash: 'Espèces',
    },
    lines: 'Articles',
    total: 'Total',
    discount: 'Remise',
    refund: (payment) => `Remboursement de ${payment}`,
    corrected: (count: number) =>
      plural(count, {
        one: '# modification d’une autre caisse n’a pas été appliquée',
        other: '# modifications d’autres caisses n’ont pas été appliquées',
      }),
  },
};
