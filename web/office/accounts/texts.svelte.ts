/** The texts of the pages of accounts that only head office has. They are downloaded with those pages. */
import type { Role } from '../../src/lib/api/identity';
import { createPluralizer } from '../../src/lib/i18n/plural';
import { localisation, type Language } from '../../src/lib/i18n/localisation.svelte';

const plural = createPluralizer('en-GB');
const pluriel = createPluralizer('fr-FR');

export const en = {
  roleHint: {
    viewer: 'Sees the shops, their sales and their figures, without e-mails and addresses',
    cashier: 'The same as a viewer: nothing is sold in head office',
    manager: 'Also sees e-mails and addresses, and sends messages and prices to shops',
    administrator: 'Also manages users, sessions and tokens, and always has all shops',
  } satisfies Record<Role, string> as Record<Role, string>,
  auditHint:
    'Who signed in and who changed accounts, also with the command line. Of many failed sign-ins at once, only some have an entry. The office cannot change or delete entries.',
  system: 'Command line',
  provider: 'You sign in with the identity provider. It also has your password.',
  shops: {
    title: 'Shops',
    all: 'All shops',
    some: 'Only some',
    count: (count: number) => plural(count, { one: '# shop', other: '# shops' }),
    chosen: (count: number) => plural(count, { zero: 'No shop chosen', one: '# shop chosen', other: '# shops chosen' }),
    allHint: 'Also those that open later',
    ofAdministrator: 'An administrator has all shops',
    search: 'Search for a shop',
    add: (store: string) => `Add ${store}`,
    addHint: 'The office has not heard from this shop yet.',
    none: 'No shop matches. A shop’s name has lower-case letters, digits and hyphens, such as paris-1.',
    need: 'Choose at least one shop',
  },
  problem: {
    'urn:comptoir:problem:invalid-field': 'The head-office server does not accept a value',
    'urn:comptoir:problem:accounts-unavailable': 'The accounts cannot be used. The office’s log says why.',
  } as Record<string, string>,
};

export type AccountMessages = typeof en;

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
    some: 'Certains seulement',
    count: (count) => pluriel(count, { one: '# magasin', many: '# de magasins', other: '# magasins' }),
    chosen: (count) =>
      pluriel(count, {
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

const messages: Record<Language, AccountMessages> = { en, fr };
/** Longer lists of shops are shown as a number. */
const MAX_NAMES = 3;

class AccountTexts {
  readonly t: AccountMessages = $derived(messages[localisation.language]);

  readonly describeShops = $derived((shops: readonly string[] | null): string => {
    if (shops === null) return this.t.shops.all;
    return shops.length > MAX_NAMES ? this.t.shops.count(shops.length) : shops.join(', ');
  });
}

export const accountTexts = new AccountTexts();
