/** Which sales are shown: as the form and the address of the page have it, and as the API wants it. */
import { isDay, midnight } from './days';
import type { SaleItem } from './types';

export const KINDS = ['order', 'payment', 'delivery'] as const;
export type Kind = (typeof KINDS)[number];

export const isKind = (kind: string): kind is Kind => (KINDS as readonly string[]).includes(kind);

/** An empty text does not filter. */
export type SalesFilter = {
  store: string;
  /** One of `KINDS`. The API refuses another one that the address names. */
  kind: string;
  /** The first and the last day, where the reader is. */
  from: string;
  to: string;
  /** The beginning of a sale's id, or of its order's. */
  search: string;
};
export type FilterField = keyof SalesFilter;

export const NO_FILTER: SalesFilter = { store: '', kind: '', from: '', to: '', search: '' };
const FIELDS = Object.keys(NO_FILTER) as FilterField[];

export const isFiltered = (filter: SalesFilter): boolean => FIELDS.some((field) => filter[field] !== '');

/** Whether the API would list the sale for this filter. */
export function matchesFilter({ store, kind, from, to, search }: SalesFilter, sale: SaleItem): boolean {
  const [since, until] = [midnight(from), midnight(to, 1)];
  const time = Date.parse(sale.time);
  return (
    (store === '' || sale.store === store) &&
    (kind === '' || sale.kind === kind) &&
    (since === null || time >= Date.parse(since)) &&
    (until === null || time < Date.parse(until)) &&
    (sale.id.startsWith(search) || sale.order_id.startsWith(search))
  );
}

/** The query string of the page, without `?`. */
export function formatFilter(filter: SalesFilter): string {
  return formatQuery(FIELDS.map((field) => [field, filter[field].trim()]));
}

/** What is not a day in the address does not filter. */
export function parseFilter(query: string): SalesFilter {
  const parameters = new URLSearchParams(query);
  const text = (name: FilterField) => parameters.get(name) ?? '';
  const day = (name: FilterField) => (isDay(text(name)) ? text(name) : '');
  return { store: text('store'), kind: text('kind'), from: day('from'), to: day('to'), search: text('search') };
}

/** The query string of the API, without `?`. `more` has further parameters. */
export function formatApiQuery({ store, kind, from, to, search }: SalesFilter, more: object = {}): string {
  return formatQuery([
    ['store', store],
    ['kind', kind],
    ['since', midnight(from)],
    // Exclusive: the last day is shown to its end.
    ['until', midnight(to, 1)],
    ['search', search],
    ...Object.entries(more).map(([name, value]): [string, string] => [name, String(value)]),
  ]);
}

/** The field of the form that a parameter of the API comes from. */
export function fieldOf(parameter: string | undefined): FilterField | null {
  if (parameter === 'since') return 'from';
  if (parameter === 'until') return 'to';
  return FIELDS.find((field) => field === parameter) ?? null;
}

function formatQuery(parameters: [string, string | null][]): string {
  const set = parameters.filter((parameter): parameter is [string, string] => Boolean(parameter[1]));
  return new URLSearchParams(set).toString();
}
