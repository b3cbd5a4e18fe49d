import type { CommonMessages } from './en';

export const fr: CommonMessages = {
  title: 'Comptoir',
  skip: 'Aller au contenu',
  language: 'Langue',
  theme: (choice) => `Thème\u00a0: ${choice}`,
  light: 'Clair',
  dark: 'Sombre',
  system: 'Système',
  details: 'Détails',
};
