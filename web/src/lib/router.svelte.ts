/** The gateway's pages and their URLs. */
import { PageRouter } from './pageRouter.svelte';

export const PAGES = ['dashboard', 'orders', 'payments', 'deliveries', 'day', 'gateway'] as const;
/** These show the sales of one shop. The gateway is always this shop's. */
export const SALES_PAGES = ['dashboard', 'orders', 'payments', 'deliveries'] as const;
/** The pages of sign-in and identity are loaded on demand, and are not in the navigation. */
export const IDENTITY_PAGES = ['setup', 'login', 'account', 'users', 'audit'] as const;
export type ShopPage = (typeof PAGES)[number];
export type SalesPage = (typeof SALES_PAGES)[number];
export type IdentityPage = (typeof IDENTITY_PAGES)[number];
/** The page of one order, with its URL-encoded id. Loaded on demand. */
export type OrderPage = `orders/${string}`;
/** The page of one day: today, or the day in the address. Loaded on demand. */
export type DayPage = 'day' | `day/${string}`;
export type PageName = ShopPage | IdentityPage | OrderPage | DayPage;

export const isIdentityPage = (page: PageName): page is IdentityPage =>
  (IDENTITY_PAGES as readonly string[]).includes(page);

export const isSalesPage = (page: PageName): page is SalesPage => (SALES_PAGES as readonly string[]).includes(page);

const DAY = /^day(?:\/([^/]+))?$/;
export const isDayPage = (page: PageName): page is DayPage => DAY.test(page);
/** The date in the address, which may be anything that somebody typed. `null`: today. */
export const dateOf = (page: DayPage): string | null => DAY.exec(page)?.[1] ?? null;

const ORDER = /^orders\/([^/]+)$/;
export const isOrderPage = (page: PageName): page is OrderPage => ORDER.test(page);
export const orderPage = (id: string): OrderPage => `orders/${encodeURIComponent(id)}`;

/** The order whose page this is. */
export function orderOf(page: OrderPage): string {
  const id = page.slice('orders/'.length);
  try {
    return decodeURIComponent(id);
  } catch {
    // A stray percent sign in a typed address.
    return id;
  }
}

/** The page of the navigation that this page belongs to, which also names it. */
export function sectionOf(page: PageName): ShopPage | IdentityPage {
  if (isDayPage(page)) return 'day';
  return isOrderPage(page) ? 'orders' : page;
}

/** `/` and unknown paths are the dashboard. */
export function pageFromPath(path: string): PageName {
  const name = path.replace(/^\/+|\/+$/g, '') as PageName;
  if (isOrderPage(name) || isDayPage(name)) return name;
  return [...PAGES, ...IDENTITY_PAGES].find((page) => page === name) ?? 'dashboard';
}

export const addressOf = (page: PageName, query: string) => `/${page}${query === '' ? '' : `?${query}`}`;

export const router = new PageRouter<PageName>({ pageFromPath, addressOf });
