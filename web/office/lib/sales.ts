/** Sales in lists. */
import type { SaleItem } from './types';

/** Identifies a sale: tills, and shops, may use the same numbers. */
export const keyOf = ({ store, kind, device, id }: SaleItem): string => [store, kind, device, id].join('/');

/** A sale that has changed between two reads may be on both pages. It is shown once, as it was read first. */
export function appendSales(before: readonly SaleItem[], page: readonly SaleItem[]): readonly SaleItem[] {
  const keys = new Set(before.map(keyOf));
  const isNew = (sale: SaleItem) => !keys.has(keyOf(sale)) && keys.add(keyOf(sale));
  return [...before, ...page.filter(isNew)];
}
