import { createPluralizer } from '../../../src/lib/i18n/plural';
import type { OfficeMessages } from './en';

const plural = createPluralizer('fr-FR');

export const fr: OfficeMessages = {
  title: 'Magasins',
  office: 'Siège',
  bar: {
    reading: 'Lecture des magasins…',
    good: 'À jour',
    read: (ago) => `lu ${ago}`,
    stale: (at, ago) => `Dernière lecture\u00a0: ${at}, ${ago}`,
    late: (at) => `Le siège a du retard\u00a0: il a lu ce que les magasins ont envoyé jusqu’à ${at}`,
    lateHint: 'Kafka est peut-être injoignable',
    again: 'Nouvel essai toutes les 5 secondes',
  },
  failure: {
    unreachable: 'Le serveur du siège est injoignable',
    other: (status) => `Le serveur du siège a répondu par une erreur (${status})`,
    problem: {
      'urn:comptoir:problem:database-unavailable':
        'Le serveur du siège n’arrive pas à lire sa base de données (PostgreSQL)',
      'urn:comptoir:problem:invalid-query': 'Le serveur du siège ne comprend pas cette page. Rechargez-la.',
    },
  },
  summary: {
    label: 'Résumé',
    shops: (count) => plural(count, { one: '# magasin', many: '# de magasins', other: '# magasins' }),
    trouble: (count) =>
      plural(count, {
        zero: 'aucun n’a de problème',
        one: '# a un problème',
        many: '# ont des problèmes',
        other: '# ont des problèmes',
      }),
    apart: (count) =>
      plural(count, {
        one: '# enregistrement mis à part',
        many: '# d’enregistrements mis à part',
        other: '# enregistrements mis à part',
      }),
    apartHint:
      'Aucun magasin connu ne les a signés, ou ils sont illisibles. Ils ne comptent pas. La table kept_apart de la base de données en donne les raisons.',
    lost: (count) =>
      plural(count, {
        one: 'Kafka n’a plus # série d’enregistrements que le siège n’avait pas encore lue',
        many: 'Kafka n’a plus # de séries d’enregistrements que le siège n’avait pas encore lues',
        other: 'Kafka n’a plus # séries d’enregistrements que le siège n’avait pas encore lues',
      }),
    lostHint:
      'Les ventes qu’elles contenaient manquent ici. La table lost_records de la base de données donne leurs positions. Pour l’éviter, allongez la durée de conservation des topics de Kafka.',
  },
  list: {
    search: 'Chercher un magasin',
    onlyTrouble: 'Seulement avec problèmes',
    sortBy: 'Trier par',
    sort: {
      trouble: 'Problèmes',
      name: 'Nom',
      heard: 'Dernier contact',
      backlog: 'Événements en attente',
    },
    all: 'Tous les magasins',
    shown: (shown, all) =>
      plural(shown, {
        one: `# magasin sur ${all}`,
        many: `# de magasins sur ${all}`,
        other: `# magasins sur ${all}`,
      }),
    more: (count) => plural(count, { one: 'En afficher # de plus', other: 'En afficher # de plus' }),
    none: 'Aucun magasin ne correspond',
    noneHint: 'Changez la recherche, ou affichez tous les magasins.',
    showAll: 'Afficher tous les magasins',
    empty: 'Aucun magasin pour l’instant',
    emptyHint:
      'Ajoutez une ligne avec le nom et la clé de chaque magasin au fichier indiqué par shops.keys, puis redémarrez le serveur du siège. Un magasin s’affiche ici dès que sa passerelle publie dans Kafka.',
    failed: 'Les magasins n’ont pas pu être lus',
    failedHint: 'Ils s’affichent ici dès que le serveur du siège répond.',
  },
  column: {
    store: 'Magasin',
    troubles: 'Problèmes',
    heard: 'Dernier contact',
    waiting: 'En attente',
    check: 'À vérifier',
    gateway: 'Passerelle',
    storage: 'Stockage',
    tills: 'Caisses',
    today: 'Aujourd’hui',
  },
  trouble: {
    silent: 'Plus de nouvelles',
    'missing-numbers': 'Événements manquants',
    backlog: 'Envoi en retard',
    'journal-fills': 'Journal presque plein',
    'disk-low': 'Disque presque plein',
    'dead-letters': 'Messages illisibles',
    'mqtt-down': 'Serveur MQTT injoignable',
    'bridge-down': 'Envoi arrêté',
    'commands-down': 'Consignes non reçues',
    warnings: 'Connexions à vérifier',
    'journal-refusing': 'N’accepte plus de ventes',
    'events-lost': 'Ventes perdues',
    'devices-refused': 'Caisses refusées',
    'clock-unsynchronised': 'Horloge non synchronisée',
  },
  exit: {
    unknown: 'cause inconnue',
    stopped: 'arrêt normal',
    crashed: 'plantage',
    power: 'coupure de courant',
  },
  fact: {
    unknown: 'inconnu',
    noTrouble: 'aucun',
    noneWaiting: 'aucun',
    waitingFor: (duration) => `depuis ${duration}`,
    missing: (count) => plural(count, { one: '# manquant', many: '# de manquants', other: '# manquants' }),
    deadLetters: (count) => plural(count, { one: '# illisible', many: '# d’illisibles', other: '# illisibles' }),
    nothingToCheck: 'rien',
    version: (version) => `version ${version}`,
    restarted: (ago, reason) => `Redémarrée ${ago}, ${reason}`,
    restartedAt: (at) => `Redémarrée le ${at}`,
    journal: (share) => `Journal ${share}`,
    journalOf: (bytes, max) => `${bytes} sur ${max}`,
    free: (bytes) => `${bytes} libres`,
    offline: (count) => plural(count, { one: '# hors ligne', other: '# hors ligne' }),
    noTakings: 'aucune recette',
    orders: (count) => plural(count, { one: '# commande', many: '# de commandes', other: '# commandes' }),
    payments: (count) => plural(count, { one: '# paiement', many: '# de paiements', other: '# paiements' }),
    deliveries: (count) => plural(count, { one: '# livraison', many: '# de livraisons', other: '# livraisons' }),
  },
};
