/** The pages of the office, and their addresses. */
export const PAGES = ['shops', 'sales'] as const;
export type OfficePage = (typeof PAGES)[number];

/** `/` and unknown paths are the shops. */
export const pageFromPath = (path: string): OfficePage => (/^\/sales\/?$/.test(path) ? 'sales' : 'shops');

/** `query` is without `?`. */
export const addressOf = (page: OfficePage, query = ''): string =>
  `/${page === 'shops' ? '' : page}${query === '' ? '' : `?${query}`}`;
