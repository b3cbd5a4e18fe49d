/** Real URLs through the History API: they can be copied and opened directly, and the back button works. */
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

class Router {
  page = $state<PageName>(pageFromPath(location.pathname));
  /** The query string, without `?`. */
  query = $state(location.search.slice(1));

  constructor() {
    addEventListener('popstate', () => this.#read());
    document.addEventListener('click', (event) => this.#onClick(event));
  }

  parameter(name: string): string | null {
    return new URLSearchParams(this.query).get(name);
  }

  /** All values of a parameter that may occur several times. */
  parameters(name: string): string[] {
    return new URLSearchParams(this.query).getAll(name);
  }

  /**
   * Changes one parameter of the address, and keeps the others and the scroll position. With `isNewEntry`, the back
   * button returns to the values before.
   */
  setParameter(name: string, values: readonly string[], { isNewEntry }: { isNewEntry: boolean }): void {
    const others = [...new URLSearchParams(this.query)].filter(([known]) => known !== name);
    const parameters = new URLSearchParams([...others, ...values.map((value) => [name, value])]);
    const address = addressOf(this.page, parameters.toString());
    if (isNewEntry) history.pushState(null, '', address);
    else history.replaceState(null, '', address);
    this.#read();
  }

  go(page: PageName, query = ''): void {
    if (page !== this.page || query !== this.query) history.pushState(null, '', addressOf(page, query));
    this.#read();
    scrollTo(0, 0);
  }

  /** Goes to a page in place of the current one: the back button does not return to it. */
  replace(page: PageName, query = ''): void {
    history.replaceState(null, '', addressOf(page, query));
    this.#read();
    scrollTo(0, 0);
  }

  #read(): void {
    this.page = pageFromPath(location.pathname);
    this.query = location.search.slice(1);
  }

  /** Handles plain clicks on internal links. With a modifier key the browser opens a tab, as on any page. */
  #onClick(event: MouseEvent): void {
    const hasModifier = event.metaKey || event.ctrlKey || event.shiftKey || event.altKey;
    if (event.defaultPrevented || event.button !== 0 || hasModifier) return;
    const anchor = (event.target as Element).closest('a[href]');
    if (!(anchor instanceof HTMLAnchorElement)) return;
    if (anchor.origin !== location.origin || anchor.target !== '' || anchor.hash !== '') return;
    event.preventDefault();
    this.go(pageFromPath(anchor.pathname), anchor.search.slice(1));
  }
}

export const addressOf = (page: PageName, query: string) => `/${page}${query === '' ? '' : `?${query}`}`;

export const router = new Router();
