/** The sales of a filter, read page by page, with what happens since. */
import { get } from '../../src/lib/api/http';
import { covers, isRead, type LiveEvent, type Positions, type Reload } from './liveEvents';
import { mergeEvents, replaceFirstPage } from './liveSales';
import { appendSales, keyOf, withoutSales } from './sales';
import { formatApiQuery, matchesFilter, NO_FILTER, type SalesFilter } from './salesFilter';
import type { SaleItem, SalesPage } from './types';

export const PAGE_LENGTH = 50;
/** More would fill the memory of the browser: the values of a page may be as large as 4 MiB. */
export const MAX_PAGES = 20;
/** Events that the database had not contained when it was last read. At more, it is read again. */
const MAX_EVENTS = 500;
/** Pauses before the list is read again because the database was behind. The last one repeats. */
const RETRY_MS = [300, 1000, 2000, 5000, 15_000];
/** After a replica has ended, its pages return at once. They read at different times. */
const RELOAD_MS = 1000;
/** Whatever happens, the list is read again after a while. */
const REFRESH_MS = 60_000;

/** `after`: the `next` of the page before, or `null` for the first page. */
export type ReadPage = (filter: SalesFilter, after: string | null) => Promise<SalesPage>;

export const readPage: ReadPage = (filter, after) =>
  get<SalesPage>(`/api/sales?${formatApiQuery(filter, { limit: PAGE_LENGTH, ...(after === null ? {} : { after }) })}`);

export class SalesList {
  /** When the first page was read, in Unix milliseconds. */
  readAt = $state<number | null>(null);
  /** Why the latest page could not be read, or `null`. */
  error = $state.raw<unknown>(null);
  isReading = $state(false);
  /** How many sales the reader has asked for, without those that have come since. */
  readCount = $state(0);
  #next = $state<string | null>(null);
  #pages = $state(0);
  #filter = $state.raw<SalesFilter | null>(null);
  /** As the database has them. */
  #rows = $state.raw<readonly SaleItem[] | null>(null);
  #positions = $state.raw<Positions>({});
  /** Those that the database may not contain yet, in order. */
  #events = $state.raw<readonly LiveEvent[]>([]);
  readonly #merged = $derived.by(() => {
    if (this.#rows === null) return null;
    const filter = this.#filter ?? NO_FILTER;
    const matches = (sale: SaleItem) => matchesFilter(filter, sale);
    return mergeEvents({ rows: this.#rows, read: this.#positions, hasMore: this.hasMore, matches }, this.#events);
  });
  /** `null` until the first page has been read. */
  readonly sales: readonly SaleItem[] | null = $derived(this.#merged?.sales ?? null);
  readonly #read: ReadPage;
  /** What the live connection does not send any more. */
  #sent: Positions = {};
  #retries = 0;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #dueAt = Infinity;
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
    this.#rows = null;
    this.readAt = null;
    this.#next = null;
    this.#pages = 0;
    this.#positions = {};
    await this.#readNext(filter);
  }

  /** Reads the next page, or again the one that could not be read. */
  async more(): Promise<void> {
    if (this.#filter === null || this.isReading || this.isFull) return;
    if (this.#rows !== null && !this.hasMore) return;
    await this.#readNext(this.#filter);
  }

  /** Adds a live event. */
  add(event: LiveEvent): void {
    if (isRead(this.#positions, event)) return;
    this.#events = [...this.#events, event];
    if (this.#events.length > MAX_EVENTS) this.#events = this.#events.slice(-MAX_EVENTS);
    if (this.#merged && this.#merged.doubtful.length > 0) this.#refreshSoon();
  }

  /** From now on, every event is added. The earlier ones must be read. */
  reload({ restart, sent }: Reload): void {
    this.#sent = sent;
    if (restart) this.#events = [];
    this.#retries = 0;
    if (this.#rows !== null) this.#refreshAfter(Math.random() * RELOAD_MS);
  }

  /** Reads nothing any more. */
  stop(): void {
    this.#latest += 1;
    clearTimeout(this.#timer);
    this.#dueAt = Infinity;
  }

  async #readNext(filter: SalesFilter): Promise<void> {
    this.#latest += 1;
    const current = this.#latest;
    this.isReading = true;
    this.error = null;
    try {
      const page = await this.#read(filter, this.#next);
      if (current !== this.#latest) return;
      this.#rows = appendSales(this.#rows ?? [], page.items);
      this.readCount = this.#rows.length;
      this.readAt ??= Date.now();
      this.#next = page.next ?? null;
      this.#pages += 1;
      if (this.#pages === 1) this.#noteRead(page.read);
    } catch (error) {
      if (current === this.#latest) this.error = error;
    } finally {
      if (current === this.#latest) this.isReading = false;
    }
  }

  /** Reads the first page again. The rows stay until there is an answer. */
  async #refresh(): Promise<void> {
    const filter = this.#filter;
    // The answer to `more` continues after rows that this would replace.
    if (filter === null || this.#rows === null || this.isReading) return this.#refreshSoon();
    this.#latest += 1;
    const current = this.#latest;
    try {
      const page = await this.#read(filter, null);
      if (current !== this.#latest) return;
      const { rows, isContinuous } = replaceFirstPage(this.#rows, page.items, page.next === undefined);
      this.#rows = rows;
      if (!isContinuous) {
        this.#next = page.next ?? null;
        this.#pages = 1;
      }
      this.readAt = Date.now();
      await this.#settle(filter, current, page);
    } catch {
      // The bar at the top says that the office does not answer.
      if (current === this.#latest) this.#refreshSoon();
    }
  }

  /** Reads sales that are not on the first page and that only the database knows. */
  async #settle(filter: SalesFilter, current: number, page: SalesPage): Promise<void> {
    const events = this.#events;
    const elsewhere = withoutSales(this.#merged?.doubtful ?? [], page.items);
    for (const sale of elsewhere.slice(0, PAGE_LENGTH)) {
      const { store, kind, id } = sale;
      const found = await this.#read({ ...filter, store, kind, search: id }, null);
      if (current !== this.#latest || this.#rows === null) return;
      const isSame = (row: SaleItem) => keyOf(row) === keyOf(sale);
      const present = found.items.find(isSame);
      if (present) this.#rows = this.#rows.map((row) => (isSame(row) ? present : row));
      const isOpen = (event: LiveEvent) => !isSame(event.sale) || !isRead(found.read, event);
      if (!present || events.every(isOpen)) continue;
      this.#events = this.#events.filter(isOpen);
    }
    this.#noteRead(page.read);
  }

  #noteRead(read: Positions): void {
    this.#positions = read;
    this.#events = this.#events.filter((event) => !isRead(read, event));
    const isComplete = covers(read, this.#sent) && (this.#merged?.doubtful ?? []).length === 0;
    if (isComplete) {
      this.#retries = 0;
      this.#refreshAfter(REFRESH_MS * (1 + Math.random() / 4));
    } else this.#refreshSoon();
  }

  #refreshSoon(): void {
    const pause = RETRY_MS[Math.min(this.#retries, RETRY_MS.length - 1)] ?? REFRESH_MS;
    this.#retries += 1;
    this.#refreshAfter(pause * (0.5 + Math.random()));
  }

  #refreshAfter(milliseconds: number): void {
    const at = Date.now() + milliseconds;
    // Events that keep coming must not put it off.
    if (at >= this.#dueAt) return;
    this.#dueAt = at;
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => {
      this.#dueAt = Infinity;
      void this.#refresh();
    }, milliseconds);
  }
}
