/** Sales in lists. */
import type { SaleItem } from './types';

/** Identifies a sale: shops may use the same numbers, and for payments tills, too. */
export const keyOf = ({ store, kind, device, id }: SaleItem): string =>
  [store, kind, kind === 'payment' ? device : '', id].join('/');

const compareTexts = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0);

/** The order of the office's lists: the newest first. */
export function compareSales(a: SaleItem, b: SaleItem): number {
  return (
    Date.parse(b.time) - Date.parse(a.time) ||
    compareTexts(b.store, a.store) ||
    compareTexts(b.kind, a.kind) ||
    compareTexts(keyOf(b), keyOf(a))
  );
}

/** A sale that has changed between two reads may be on both pages. It is shown once, as it was read first. */
export function appendSales(before: readonly SaleItem[], page: readonly SaleItem[]): readonly SaleItem[] {
  const keys = new Set(before.map(keyOf));
  const isNew = (sale: SaleItem) => !keys.has(keyOf(sale)) && keys.add(keyOf(sale));
  return [...before, ...page.filter(isNew)];
}

/** The sales that are not among the others. */
export function withoutSales(sales: readonly SaleItem[], others: readonly SaleItem[]): readonly SaleItem[] {
  const keys = new Set(others.map(keyOf));
  return sales.filter((sale) => !keys.has(keyOf(sale)));
}
