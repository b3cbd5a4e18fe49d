import { createPluralizer } from '../../src/lib/i18n/plural';
import type { AccountMessages } from './en';

const plural = createPluralizer('fr-FR');

export const fr: AccountMessages = {
  roleHint: {
    viewer: 'Voit les magasins, leurs ventes et leurs chiffres, sans les adresses ni les e-mails',
    cashier: 'Comme en lecture seule\u00a0: le siège ne vend rien',
    manager: 'Voit aussi les adresses et les e-mails, et envoie des messages et des prix aux magasins',
    administrator: 'Gère aussi les utilisateurs, les sessions et les jetons, et a toujours tous les magasins',
  },
  auditHint:
    'Qui s’est connecté et qui a changé des comptes, y compris en ligne de commande. Si beaucoup de connexions sont refusées à la fois, seules quelques-unes ont une ligne. Le siège ne peut ni modifier ni effacer ces lignes.',
  system: 'Ligne de commande',
  provider: 'Vous vous connectez avec le fournisseur d’identité, qui gère aussi votre mot de passe.',
  shops: {
    title: 'Magasins',
    all: 'Tous les magasins',
    every: 'Tous',
    some: 'Certains seulement',
    count: (count) => plural(count, { one: '# magasin', many: '# de magasins', other: '# magasins' }),
    chosen: (count) =>
      plural(count, {
        zero: 'Aucun magasin choisi',
        one: '# magasin choisi',
        many: '# de magasins choisis',
        other: '# magasins choisis',
      }),
    allHint: 'Y compris ceux qui ouvriront plus tard',
    ofAdministrator: 'Un administrateur a tous les magasins',
    search: 'Chercher un magasin',
    add: (store) => `Ajouter ${store}`,
    addHint: 'Le siège n’a encore rien reçu de ce magasin.',
    none: 'Aucun magasin ne correspond. Le nom d’un magasin s’écrit en minuscules, chiffres et tirets, par exemple paris-1.',
    need: 'Choisissez au moins un magasin',
  },
  problem: {
    'urn:comptoir:problem:invalid-field': 'Le serveur du siège n’accepte pas une valeur',
    'urn:comptoir:problem:accounts-unavailable':
      'Les comptes sont inutilisables. Le journal du serveur du siège en donne la raison.',
  },
};
