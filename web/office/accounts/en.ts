import type { Role } from '../../src/lib/api/identity';
import { createPluralizer } from '../../src/lib/i18n/plural';

const plural = createPluralizer('en-GB');

/** The texts of the pages of accounts that only head office has. They are downloaded with those pages. */
export const en = {
  roleHint: {
    viewer: 'Sees the shops, their sales and their figures, without e-mails and addresses',
    cashier: 'The same as a viewer: nothing is sold in head office',
    manager: 'Also sees e-mails and addresses, and sends messages and prices to shops',
    administrator: 'Also manages users, sessions and tokens, and always has all shops',
  } satisfies Record<Role, string> as Record<Role, string>,
  auditHint:
    'Who signed in and who changed accounts, also with the command line. Of many failed sign-ins at once, only some have an entry. Head office cannot change or delete entries.',
  system: 'Command line',
  provider: 'You sign in with the identity provider. It also has your password.',
  shops: {
    title: 'Shops',
    all: 'All shops',
    every: 'All',
    some: 'Only some',
    count: (count: number) => plural(count, { one: '# shop', other: '# shops' }),
    chosen: (count: number) => plural(count, { zero: 'No shop chosen', one: '# shop chosen', other: '# shops chosen' }),
    allHint: 'Also those that open later',
    ofAdministrator: 'An administrator has all shops',
    search: 'Search for a shop',
    add: (store: string) => `Add ${store}`,
    addHint: 'Head office has not heard from this shop yet.',
    none: 'No shop matches. A shop’s name has lower-case letters, digits and hyphens, such as paris-1.',
    need: 'Choose at least one shop',
  },
  problem: {
    'urn:comptoir:problem:invalid-field': 'The head-office server does not accept a value',
    'urn:comptoir:problem:accounts-unavailable':
      'The accounts cannot be used. The log of the head-office server says why.',
  } as Record<string, string>,
};

export type AccountMessages = typeof en;
