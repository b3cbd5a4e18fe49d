/** The texts that the gateway's pages and the office's page share. */
export const en = {
  title: 'Comptoir',
  skip: 'Skip to content',
  language: 'Language',
  theme: (choice: string) => `Theme: ${choice}`,
  light: 'Light',
  dark: 'Dark',
  system: 'System',
  details: 'Details',
};

export type CommonMessages = typeof en;
