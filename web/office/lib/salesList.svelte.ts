/** The sales of a filter, read page by page. */
import { get } from '../../src/lib/api/http';
import { appendSales } from './sales';
import { formatApiQuery, type SalesFilter } from './salesFilter';
import type { SaleItem, SalesPage } from './types';

export const PAGE_LENGTH = 50;
/** More would fill the memory of the browser: the values of a page may be as large as 4 MiB. */
export const MAX_PAGES = 20;

/** `after`: the `next` of the page before, or `null` for the first page. */
export type ReadPage = (filter: SalesFilter, after: string | null) => Promise<SalesPage>;

export const readPage: ReadPage = (filter, after) =>
  get<SalesPage>(`/api/sales?${formatApiQuery(filter, { limit: PAGE_LENGTH, ...(after === null ? {} : { after }) })}`);

export class SalesList {
  /** `null` until the first page has been read. */
  sales = $state.raw<readonly SaleItem[] | null>(null);
  /** When the first page was read, in Unix milliseconds. */
  readAt = $state<number | null>(null);
  /** Why the latest page could not be read, or `null`. */
  error = $state.raw<unknown>(null);
  isReading = $state(false);
  #next = $state<string | null>(null);
  #pages = $state(0);
  readonly #read: ReadPage;
  #filter: SalesFilter | null = null;
  /** Counts the reads: only the answer to the latest one counts. */
  #latest = 0;

  constructor(read: ReadPage = readPage) {
    this.#read = read;
  }

  get hasMore(): boolean {
    return this.#next !== null;
  }

  /** There are more sales than this page shows. */
  get isFull(): boolean {
    return this.hasMore && this.#pages >= MAX_PAGES;
  }

  /** Shows the sales of a filter in place of all others. */
  async show(filter: SalesFilter): Promise<void> {
    this.#filter = filter;
    this.sales = null;
    this.readAt = null;
    this.#next = null;
    this.#pages = 0;
    await this.#readNext(filter);
  }

  /** Reads the next page, or again the one that could not be read. */
  async more(): Promise<void> {
    if (this.#filter === null || this.isReading || this.isFull) return;
    if (this.sales !== null && !this.hasMore) return;
    await this.#readNext(this.#filter);
  }

  async #readNext(filter: SalesFilter): Promise<void> {
    this.#latest += 1;
    const current = this.#latest;
    this.isReading = true;
    this.error = null;
    try {
      const page = await this.#read(filter, this.#next);
      if (current !== this.#latest) return;
      this.sales = appendSales(this.sales ?? [], page.items);
      this.readAt ??= Date.now();
      this.#next = page.next ?? null;
      this.#pages += 1;
    } catch (error) {
      if (current === this.#latest) this.error = error;
    } finally {
      if (current === this.#latest) this.isReading = false;
    }
  }
}
