/** The pages of the office, and their addresses. */
export const PAGES = ['shops', 'sales', 'commands'] as const;
export type OfficePage = (typeof PAGES)[number];

/** `/` and unknown paths are the shops. */
export const pageFromPath = (path: string): OfficePage =>
  PAGES.find((page) => page !== 'shops' && (path === `/${page}` || path === `/${page}/`)) ?? 'shops';

/** `query` is without `?`. */
export const addressOf = (page: OfficePage, query = ''): string =>
  `/${page === 'shops' ? '' : page}${query === '' ? '' : `?${query}`}`;
