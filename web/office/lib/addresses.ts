/** The pages of the office, and their addresses. */

/** Those about people. `login` is not one of them: nobody is signed in there. */
export const ACCOUNTS_PAGES = ['account', 'users', 'audit'] as const;
export type AccountsPage = (typeof ACCOUNTS_PAGES)[number];

export const PAGES = ['shops', 'sales', 'compare', 'commands', 'login', ...ACCOUNTS_PAGES] as const;
export type OfficePage = (typeof PAGES)[number] | `shops/${string}`;

const SHOP = /^\/shops\/([a-z0-9][a-z0-9-]{0,31})\/?$/;

export const isAccountsPage = (page: OfficePage): page is AccountsPage =>
  (ACCOUNTS_PAGES as readonly string[]).includes(page);

/** `/` and unknown paths are the shops. */
export function pageFromPath(path: string): OfficePage {
  const store = SHOP.exec(path)?.[1];
  if (store !== undefined) return shopPage(store);
  const name = /^\/(\w+)\/?$/.exec(path)?.[1];
  return PAGES.find((page) => page === name) ?? 'shops';
}

/** `query` is without `?`. */
export const addressOf = (page: OfficePage, query = ''): string =>
  `/${page === 'shops' ? '' : page}${query === '' ? '' : `?${query}`}`;

/** The page and the query to return to after sign-in: `next` of the sign-in page, if it is an address of the office. */
export function returnAddress(next: string | null, origin: string): { page: OfficePage; query: string } {
  const url = URL.parse(next ?? '/', origin);
  if (url === null || url.origin !== origin) return { page: 'shops', query: '' };
  const page = pageFromPath(url.pathname);
  return page === 'login' ? { page: 'shops', query: '' } : { page, query: url.search.slice(1) };
}
/** The page of one shop. */
export const shopPage = (store: string): OfficePage => `shops/${store}`;

/** The shop whose page this is. */
export const storeOf = (page: OfficePage): string | null => /^shops\/(.+)$/.exec(page)?.[1] ?? null;
