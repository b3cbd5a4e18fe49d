/** The texts of the dialog that saves a list as a file, which is loaded when it is first opened. */
import type { Language } from './localisation.svelte';

const en = {
  title: { orders: 'Export the orders', payments: 'Export the payments', deliveries: 'Export the deliveries' },
  found: (words: string) => `Only what has “${words}”`,
  first: 'First day',
  last: 'Last day',
  hint: 'Without a first or last day, the file has no limit there. It opens in any spreadsheet (CSV).',
  backwards: 'The first day is after the last day.',
  progress: (bytes: string) => `Receiving the file: ${bytes}`,
  cutOff: 'The connection was lost before the end of the file. Nothing was saved.',
  cancel: 'Cancel',
  save: 'Save file',
};

const fr: typeof en = {
  title: {
    orders: 'Exporter les commandes',
    payments: 'Exporter les paiements',
    deliveries: 'Exporter les livraisons',
  },
  found: (words) => `Seulement ce qui contient «\u00a0${words}\u00a0»`,
  first: 'Premier jour',
  last: 'Dernier jour',
  hint: 'Sans premier ou dernier jour, le fichier n’a pas de limite de ce côté. Il s’ouvre dans tout tableur (CSV).',
  backwards: 'Le premier jour est après le dernier.',
  progress: (bytes) => `Réception du fichier\u00a0: ${bytes}`,
  cutOff: 'La connexion a été perdue avant la fin du fichier. Rien n’a été enregistré.',
  cancel: 'Annuler',
  save: 'Enregistrer le fichier',
};

export const exportTexts: Record<Language, typeof en> = { en, fr };
