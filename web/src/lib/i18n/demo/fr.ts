import type { DemoMessages } from './en';

export const fr: DemoMessages = {
  badge: 'Données de démo',
  short: 'Démo',
  about: 'À propos des données de démo',
  explanation:
    'Ici, on peut inventer des ventes\u00a0: des boutons créent des commandes et des livraisons, et la passerelle décide si un paiement réussit. Dans un vrai magasin, les ventes viennent des caisses et rien n’est inventé.',
  console: 'Chaque nouvelle commande s’affiche aussi dans la console du navigateur.',
};
