/** The gateway's pages and their URLs. */
import { PageRouter } from './pageRouter.svelte';

export const PAGES = ['dashboard', 'orders', 'payments', 'deliveries', 'gateway'] as const;
/** These show the sales of one shop. The gateway is always this shop's. */
export const SALES_PAGES = ['dashboard', 'orders', 'payments', 'deliveries'] as const;
/** The pages of sign-in and identity are loaded on demand, and are not in the navigation. */
export const IDENTITY_PAGES = ['setup', 'login', 'account', 'users', 'audit'] as const;
export type ShopPage = (typeof PAGES)[number];
export type SalesPage = (typeof SALES_PAGES)[number];
export type IdentityPage = (typeof IDENTITY_PAGES)[number];
export type PageName = ShopPage | IdentityPage;

export const isIdentityPage = (page: PageName): page is IdentityPage =>
  (IDENTITY_PAGES as readonly string[]).includes(page);

export const isSalesPage = (page: PageName): page is SalesPage => (SALES_PAGES as readonly string[]).includes(page);

/** `/` and unknown paths are the dashboard. */
export function pageFromPath(path: string): PageName {
  const name = path.replace(/^\/+|\/+$/g, '');
  return [...PAGES, ...IDENTITY_PAGES].find((page) => page === name) ?? 'dashboard';
}

export const addressOf = (page: PageName, query: string) => `/${page}${query === '' ? '' : `?${query}`}`;

export const router = new PageRouter<PageName>({ pageFromPath, addressOf });
