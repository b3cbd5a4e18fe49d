/** The texts of the page of the commands, which is downloaded when somebody opens it. */
import { createPluralizer } from '../../src/lib/i18n/plural';
import { localisation, type Language } from '../../src/lib/i18n/localisation.svelte';

const plural = createPluralizer('en-GB');
const pluriel = createPluralizer('fr-FR');

const en = {
  compose: 'Write',
  kind: 'Content',
  message: 'Message',
  prices: 'Price list',
  status: 'Order status',
  to: 'To',
  allShops: 'All shops',
  till: 'Till',
  allTills: 'All tills of the shop',
  text: 'Message for the tills’ screens',
  /** `used` and `max` are formatted numbers. */
  bytes: (used: string, max: string) => `${used} of ${max} bytes`,
  currency: 'Currency',
  product: 'Product',
  price: 'Price',
  remove: (row: string) => `Remove row ${row}`,
  add: 'Add a row',
  paste: 'Paste rows from a spreadsheet or a CSV file',
  pasteHint:
    'One product per line: its name, then its price. The columns are separated by a tab, a semicolon or a comma.',
  take: 'Add these rows',
  taken: (count: number) => plural(count, { zero: 'No row added', one: '# row added', other: '# rows added' }),
  listHint:
    'Products that the list does not name keep their prices. A till leaves out products that it has no room for.',
  error: {
    noText: 'Write a message',
    longText: 'Too long for a till',
    currency: 'Write the currency’s code, for example EUR',
    noProduct: 'The name is missing',
    longProduct: 'Too long for a till: at most 64 bytes',
    twice: 'The list has this product already',
    noPrice: 'The price is missing',
    price: (example: string) => `Not a price; write for example ${example}`,
    noRows: 'Add at least one product',
    manyRows: 'A price list has at most 256 products',
    rows: (count: number) => plural(count, { one: '# row has an error', other: '# rows have errors' }),
    refused: 'The head-office server does not accept this',
    forbidden: 'You may not send this to these shops',
    uncertain: 'The head-office server did not answer. Send again: it is sent only once.',
  },
  send: (target: string) => `Send to ${target}`,
  sendToAll: (count: number) => plural(count, { one: 'Send to # shop', other: 'Send to all # shops' }),
  sent: (target: string) => `Accepted, for ${target}`,
  list: 'Sent',
  proof:
    '“Handed over” means that the shop’s gateway has received it and passed it to its MQTT broker for the tills. It does not prove that a till has shown it.',
  none: 'Nothing sent yet',
  noneHint: 'What you send appears here, with the shops that have received it.',
  failed: 'The list could not be read',
  more: 'More',
  by: (author: string) => `by ${author}`,
  countPrices: (count: number) => plural(count, { one: '# price', other: '# prices' }),
  statusOf: (order: string, status: string) => `Order ${order}: ${status}`,
  show: 'Shops',
  showOf: (id: string) => `Show the shops of command ${id}`,
  state: {
    waiting: 'Not in Kafka yet',
    'in-kafka': 'In Kafka, not yet received',
    'handed-over': 'Handed over',
    missed: 'Missed by the gateway',
    unknown: 'In Kafka, not known whether received',
  },
  hint: {
    waiting: 'The head-office server tries again. If this lasts, its log says why.',
    'in-kafka': 'The gateway confirms it within a minute, or within five minutes on a metered connection.',
    missed: 'Kafka had deleted it before the gateway could read it. Send it again.',
    unknown: 'The gateway’s version does not confirm what it receives. Update it.',
  },
  of: (count: string, total: string, state: string) => `${count} of ${total}: ${state}`,
};

type Texts = typeof en;

const fr: Texts = {
  compose: 'Rédiger',
  kind: 'Contenu',
  message: 'Message',
  prices: 'Liste de prix',
  status: 'Statut de commande',
  to: 'À',
  allShops: 'Tous les magasins',
  till: 'Caisse',
  allTills: 'Toutes les caisses du magasin',
  text: 'Message pour l’écran des caisses',
  bytes: (used, max) => `${used} octets sur ${max}`,
  currency: 'Devise',
  product: 'Article',
  price: 'Prix',
  remove: (row) => `Supprimer la ligne ${row}`,
  add: 'Ajouter une ligne',
  paste: 'Coller des lignes d’un tableur ou d’un fichier CSV',
  pasteHint:
    'Un article par ligne\u00a0: son nom, puis son prix. Les colonnes sont séparées par une tabulation, un point-virgule ou une virgule.',
  take: 'Ajouter ces lignes',
  taken: (count) =>
    pluriel(count, {
      zero: 'Aucune ligne ajoutée',
      one: '# ligne ajoutée',
      many: '# de lignes ajoutées',
      other: '# lignes ajoutées',
    }),
  listHint:
    'Les articles absents de la liste gardent leur prix. Une caisse laisse de côté les articles pour lesquels elle n’a plus de place.',
  error: {
    noText: 'Écrivez un message',
    longText: 'Trop long pour une caisse',
    currency: 'Écrivez le code de la devise, par exemple EUR',
    noProduct: 'Le nom manque',
    longProduct: 'Trop long pour une caisse\u00a0: 64 octets au plus',
    twice: 'Cet article est déjà dans la liste',
    noPrice: 'Le prix manque',
    price: (example) => `Ce n’est pas un prix\u00a0; écrivez par exemple ${example}`,
    noRows: 'Ajoutez au moins un article',
    manyRows: 'Une liste de prix a 256 articles au plus',
    rows: (count) =>
      pluriel(count, {
        one: '# ligne contient une erreur',
        many: '# de lignes contiennent des erreurs',
        other: '# lignes contiennent des erreurs',
      }),
    refused: 'Le serveur du siège n’accepte pas cet envoi',
    forbidden: 'Vous ne pouvez pas faire cet envoi à ces magasins',
    uncertain: 'Le serveur du siège n’a pas répondu. Recommencez\u00a0: l’envoi n’aura lieu qu’une fois.',
  },
  send: (target) => `Envoyer à ${target}`,
  sendToAll: (count) =>
    pluriel(count, {
      one: 'Envoyer à # magasin',
      many: 'Envoyer aux # de magasins',
      other: 'Envoyer aux # magasins',
    }),
  sent: (target) => `Envoi accepté, pour ${target}`,
  list: 'Envois',
  proof:
    '«\u00a0Remis\u00a0» veut dire que la passerelle du magasin a reçu l’envoi et l’a transmis à son serveur MQTT pour les caisses. Cela ne prouve pas qu’une caisse l’a affiché.',
  none: 'Aucun envoi pour l’instant',
  noneHint: 'Vos envois s’affichent ici, avec les magasins qui les ont reçus.',
  failed: 'La liste n’a pas pu être lue',
  more: 'Afficher la suite',
  by: (author) => `par ${author}`,
  countPrices: (count) => pluriel(count, { one: '# prix', many: '# de prix', other: '# prix' }),
  statusOf: (order, status) => `Commande ${order}\u00a0: ${status}`,
  show: 'Magasins',
  showOf: (id) => `Afficher les magasins de l’envoi ${id}`,
  state: {
    waiting: 'Pas encore dans Kafka',
    'in-kafka': 'Dans Kafka, pas encore reçu',
    'handed-over': 'Remis',
    missed: 'Manqué par la passerelle',
    unknown: 'Dans Kafka, réception inconnue',
  },
  hint: {
    waiting: 'Le serveur du siège réessaie. Si cela dure, son journal en donne la raison.',
    'in-kafka':
      'La passerelle confirme la réception en moins d’une minute, ou de cinq minutes sur une connexion limitée.',
    missed: 'Kafka l’avait supprimé avant que la passerelle puisse le lire. Renvoyez-le.',
    unknown: 'La version de la passerelle ne confirme pas ce qu’elle reçoit. Mettez-la à jour.',
  },
  of: (count, total, state) => `${count} sur ${total}\u00a0: ${state}`,
};

const messages: Record<Language, Texts> = { en, fr };

class CommandTexts {
  readonly t: Texts = $derived(messages[localisation.language]);
}

export const commandTexts = new CommandTexts();
export type CommandMessages = Texts;
