/** The pages of the office, and their addresses. */
export const PAGES = ['shops', 'sales', 'login'] as const;
export type OfficePage = (typeof PAGES)[number];

/** `/` and unknown paths are the shops. */
export const pageFromPath = (path: string): OfficePage =>
  PAGES.find((page) => page !== 'shops' && path.replace(/\/$/, '') === `/${page}`) ?? 'shops';

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
