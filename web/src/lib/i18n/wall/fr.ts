import type { WallMessages } from './en';

export const fr: WallMessages = {
  takings: 'Encaissé aujourd’hui',
  orders: 'Commandes aujourd’hui',
  allTime: (value) => `Depuis le début\u00a0: ${value}`,
  live: 'En direct',
  lastKnown: (at) => `Derniers chiffres connus\u00a0: ${at}`,
  yesterday: 'Hier',
  soFar: (orders) => `${orders} pour l’instant`,
  until: (orders, at) => `${orders} jusqu’à ${at}`,
  hourSoFar: (hour) => `${hour}, pour l’instant`,
  latest: 'Dernières ventes',
  refund: 'Remboursement',
  expected: (day) => `prévue le ${day}`,
  leave: 'Quitter l’affichage mural',
};
