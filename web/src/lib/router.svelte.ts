/** Real addresses by the history API: a link can be copied, opened directly, and gone back from. */
export const PAGES = ['dashboard', 'orders', 'payments', 'deliveries', 'gateway'] as const;
export type PageName = (typeof PAGES)[number];

export function pageOf(path: string): PageName {
  const name = path.replace(/^\/+|\/+$/g, '');
  return PAGES.find((page) => page === name) ?? 'dashboard';
}

class Router {
  page = $state<PageName>(pageOf(location.pathname));

  constructor() {
    addEventListener('popstate', () => (this.page = pageOf(location.pathname)));
    document.addEventListener('click', (event) => this.#follow(event));
  }

  go(page: PageName): void {
    if (page !== this.page) history.pushState(null, '', `/${page}`);
    this.page = page;
    scrollTo(0, 0);
  }

  /** Only a plain click on a link of ours: with a modifier the browser opens a tab, as everywhere. */
  #follow(event: MouseEvent): void {
    if (event.defaultPrevented || event.button !== 0 || event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return;
    const link = (event.target as Element).closest('a[href]');
    if (!(link instanceof HTMLAnchorElement) || link.origin !== location.origin || link.target !== '' || link.hash !== '') return;
    event.preventDefault();
    this.go(pageOf(link.pathname));
  }
}

export const router = new Router();
