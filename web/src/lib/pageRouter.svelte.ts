/** Real addresses through the history API: they can be copied, opened directly, and gone back from. */
import { valuesOf, withValues } from './query';

export type Addresses<Page extends string> = {
  /** Unknown paths are the first page. */
  pageFromPath: (path: string) => Page;
  /** `query` is without `?`. */
  addressOf: (page: Page, query: string) => string;
};

export class PageRouter<Page extends string> {
  readonly #addresses: Addresses<Page>;
  page = $state('' as Page);
  /** The query string, without `?`. */
  query = $state('');

  constructor(addresses: Addresses<Page>) {
    this.#addresses = addresses;
    this.#read();
    addEventListener('popstate', () => this.#read());
    document.addEventListener('click', (event) => this.#onClick(event));
  }

  parameter(name: string): string | null {
    return this.parameters(name)[0] ?? null;
  }

  /** All values of a parameter that may occur several times. */
  parameters(name: string): string[] {
    return valuesOf(this.query, name);
  }

  /** Changes one parameter of the address, and keeps the others. */
  setParameter(name: string, values: readonly string[], options: { isNewEntry: boolean }): void {
    this.setQuery(withValues(this.query, name, values), options);
  }

  /**
   * Changes what the page shows, and keeps the scroll position. With `isNewEntry`, the back button returns to what it
   * has shown before.
   */
  setQuery(query: string, { isNewEntry }: { isNewEntry: boolean }): void {
    const address = this.#addresses.addressOf(this.page, query);
    if (isNewEntry) history.pushState(null, '', address);
    else history.replaceState(null, '', address);
    this.#read();
  }

  go(page: Page, query = ''): void {
    const isElsewhere = page !== this.page || query !== this.query;
    if (isElsewhere) history.pushState(null, '', this.#addresses.addressOf(page, query));
    this.#read();
    scrollTo(0, 0);
  }

  /** Goes to a page in place of the current one: the back button does not return to it. */
  replace(page: Page, query = ''): void {
    history.replaceState(null, '', this.#addresses.addressOf(page, query));
    this.#read();
    scrollTo(0, 0);
  }

  #read(): void {
    this.page = this.#addresses.pageFromPath(location.pathname);
    this.query = location.search.slice(1);
  }

  /** Handles plain clicks on internal links. With a modifier key the browser opens a tab, as on any page. */
  #onClick(event: MouseEvent): void {
    const hasModifier = event.metaKey || event.ctrlKey || event.shiftKey || event.altKey;
    if (event.defaultPrevented || event.button !== 0 || hasModifier) return;
    const anchor = (event.target as Element).closest('a[href]');
    if (!(anchor instanceof HTMLAnchorElement)) return;
    if (anchor.origin !== location.origin || anchor.target !== '' || anchor.hash !== '') return;
    // A file, and not a page.
    if (anchor.hasAttribute('download')) return;
    event.preventDefault();
    this.go(this.#addresses.pageFromPath(anchor.pathname), anchor.search.slice(1));
  }
}
